package ingress

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Of five that want a turn when two may have one, the waiting get theirs as soon
// as one ends, and who waits too long goes without.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2)
		var underWay, most, without atomic.Int64
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if !turns.take(t.Context()) {
					without.Add(1)
					return
				}
				most.Store(max(most.Load(), underWay.Add(1)))
				time.Sleep(60 * time.Millisecond)
				underWay.Add(-1)
				turns.done()
			})
		}
		all.Wait()
		// Two begin at once, two 60 ms later; the fifth would have to wait for 120.
		if most.Load() != 2 || without.Load() != 1 {
			t.Errorf("%d at a time, %d without a turn; want 2 and 1", most.Load(), without.Load())
		}
		for range 2 {
			if !turns.take(t.Context()) {
				t.Error("a turn was not given back")
			}
		}
	})
}

// No more wait than twice as many as may have a turn: others need the workers.
func TestTurnsAreNotWaitedForByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		turns.take(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if turns.take(ctx) {
					t.Error("a second turn")
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		if turns.take(t.Context()) || time.Since(start) != 0 {
			t.Errorf("the fourth waited for %v", time.Since(start))
		}
		cancel()
		all.Wait()
		if time.Since(start) != 0 {
			t.Error("who waits does not look at the context")
		}
	})
}

// Requests of one moment share a context; none ends sooner than seven eighths of
// the time it was to have, nor later than that time.
func TestSharedDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 8 * time.Second
		d := deadlines{wait: wait}
		seen := make(map[context.Context]bool)
		var last context.Context
		for range 50 { // five seconds
			last = d.from(time.Now())
			seen[last] = true
			until, ok := last.Deadline()
			if left := time.Until(until); !ok || left > wait || left < wait-wait/8 {
				t.Fatalf("%v left of %v", left, wait)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if len(seen) != 5 {
			t.Errorf("%d contexts in five seconds, want one each second", len(seen))
		}
		if last.Err() != nil {
			t.Error("it ended too early")
		}
		time.Sleep(wait)
		if last.Err() == nil {
			t.Error("it never ends")
		}
	})
}
