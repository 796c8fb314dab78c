package subscription_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/subscription"
)

// inMemoryWith is inMemory with a subscription for which some events were published.
func inMemoryWith(t *testing.T, s subscription.Settings, events int, test func(*testing.T, *memory)) {
	t.Helper()
	inMemory(t, func(t *testing.T, m *memory, _ func(int) *gateway) {
		m.created(t, s)
		for n := range events {
			m.published(t, fmt.Sprint(n))
		}
		time.Sleep(time.Second)
		test(t, m)
	})
}

// consume settles what comes, and answers how many events have come. It ends with
// stop.
func consume(g *subscription.Manager, v subscription.Verdict) (count func() int, stop func()) {
	return consumeBy(1, g, v)
}

// consumeBy is consume with some consumers.
func consumeBy(consumers int, g *subscription.Manager, v subscription.Verdict) (count func() int, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := make(map[uint64]bool)
	for range consumers {
		wg.Go(func() {
			_ = g.Attach(ctx, subID, subscription.ConsumerOptions{}, func(f subscription.Frame) error {
				for _, d := range f.Deliveries {
					mu.Lock()
					seen[d.Event.Seq()] = true
					mu.Unlock()
					if v != 0 {
						g.Settle(ctx, "", []subscription.Settlement{{Token: d.Token, Verdict: v}})
					}
				}
				return nil
			})
		})
	}
	count = func() int { mu.Lock(); defer mu.Unlock(); return len(seen) }
	return count, sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// Who takes over an ordered subscription collects what was replayed and is held by
// others as fast as anything else: it hands out nothing meanwhile.
func TestTakeOverOfManyReplays(t *testing.T) {
	const events = 200
	inMemoryWith(t, subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: time.Second, MaxOutstandingEvents: events}, events, func(t *testing.T, m *memory) {
		gs := m.gateways()
		_, stop := consume(gs[0], subscription.Park)
		time.Sleep(time.Minute)
		stop()
		if n, err := gs[1].ReplayParked(t.Context(), subID, subscription.Selection{All: true}, false); n != events || err != nil {
			t.Fatalf("%d are replayed: %v", n, err)
		}
		took, stop := consume(gs[0], 0) // settles nothing, and goes
		time.Sleep(time.Second)
		stop()
		if took() == 0 {
			t.Fatal("nothing is in anybody's hands")
		}
		if _, err := m.publish("signature_request.done", "new"); err != nil { // now there is a pin to be had
			t.Fatal(err)
		}
		count, stop := consume(gs[2], subscription.Ack)
		defer stop()
		if time.Sleep(40 * time.Second); count() != events+1 {
			t.Errorf("%d of %d replayed events came within 40 s", count(), events)
		}
	})
}

// Who is chosen with an event that is not selected has the pin as well, and hands out
// what is replayed.
func TestReplaysComeThoughTheGatewayWasChosenWithSomethingElse(t *testing.T) {
	s := subscription.Settings{Ordering: subscription.OrderByEntity, Selector: selector("types: 'signature_request.done'")}
	inMemoryWith(t, s, 3, func(t *testing.T, m *memory) {
		gs := m.gateways()
		_, stop := consume(gs[0], subscription.Park)
		time.Sleep(time.Minute)
		stop()
		time.Sleep(time.Minute) // nobody has the pin
		count, stop := consume(gs[1], subscription.Ack)
		defer stop()
		time.Sleep(10 * time.Second)
		if _, err := m.publish("signer.done", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if n, err := gs[2].ReplayParked(t.Context(), subID, subscription.Selection{All: true}, false); n != 3 || err != nil {
			t.Fatalf("%d are replayed: %v", n, err)
		}
		if time.Sleep(time.Minute); count() != 3 {
			t.Errorf("%d of 3 replayed events came within a minute", count())
		}
	})
}

// What a consumer does not even take, since it is frozen or does not read, goes to
// another one, on whichever gateway that is.
func TestFrozenConsumerKeepsNothingFromOthers(t *testing.T) {
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		for _, where := range []int{0, 1} {
			t.Run(fmt.Sprintf("ordering %d, at gateway %d", ordering, where), func(t *testing.T) {
				const events = 20
				inMemoryWith(t, subscription.Settings{Ordering: ordering, AckDeadline: 5 * time.Second}, events, func(t *testing.T, m *memory) {
					gs := m.gateways()
					ctx, thaw := context.WithCancel(t.Context())
					defer thaw()
					frozen := make(chan struct{})
					go func() {
						defer close(frozen)
						_ = gs[0].Attach(ctx, subID, subscription.ConsumerOptions{}, func(subscription.Frame) error {
							<-ctx.Done()
							return ctx.Err()
						})
					}()
					time.Sleep(2 * time.Second)
					count, stop := consume(gs[where], subscription.Ack)
					defer stop()
					if time.Sleep(time.Minute); count() != events {
						t.Errorf("%d of %d events came within a minute", count(), events)
					}
					thaw()
					<-frozen
				})
			})
		}
	}
}

