package jetstream

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// QuorumAt is quorumAt.
var QuorumAt = quorumAt

// Node answers at which node of a test's cluster entries are published.
func Node(e *Engine) int {
	for _, l := range e.allLinks() {
		if l.purpose == publishing+StreamEvents {
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

// LeaderClock is leaderClock.
type LeaderClock = leaderClock

// Hear is hear.
func (c *leaderClock) Hear(sent time.Time, answer []byte) { c.hear(sent, answer) }

// Now is now.
func (c *leaderClock) Now() time.Time { return c.now() }

// Streams is streams.
type Streams = streams

// Knows is knows.
func (s *streams) Knows(name string) { s.knows(name) }

// Is is is.
func (s *streams) Is(name string, info *jetstream.StreamInfo, now time.Time) (error, bool) {
	return s.is(name, info, now)
}
