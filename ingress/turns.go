package ingress

import (
	"context"
	"sync/atomic"
	"time"
)

// turns bound what is under way at once. Twice as many may wait for their turn,
// for a moment: who waits has a worker, and the others are for other sources.
type turns struct {
	taken   chan struct{}
	waiting atomic.Int64
}

// turnWait is how long a turn is waited for. A row that is given back instead
// comes again a good deal later.
const turnWait = 100 * time.Millisecond

func newTurns(n int) *turns { return &turns{taken: make(chan struct{}, n)} }

// take reports whether it is the caller's turn. Then done must be called.
func (t *turns) take(ctx context.Context) bool {
	select {
	case t.taken <- struct{}{}:
		return true
	default:
	}
	defer t.waiting.Add(-1)
	if t.waiting.Add(1) > int64(2*cap(t.taken)) {
		return false
	}
	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case t.taken <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (t *turns) done() { <-t.taken }