// Who takes over what a dead gateway held is handed more than it can look at, or have
// renewed, while JetStream holds it. It hands out what it comes to in time, as fast as it
// can, and what it comes to too late costs nobody an attempt.
func TestTakeOverOfMoreThanCanBeLookedAtInTime(t *testing.T) {
	heavy.Test(t)
	const (
		events = 600
		each   = 100 * time.Millisecond // a minute for all, and what is handed out is held for 20 s
	)
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		t.Run(fmt.Sprintf("ordering %d", ordering), func(t *testing.T) {
			s := subscription.Settings{Ordering: ordering, AckDeadline: 10 * time.Second, MaxOutstandingEvents: events, BackoffMin: time.Second, MaxAttempts: 2}
			inMemoryWith(t, s, events, func(t *testing.T, m *memory) {
				took, stop := consume(m.alive[0].Manager, 0)
				defer stop()
				time.Sleep(2 * time.Second)
				if took() != events {
					t.Fatalf("%d of %d events are in somebody's hands", took(), events)
				}
				for n := range 3 {
					m.alive[n].engine.Slow(each)
				}
				m.fault("kill", 0)
				count, stop := consumeBy(4, m.alive[1].Manager, subscription.Ack)
				defer stop()
				// Each is asked about and settled, and some of both is in vain. By entity nothing
				// is handed out before all has been asked about.
				bound, silent := 8*events*each, 2*silence
				if ordering == subscription.OrderByEntity {
					silent = bound
				}
				keepsComing(t, count, events, silent, bound)
				m.heal()
				time.Sleep(time.Minute)
				if parked, _, err := m.alive[1].ListParked(t.Context(), subID, events, ""); len(parked) > 0 || err != nil {
					t.Errorf("%d were parked: %v", len(parked), err)
				}
			})
		})
	}
}

// keepsComing waits until all have come, with no silence and in all not longer than it
// may take.
func keepsComing(t *testing.T, count func() int, all int, silence, bound time.Duration) {
	t.Helper()
	began, last, at := time.Now(), 0, time.Now()
	for ; count() < all; time.Sleep(time.Second) {
		if n := count(); n > last {
			last, at = n, time.Now()
		}
		if time.Since(at) > silence || time.Since(began) > bound {
			t.Fatalf("%d of %d events came within %s, the last of them %s ago", last, all, time.Since(began), time.Since(at))
		}
	}
	t.Logf("all came within %s", time.Since(began))
}

// What its consumer was lost with is tried again though other events come all the time.
func TestASuspectHasItsTurnWhileOthersArrive(t *testing.T) {
	s := subscription.Settings{AckDeadline: 10 * time.Second, BackoffMin: time.Second, MaxAttempts: 10}
	inMemoryWith(t, s, 1, func(t *testing.T, m *memory) {
		took, stop := consume(m.alive[0].Manager, 0)
		time.Sleep(time.Second)
		stop() // alone with the first event
		if took() != 1 {
			t.Fatal("nobody was lost with it")
		}
		var again atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		for n := range 3 {
			o := subscription.ConsumerOptions{ClientID: fmt.Sprint(n)}
			wg.Go(func() {
				_ = m.alive[0].Attach(ctx, subID, o, func(f subscription.Frame) error {
					for _, d := range f.Deliveries {
						if d.Attempt > 1 {
							again.Store(true)
						}
						m.alive[0].Settle(ctx, "", []subscription.Settlement{{Token: d.Token, Verdict: subscription.Ack}})
					}
					return nil
				})
			})
		}
		for range 1000 { // 20 s
			m.published(t, "other")
			time.Sleep(20 * time.Millisecond)
		}
		if !again.Load() {
			t.Error("it did not come again within 20 s")
		}
	})
}
