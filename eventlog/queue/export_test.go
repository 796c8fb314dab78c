package queue

import "github.com/nats-io/nats.go"

// A Slot is one inbox of a Puller.
type Slot = slot

// OpenSlots are those whose pull may still bring something.
func OpenSlots(p *Puller) (out []*Slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.slots {
		if s.left > 0 {
			out = append(out, s)
		}
	}
	return out
}

// Receive has a message come to an inbox.
func Receive(s *Slot, m *nats.Msg) { s.receive(m) }
