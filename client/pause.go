package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// firstPause and lastPause bound the wait before another attempt.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 15 * time.Second
	// longestAsked is how long a peer can make us wait.
	longestAsked = time.Minute
)

// pauses counts the attempts that failed one after another. The zero value has
// seen none.
type pauses struct {
	failed int
}

// reset forgets: something worked.
func (p *pauses) reset() { p.failed = 0 }

// next answers how long to wait now, and at least what was asked for, up to a
// minute. They grow, and are spread, so that many clients do not come back to a
// restarted gateway at once.
func (p *pauses) next(asked time.Duration) time.Duration {
	wait := min(firstPause<<min(p.failed, 10), lastPause)
	p.failed++
	return max(wait/2+rand.N(wait/2), min(asked, longestAsked)+rand.N(firstPause))
}

// sleep waits, unless ctx ends before.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
