package ingress

import (
	"sync/atomic"
	"time"
)

// gateInterval is how often a gate opens. What a stranger can cause must not
// fill a disk with log lines.
const gateInterval = 10 * time.Second

// A gate lets one log line pass per interval and counts the others. The zero
// gate is open.
type gate struct {
	next    atomic.Int64 // when it opens, Unix nanoseconds
	skipped atomic.Int64
}

// open reports whether a line may be written now, and how many were not since
// the last.
func (g *gate) open(now time.Time) (skipped int64, ok bool) { return g.openEvery(now, gateInterval) }

// openEvery is open for a gate with an interval of its own.
func (g *gate) openEvery(now time.Time, interval time.Duration) (skipped int64, ok bool) {
	next := g.next.Load()
	if now.UnixNano() < next || !g.next.CompareAndSwap(next, now.Add(interval).UnixNano()) {
		g.skipped.Add(1)
		return 0, false
	}
	return g.skipped.Swap(0), true
}
