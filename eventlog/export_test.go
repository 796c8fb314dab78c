package eventlog

import "github.com/nats-io/nats.go"

// QueueConn is the connection of the queues.
func QueueConn(e *Engine) *nats.Conn {
	nc, err := e.queueConn()
	if err != nil {
		panic(err)
	}
	return nc
}

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
