package subscription

import (
	"encoding/json"
	"sync"
	"time"
)

// peers are the gateways that were heard of lately, this one too. One that has just
// begun, or is cut off, may be missing.
type peers struct {
	since time.Time // when this gateway began to listen

	// mu guards what follows; nothing is taken under it.
	mu   sync.Mutex
	at   map[string]time.Time
	left map[string]struct{} // those that said goodbye
}

const (
	greetEvery = time.Second
	peerAge    = 10 * time.Second
	// goneTime is how long a gateway must not have been heard of before others act
	// in its place. One that is cut off has stopped to hand out by then: see
	// jetstream.Engine.Connection.
	goneTime = 6 * time.Second
)

// greet tells the others that this gateway is there.
func (m *Manager) greet() {
	t := time.NewTicker(greetEvery)
	defer t.Stop()
	for {
		m.bus.Tell(tellHello, []byte(m.gateway))
		select {
		case <-t.C:
		case <-m.ctx.Done():
			m.bus.Tell(tellBye, []byte(m.gateway))
			return
		}
	}
}

func (p *peers) hear(name []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at == nil {
		p.at = make(map[string]time.Time)
	}
	now := time.Now()
	for name, at := range p.at {
		if now.Sub(at) > peerAge {
			delete(p.at, name)
		}
	}
	p.at[string(name)] = now
	return nil
}

// lately answers the names of those that were heard of.
func (p *peers) lately() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]bool)
	for name, at := range p.at {
		if time.Since(at) <= peerAge {
			out[name] = true
		}
	}
	return out
}

// leave hears that a gateway stops.
func (p *peers) leave(name []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.at, string(name))
	if p.left == nil {
		p.left = make(map[string]struct{})
	}
	p.left[string(name)] = struct{}{}
	return nil
}

// gone reports whether a gateway that does not answer has said so, or was not
// heard of for so long that it hands out nothing any more.
func (p *peers) gone(name string, listening time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.left[name]; ok {
		return true
	}
	return listening > goneTime && time.Since(p.at[name]) > goneTime
}

// gone reports whether others may act in the place of a gateway that does not
// answer. An embedded engine has no other way between its gateways than itself.
func (m *Manager) gone(name string) bool {
	return m.engine.Embedded() || m.peers.gone(name, time.Since(m.peers.since))
}

// complete reports whether all that are known have answered with a part.
func (m *Manager) complete(answers [][]byte) bool {
	missing := m.peers.lately()
	known := len(missing)
	for _, a := range answers {
		var p part
		if json.Unmarshal(a, &p) == nil {
			delete(missing, p.Gateway)
		}
	}
	return known > 0 && len(answers) > 0 && len(missing) == 0
}
