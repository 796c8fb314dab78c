package subscription_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/subscription"
)

// ledger watches deliveries of an ordered subscription: at most one of an entity
// is in force, in the order of the log.
type ledger struct {
	t       *testing.T
	mu      sync.Mutex
	inForce map[string]uint64 // entity: event that is in somebody's hands
	done    map[string]uint64 // entity: the last that is settled
	settled map[uint64]bool
}

func (l *ledger) take(d subscription.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, seq := d.Event.Entity(), d.Event.Seq()
	if other := l.inForce[e]; other != 0 {
		l.t.Errorf("%s: %d is handed out while %d is in force", e, seq, other)
	}
	if seq <= l.done[e] {
		l.t.Errorf("%s: %d is handed out after %d was settled", e, seq, l.done[e])
	}
	if l.settled[seq] {
		l.t.Errorf("%s: %d is handed out after it was settled", e, seq)
	}
	l.inForce[e] = seq
}

// over says that a delivery is about to be settled, or given back.
func (l *ledger) over(d subscription.Delivery, final bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, seq := d.Event.Entity(), d.Event.Seq()
	delete(l.inForce, e)
	if final {
		l.done[e], l.settled[seq] = seq, true
	}
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.settled)
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, inForce: make(map[string]uint64), done: make(map[string]uint64), settled: make(map[uint64]bool)}
}

// Under random verdicts, consumers on two gateways that come and go, every event
// is settled, and each entity sees its events one at a time and in order.
func TestOrderByEntityUnderRandomVerdicts(t *testing.T) {
	seeds := 3
	if heavy.Full() {
		seeds = 12
	}
	onBoth(t, func(t *testing.T, r *rig) {
		for seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { orderRound(t, r, seed) })
		}
	})
}

func orderRound(t *testing.T, r *rig, seed int) {
	rnd := rand.New(rand.NewPCG(uint64(seed), 1))
	id := fmt.Sprintf("ordered-%d", seed)
	sub, err := r.a.Create(t.Context(), id, subscription.Settings{
		Ordering: subscription.OrderByEntity, AckDeadline: time.Minute, MaxAttempts: 4, BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond,
		MaxOutstandingEvents: 1 + rnd.IntN(40),
	}, subscription.Position{})
	if err != nil {
		t.Fatal(err)
	}
	r.inForce(sub)
	const events = 150
	var seqs []uint64
	for range events {
		seqs = append(seqs, r.publish("", fmt.Sprintf("signature_requests/%d-%d", seed, rnd.IntN(8))))
	}
	l := newLedger(t)
	var mu sync.Mutex
	dice := func(n int) int { mu.Lock(); defer mu.Unlock(); return rnd.IntN(n) }
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for n := range 6 {
		g, other := r.a, r.b
		if n%3 == 2 {
			g, other = r.b, r.a
		}
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				consumeOrdered(t, g, other, id, l, dice, stop)
			}
		})
	}
	// An event whose last attempt broke off with its stream is parked.
	waitFor(t, "all to be settled or parked", func() bool {
		return t.Failed() || l.count()+len(l.parkedOnly(r.a, id)) == events
	})
	close(stop)
	wg.Wait()
	parked := l.parkedOnly(r.a, id)
	for _, seq := range seqs {
		if !l.settled[seq] && !slices.Contains(parked, seq) {
			t.Errorf("event %d was lost", seq)
		}
	}
}

