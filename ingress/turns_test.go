package ingress

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func crewOf(n int64) *crew {
	c := new(crew)
	c.idle.Store(n)
	return c
}

// brisk are turns that have been short so far.
func brisk(c *crew) *turns {
	t := newTurns(c)
	t.typical = time.Millisecond
	return t
}

func (t *turns) acquireAll(tb testing.TB, ctx context.Context) (all []*turn) {
	for len(all) < 1000 {
		u := t.acquire(ctx)
		if u == nil {
			return all
		}
		all = append(all, u)
	}
	tb.Fatal("turns have no end")
	return nil
}

// One source has three quarters of the crew, the next most of what that leaves,
// and there always is a turn for who has none.
func TestTurnsLeaveSomeForOthers(t *testing.T) {
	c := crewOf(64)
	slow := newTurns(c) // nobody waits for such
	first := slow.acquireAll(t, t.Context())
	second := newTurns(c).acquireAll(t, t.Context())
	if len(first) != 48 || len(second) != 12 {
		t.Errorf("%d and %d turns of 64, want 48 and 12", len(first), len(second))
	}
	if newTurns(c).acquire(t.Context()) == nil {
		t.Error("no turn for a third")
	}
	for _, u := range first {
		u.done()
		u.done() // no matter
	}
	if n := len(newTurns(c).acquireAll(t, t.Context())); n != 38 {
		t.Errorf("%d turns after 48 ended, want 38", n)
	}
}

// Of seven that want a turn when three may have one, the waiting get theirs as soon
// as one ends, and who waits too long goes without.
func TestTurnsAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := brisk(crewOf(5))
		var underWay, most, without atomic.Int64
		var all sync.WaitGroup
		for range 7 {
			all.Go(func() {
				u := turns.acquire(t.Context())
				if u == nil {
					without.Add(1)
					return
				}
				most.Store(max(most.Load(), underWay.Add(1)))
				time.Sleep(60 * time.Millisecond)
				underWay.Add(-1)
				u.done()
			})
		}
		all.Wait()
		// Three begin at once, three 60 ms later; the seventh would have to wait for 120.
		if most.Load() != 3 || without.Load() != 1 {
			t.Errorf("%d at a time, %d without a turn; want 3 and 1", most.Load(), without.Load())
		}
		if n := len(turns.acquireAll(t, t.Context())); n != 3 {
			t.Errorf("%d turns afterwards, want 3", n)
		}
	})
}

// Who has waited longest is next.
func TestTurnsComeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := brisk(crewOf(1))
		held := turns.acquire(t.Context())
		var order []int
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				u := turns.acquire(t.Context())
				order = append(order, i) // one at a time
				u.done()
			})
			synctest.Wait()
		}
		held.done()
		all.Wait()
		if !slices.Equal(order, []int{0, 1, 2, 3, 4}) {
			t.Errorf("turns came in the order %v", order)
		}
	})
}

// Who would wait for long does not wait at all: others need the workers.
func TestTurnsThatTakeLongAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := brisk(crewOf(1))
		goesWithoutAfter := func(want time.Duration) {
			t.Helper()
			start := time.Now()
			if turns.acquire(t.Context()) != nil || time.Since(start) != want {
				t.Errorf("waited for %v, want %v", time.Since(start), want)
			}
		}
		held := turns.acquire(t.Context())
		goesWithoutAfter(turnWait) // nobody knows yet that it takes long
		goesWithoutAfter(0)
		time.Sleep(10 * time.Second)
		held.done()
		held = turns.acquire(t.Context())
		goesWithoutAfter(0)
		held.done()
		for range 50 { // the provider is itself again
			u := turns.acquire(t.Context())
			time.Sleep(time.Millisecond)
			u.done()
		}
		turns.acquire(t.Context())
		goesWithoutAfter(turnWait)
	})
}

// Who waits ends with its context, and the turn that was meant for it goes to
// the next.
func TestTurnsOfThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := brisk(crewOf(1))
		held := turns.acquire(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if turns.acquire(ctx) != nil {
				t.Error("a turn in spite of the end")
			}
		})
		synctest.Wait()
		all.Go(func() {
			if turns.acquire(t.Context()) == nil {
				t.Error("no turn for the next")
			}
		})
		synctest.Wait()
		start := time.Now()
		cancel()
		synctest.Wait()
		held.done()
		all.Wait()
		if time.Since(start) != 0 {
			t.Errorf("it took %v", time.Since(start))
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
