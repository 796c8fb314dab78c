package subscription

import (
	"context"
	"time"
)

// Times that are for others go by one clock: the deadline in a token, until when a
// queue holds for a former deadline, the number of a hand-out. Nothing else does:
// what is measured within one life of a gateway goes by time.Now, which a clock that
// is set does not move.

// now is the time of day as all gateways have it. On a cluster it is that of
// whoever leads the log: the clocks of gateways may differ by anything. An embedded
// gateway has only its own, from one life to the next.
func (m *Manager) now() time.Time {
	if m.engine.Embedded() {
		return m.opts.clock().Round(0)
	}
	return m.engine.Time()
}

// toAll answers the time of day at which it is a time of ours.
func (m *Manager) toAll(at time.Time) time.Time { return m.now().Add(time.Until(at)) }

// toOurs answers our time at which it is a time of day.
func (m *Manager) toOurs(at time.Time) time.Time { return time.Now().Add(at.Sub(m.now())) }

// hearTime waits until it is known what time it is.
func (m *Manager) hearTime(ctx context.Context) error {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for m.now().IsZero() {
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
