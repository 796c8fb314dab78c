package ingress

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A crew is the workers of a gateway, as far as they are not asking. Turns to ask
// are taken from it.
type crew struct{ idle atomic.Int64 }

// ofIdle is how many turns a source may have for each worker that is not asking,
// but for one: alone it gets three quarters of the crew, and a source that has
// none gets one, however many others have.
const ofIdle = 3

// turns are those of one source. Who waits for a turn has a worker, which others
// may need: it waits as long as turns are so short that it will be a moment.
type turns struct {
	crew *crew

	// mu guards what follows. No other is taken under it.
	mu      sync.Mutex
	taken   int
	waiting []chan struct{} // closed when it has become their turn
	typical time.Duration   // how long a turn takes
}

// turnWait is how long a turn is waited for. A row that is given back instead
// comes again a good deal later.
const turnWait = 100 * time.Millisecond

func newTurns(c *crew) *turns { return &turns{crew: c, typical: turnWait} } // until it is known

// A turn is one of them, until it is done.
type turn struct {
	of    *turns
	since time.Time
}

// acquire answers nil when it does not become the caller's turn.
func (t *turns) acquire(ctx context.Context) *turn {
	mine := t.enter()
	if mine == nil || mine != atOnce && !t.await(ctx, mine) {
		return nil
	}
	return &turn{t, time.Now()}
}

func (t *turns) await(ctx context.Context, mine chan struct{}) bool {
	timer := time.NewTimer(turnWait)
	defer timer.Stop()
	select {
	case <-mine:
		return true
	case <-timer.C:
		return !t.leave(mine, turnWait)
	case <-ctx.Done():
		return !t.leave(mine, 0)
	}
}

// atOnce is for those who need not wait.
var atOnce = make(chan struct{})

// enter answers what is closed when it is the caller's turn, nil when waiting is
// of no use.
func (t *turns) enter() chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.give() {
		return atOnce
	}
	rounds := len(t.waiting)/max(t.taken, 1) + 1
	if time.Duration(rounds)*t.typical >= turnWait {
		return nil
	}
	mine := make(chan struct{})
	t.waiting = append(t.waiting, mine)
	return mine
}

// give takes a turn from the crew, if there is one. The caller holds mu.
func (t *turns) give() bool {
	if t.taken > 0 && int64(t.taken) >= ofIdle*(t.crew.idle.Load()-1) {
		return false
	}
	t.taken++
	t.crew.idle.Add(-1)
	return true
}

// leave reports whether the caller no longer waits. It does not when its turn
// came meanwhile.
func (t *turns) leave(mine chan struct{}, waited time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, mine)
	if i < 0 {
		return false
	}
	t.waiting = slices.Delete(t.waiting, i, i+1)
	t.typical = max(t.typical, waited)
	return true
}

// done ends a turn, unless it has ended.
func (u *turn) done() {
	t := u.of
	if t == nil {
		return
	}
	u.of = nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.typical += (time.Since(u.since) - t.typical) / 8
	t.taken--
	t.crew.idle.Add(1)
	for len(t.waiting) > 0 && t.give() {
		close(t.waiting[0])
		t.waiting = t.waiting[1:]
	}
}
