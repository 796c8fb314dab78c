package eventlog

import (
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// QuorumAt is quorumAt.
var QuorumAt = quorumAt

// Node answers at which node of a test's cluster entries are published.
func Node(e *Engine) int {
	for _, l := range e.allLinks() {
		if l.purpose == publishing+streamEvents {
			return nodeOf(l)
		}
	}
	return -1
}

// NodesOf answers at which nodes there are connections.
func NodesOf(e *Engine) map[int]bool {
	out := make(map[int]bool)
	for _, l := range e.allLinks() {
		out[nodeOf(l)] = true
	}
	return out
}

func nodeOf(l *link) int { return strings.Index("n0n1n2", l.nc.ConnectedServerName()) / 2 }

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

// JetStream is what the engine asks.
func JetStream(e *Engine) jetstream.JetStream { return e.js }

// EventSubject is eventSubject.
var EventSubject = eventSubject
