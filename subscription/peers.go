package subscription

import (
	"encoding/json"
	"sync"
	"time"
)

// peers are the gateways that were heard of lately, this one too. It only spares
// waiting: nothing depends on its being complete.
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

// complete reports whether all that are known have answered with a part.
func (m *Manager) complete(answers [][]byte) bool {
	m.peers.mu.Lock()
	defer m.peers.mu.Unlock()
	missing := make(map[string]bool)
	for name, at := range m.peers.at {
		missing[name] = time.Since(at) <= peerAge
	}
	for _, a := range answers {
		var p part
		if json.Unmarshal(a, &p) == nil {
			missing[p.Gateway] = false
		}
	}
	for _, is := range missing {
		if is {
			return false
		}
	}
	return len(missing) > 0 && len(answers) > 0
}