// parkedOnly answers the parked events that no consumer settled.
func (l *ledger) parkedOnly(g *gateway, id string) (out []uint64) {
	parked, _, err := g.ListParked(l.t.Context(), id, 1000, "")
	if err != nil {
		l.t.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range parked {
		if !l.settled[p.Event.Seq()] {
			out = append(out, p.Event.Seq())
		}
	}
	return out
}

// consumeOrdered is one life of a consumer: it settles what it is handed, on any
// gateway, and after a while breaks off and has what it held given back.
func consumeOrdered(t *testing.T, g, other *gateway, id string, l *ledger, dice func(int) int, stop chan struct{}) {
	queue := make(chan subscription.Delivery, 4096)
	life := 5 + dice(60)
	s := attach(g, id, subscription.ConsumerOptions{MaxEvents: 1 + dice(20), Heartbeat: 10 * time.Millisecond}, func(d subscription.Delivery) {
		l.take(d)
		queue <- d
	})
	for range life {
		var d subscription.Delivery
		select {
		case d = <-queue:
		case <-stop:
			life = 0
		case <-time.After(time.Second):
			life = 0
		}
		if life == 0 {
			break
		}
		by := g
		if dice(2) == 0 {
			by = other
		}
		settleOrdered(t, by, d, l, dice)
	}
	// What is left is over before it is given back: nobody has it any more.
	s.stopWith(func() {
		for {
			select {
			case d := <-queue:
				l.over(d, false)
			default:
				return
			}
		}
	})
}

func settleOrdered(t *testing.T, by *gateway, d subscription.Delivery, l *ledger, dice func(int) int) {
	v := subscription.Settlement{Token: d.Token, Verdict: subscription.Ack}
	switch n := dice(10); {
	case n < 2:
		v.Verdict = subscription.Retry
	case n == 2:
		v.Verdict = subscription.Skip
	case n == 3 && dice(5) == 0:
		v.Verdict = subscription.Park
	}
	last := v.Verdict == subscription.Retry && d.Attempt >= 4
	// The ledger must know before anybody can be handed the next.
	l.over(d, v.Verdict != subscription.Retry || last)
	res := settle(t, by, v)
	want := subscription.Done
	if v.Verdict == subscription.Park || last {
		want = subscription.Parked
	}
	if res.Outcome != want {
		t.Errorf("verdict %d on event %d, attempt %d: outcome %d", v.Verdict, d.Event.Seq(), d.Attempt, res.Outcome)
	}
}

// Another gateway takes over when the one that hands out has no consumers left,
// and only when nothing it handed out is in force.
func TestOrderedTakeover(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		one := r.publish("", "signature_requests/1")
		two := r.publish("", "signature_requests/1")
		r.create("crm", subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: 20 * time.Second})
		d := pull(t, r.a, "crm", 1)[0]
		if d.Event.Seq() != one {
			t.Fatalf("event %d came first", d.Event.Seq())
		}
		s := attach(r.b, "crm", subscription.ConsumerOptions{}, nil)
		defer s.stop()
		waitFor(t, "the takeover", func() bool {
			st, err := r.a.State(t.Context(), "crm")
			return err == nil && st.Blocked == subscription.BlockedTakeover
		})
		if s.count() != 0 {
			t.Fatalf("%d was handed out while %d was in force", s.deliveries()[0].Event.Seq(), one)
		}
		ack(t, r.b, d)
		waitFor(t, "the second", func() bool { return s.count() == 1 })
		if got := s.deliveries()[0].Event.Seq(); got != two {
			t.Errorf("event %d came second", got)
		}
	})
}

// While one gateway hands out, streams on the other stand by, and say so.
func TestOrderedStandsBy(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.create("crm", subscription.Settings{Ordering: subscription.OrderByEntity})
		s := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
		r.publish("", "signature_requests/1")
		waitFor(t, "the delivery", func() bool { return s.count() == 1 })
		by := attach(r.b, "crm", subscription.ConsumerOptions{}, nil)
		defer by.stop()
		waitFor(t, "the other to stand by", func() bool { return by.now() == subscription.StandingBy })
		ack(t, r.b, s.deliveries()...)
		s.stop()
		r.publish("", "signature_requests/1")
		waitFor(t, "the other to take over", func() bool { return by.count() == 1 && by.now() == subscription.Active })
	})
}

// beyondLinger is longer than a gateway goes on after the last Pull.
const beyondLinger = 1500 * time.Millisecond

// What one Pull asked JetStream for may be answered when another waits, after a
// pause. It is for that one, and not given back.
func TestOrderedPullAfterAPause(t *testing.T) {
	t.Parallel()
	r := embedded(t)
	r.create("crm", subscription.Settings{Ordering: subscription.OrderByEntity})
	nothingThere(t, r.a, "crm", 300*time.Millisecond)
	time.Sleep(beyondLinger)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		time.Sleep(100 * time.Millisecond) // the Pull has begun
		r.publish("", "signature_requests/1")
	})
	d := pull(t, r.a, "crm", 1)[0]
	if st, err := r.a.State(t.Context(), "crm"); err != nil || st.Redelivered != 0 {
		t.Errorf("event %d was handed out again: %+v, %v", d.Event.Seq(), st, err)
	}
}

// Pulls that are short and far between get something all the same: a gateway that
// is handed the first message hands it out at once when nothing else is held.
func TestOrderedPullsNowAndThen(t *testing.T) {
	t.Parallel()
	r := embedded(t)
	r.publish("", "signature_requests/1")
	r.create("crm", subscription.Settings{Ordering: subscription.OrderByEntity})
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		got, err := r.a.Pull(t.Context(), "crm", subscription.ConsumerOptions{}, 100*time.Millisecond)
		switch {
		case err != nil:
			t.Fatal(err)
		case len(got) > 0:
			return
		}
		time.Sleep(beyondLinger)
	}
	t.Error("the event was never handed out")
}
