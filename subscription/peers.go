package subscription

import (
	"encoding/json"
	"sync"
	"time"
)

// peers are the gateways that were heard of lately, this one too. One that has just
// begun, or is cut off, may be missing.
type peers struct {
	mu sync.Mutex
	at map[string]time.Time
}

const (
	greetEvery = 3 * time.Second
	peerAge    = 10 * time.Second
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
