package subscription_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/subscription"
)

// inEachOrder runs a test for an unordered subscription and one by entity, on both
// engines.
func inEachOrder(t *testing.T, test func(*testing.T, *rig, subscription.Ordering)) {
	onBoth(t, func(t *testing.T, r *rig) {
		t.Run("unordered", func(t *testing.T) { test(t, r, subscription.Unordered) })
		t.Run("by entity", func(t *testing.T) { test(t, r, subscription.OrderByEntity) })
	})
}

func name(o subscription.Ordering) string { return fmt.Sprintf("crm-%d", o) }

// publishEntities appends n events of a few entities.
func (r *rig) publishEntities(n, entities int) (seqs []uint64) {
	for i := range n {
		seqs = append(seqs, r.publish("", fmt.Sprintf("signature_requests/%d", i%entities)))
	}
	return seqs
}

// createHere makes a subscription of what is published from now on.
func (r *rig) createHere(id string, s subscription.Settings) {
	r.t.Helper()
	sub, err := r.a.Create(context.Background(), id, s, subscription.Position{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.inForce(sub)
}

// lives runs consumers one after the other that acknowledge what they are handed
// and break off when fn says so, until done.
func lives(t *testing.T, g *gateway, id string, dies func(subscription.Delivery) bool, acked func(subscription.Delivery), done func() bool) {
	deadline := time.Now().Add(90 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatal("waited too long")
		}
		queue := make(chan subscription.Delivery, 4096)
		s := attach(g, id, subscription.ConsumerOptions{ClientID: "worker"}, func(d subscription.Delivery) { queue <- d })
		for alive := true; alive && !done() && time.Now().Before(deadline); {
			select {
			case d := <-queue:
				if alive = !dies(d); alive {
					if settle(t, g, subscription.Settlement{Token: d.Token, Verdict: subscription.Ack}).Outcome == subscription.Done {
						acked(d)
					}
				}
			case <-time.After(20 * time.Millisecond):
			}
		}
		s.stop()
	}
}

// One event that ends each of its consumers is parked, and no other, however many
// lay in the same windows.
func TestOnlyWhatEndsItsConsumerIsParked(t *testing.T) {
	inEachOrder(t, func(t *testing.T, r *rig, o subscription.Ordering) {
		id := name(o)
		r.createHere(id, subscription.Settings{Ordering: o, MaxAttempts: 3, BackoffMin: subscription.NoBackoff})
		seqs := r.publishEntities(60, 7)
		poison := seqs[20]
		var mu sync.Mutex
		acked := make(map[uint64]bool)
		var parked []subscription.ParkedDelivery
		lives(t, r.a, id, func(d subscription.Delivery) bool { return d.Event.Seq() == poison },
			func(d subscription.Delivery) { mu.Lock(); defer mu.Unlock(); acked[d.Event.Seq()] = true },
			func() bool {
				parked, _, _ = r.b.ListParked(t.Context(), id, 100, "")
				mu.Lock()
				defer mu.Unlock()
				return len(acked)+len(parked) >= len(seqs)
			})
		if len(parked) != 1 || parked[0].Event.Seq() != poison || parked[0].Attempts != 3 {
			t.Errorf("parked: %+v", parked)
		}
	})
}

// The same with one Pull after the other, whose consumer is never heard of again
// once it has the poison: what is suspected is answered alone.
func TestOnlyWhatSilencesItsPullIsParked(t *testing.T) {
	inEachOrder(t, func(t *testing.T, r *rig, o subscription.Ordering) {
		id := name(o)
		r.createHere(id, subscription.Settings{Ordering: o, MaxAttempts: 2, AckDeadline: time.Second, BackoffMin: subscription.NoBackoff})
		seqs := r.publishEntities(12, 12)
		poison := seqs[3]
		acked := 0
		var parked []subscription.ParkedDelivery
		waitFor(t, "all to be settled", func() bool {
			got, err := r.a.Pull(t.Context(), id, subscription.ConsumerOptions{}, 300*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(seqsOf(got), poison) {
				ack(t, r.a, got...)
				acked += len(got)
			}
			parked, _, _ = r.a.ListParked(t.Context(), id, 100, "")
			return acked+len(parked) >= len(seqs)
		})
		if len(parked) != 1 || parked[0].Event.Seq() != poison || parked[0].Attempts != 2 {
			t.Errorf("parked: %+v", parked)
		}
	})
}

// Connections that end with a window in their hands, and come to nothing of it,
// park nothing: what may have ended one is tried alone, and each in its turn.
func TestWindowsThatBreakOffParkNothing(t *testing.T) {
	inEachOrder(t, func(t *testing.T, r *rig, o subscription.Ordering) {
		id := name(o)
		r.createHere(id, subscription.Settings{Ordering: o, MaxAttempts: 6, BackoffMin: subscription.NoBackoff})
		seqs := r.publishEntities(12, 12)
		highest := make(map[uint64]int64)
		for n := range 6 {
			want := 1
			if n == 0 {
				want = len(seqs)
			}
			s := attach(r.a, id, subscription.ConsumerOptions{}, nil)
			waitFor(t, "the deliveries", func() bool { return s.count() >= want })
			s.stop()
			for _, d := range s.deliveries() {
				// The window costs nobody an attempt, and each connection after it one event one.
				if d.Attempt > max(n, 1) || d.HandOut <= highest[d.Event.Seq()] {
					t.Errorf("connection %d: event %d, attempt %d, hand-out %d after %d", n, d.Event.Seq(), d.Attempt, d.HandOut, highest[d.Event.Seq()])
				}
				highest[d.Event.Seq()] = d.HandOut
			}
			if n > 0 && s.count() != 1 {
				t.Errorf("connection %d was handed %d events, which are suspected", n, s.count())
			}
		}
		acked := make(map[uint64]bool)
		lives(t, r.b, id, func(subscription.Delivery) bool { return false },
			func(d subscription.Delivery) { acked[d.Event.Seq()] = true },
			func() bool { return len(acked) == len(seqs) })
		if parked := waitParked(t, r.a, id, 0); len(parked) > 0 {
			t.Errorf("parked: %+v", parked)
		}
	})
}

// An event that ends its consumers is counted for good: by another gateway, and
// after a restart.
func TestAttemptsAreCountedForGood(t *testing.T) {
	inEachOrder(t, func(t *testing.T, r *rig, o subscription.Ordering) {
		id := name(o)
		r.createHere(id, subscription.Settings{Ordering: o, MaxAttempts: 4, BackoffMin: subscription.NoBackoff})
		seq := r.publish("", "signature_requests/1")
		fails := func(g *gateway, attempt int) {
			t.Helper()
			s := attach(g, id, subscription.ConsumerOptions{}, nil)
			waitFor(t, "the delivery", func() bool { return s.count() > 0 })
			s.stop()
			if d := s.deliveries()[0]; d.Attempt != attempt || d.Event.Seq() != seq {
				t.Errorf("event %d, attempt %d instead of %d", d.Event.Seq(), d.Attempt, attempt)
			}
		}
		fails(r.a, 1)
		fails(r.b, 2)
		c := openGateway(t, r.a.engine, "c")
		fails(c, 3)
		c.stop()
		fails(openGateway(t, r.a.engine, "d"), 4)
		if p := waitParked(t, r.a, id, 1)[0]; p.Attempts != 4 || p.Event.Seq() != seq {
			t.Errorf("%+v", p)
		}
		if o == subscription.OrderByEntity {
			return // a replay comes when its gateway has the pin, which needs an event
		}
		// Replayed, it begins anew, and its hand-outs go on.
		if _, err := r.a.ReplayParked(t.Context(), id, subscription.Selection{All: true}, false); err != nil {
			t.Fatal(err)
		}
		if d := pull(t, r.b, id, 1)[0]; d.Attempt != 1 || !d.Replayed {
			t.Errorf("replayed: attempt %d", d.Attempt)
		} else {
			ack(t, r.a, d)
		}
	})
}

// Back-off holds for an attempt that failed without a word.
func TestBackoffAfterSilence(t *testing.T) {
	inEachOrder(t, func(t *testing.T, r *rig, o subscription.Ordering) {
		id := name(o)
		const wait = 1500 * time.Millisecond
		r.createHere(id, subscription.Settings{Ordering: o, AckDeadline: time.Second, BackoffMin: wait, BackoffMax: wait})
		r.publish("", "signature_requests/1")
		first := pull(t, r.a, id, 1)[0]
		s := attach(r.a, id, subscription.ConsumerOptions{}, nil)
		waitFor(t, "the second attempt", func() bool { return s.count() > 0 })
		if early := time.Until(first.Deadline.Add(wait)); early > 0 {
			t.Errorf("the second attempt began %s before its back-off was over", early)
		}
		ended := time.Now()
		s.stop()
		d := pull(t, r.a, id, 1)[0]
		if took := time.Since(ended); took < wait || d.Attempt != 3 {
			t.Errorf("attempt %d began %s after its stream was gone", d.Attempt, took)
		}
		ack(t, r.a, d)
	})
}

// What is released comes again at once, to another consumer when there is one, and
// as the same attempt; a token can be released once more.
func TestRelease(t *testing.T) {
	inEachOrder(t, func(t *testing.T, r *rig, o subscription.Ordering) {
		id := name(o)
		r.createHere(id, subscription.Settings{Ordering: o, MaxAttempts: 1, BackoffMin: time.Hour, BackoffMax: time.Hour})
		r.publish("", "signature_requests/1")
		var last subscription.Delivery
		for n := range 4 {
			d := pull(t, r.a, id, 1)[0]
			if d.Attempt != 1 || d.HandOut <= last.HandOut {
				t.Errorf("release %d: attempt %d, hand-out %d after %d", n, d.Attempt, d.HandOut, last.HandOut)
			}
			for range 2 {
				if res := settle(t, r.b, subscription.Settlement{Token: d.Token, Verdict: subscription.Release}); res.Outcome != subscription.Done {
					t.Errorf("outcome %d", res.Outcome)
				}
				if n > 0 {
					break // it may be in other hands by now
				}
			}
			last = d
		}
		one := attach(r.a, id, subscription.ConsumerOptions{}, nil)
		defer one.stop()
		waitFor(t, "the delivery", func() bool { return one.count() == 1 })
		two := attach(r.a, id, subscription.ConsumerOptions{}, nil)
		defer two.stop()
		waitFor(t, "the other", func() bool { return two.now() == subscription.Active })
		settle(t, r.a, subscription.Settlement{Token: one.deliveries()[0].Token, Verdict: subscription.Release})
		waitFor(t, "the delivery", func() bool { return one.count()+two.count() == 2 })
		if two.count() != 1 {
			t.Error("who released it was handed it again, though there is another")
		}
		ack(t, r.a, two.deliveries()...)
	})
}

// Hand-outs are numbered on, whatever brings an event again.
func TestHandOutsGrowWhateverHappens(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.create("crm", subscription.Settings{BackoffMin: subscription.NoBackoff})
		r.publish("", "")
		var last subscription.Delivery
		next := func(what string, g *gateway) subscription.Delivery {
			t.Helper()
			d := pull(t, g, "crm", 1)[0]
			if d.HandOut <= last.HandOut {
				t.Errorf("%s: hand-out %d after %d", what, d.HandOut, last.HandOut)
			}
			last = d
			return d
		}
		say := func(v subscription.Verdict) {
			t.Helper()
			if o := settle(t, r.b, subscription.Settlement{Token: last.Token, Verdict: v}).Outcome; o != subscription.Done && o != subscription.Parked {
				t.Errorf("verdict %d: outcome %d", v, o)
			}
		}
		next("first", r.a)
		say(subscription.Retry)
		next("after a retry", r.b)
		say(subscription.Release)
		next("after a release", r.a)
		say(subscription.Park)
		for range 2 {
			if _, err := r.a.ReplayParked(t.Context(), "crm", subscription.Selection{All: true}, false); err != nil {
				t.Fatal(err)
			}
			next("replayed", r.b)
			say(subscription.Park)
		}
		sub, err := r.a.Seek(t.Context(), "crm", "", subscription.Position{Earliest: true})
		if err != nil {
			t.Fatal(err)
		}
		r.inForce(sub)
		next("after a seek", r.b)
	})
}

// A consumer whose deliveries expire is handed one at a time, and others get the
// rest.
func TestDeafConsumer(t *testing.T) {
	inEachOrder(t, func(t *testing.T, r *rig, o subscription.Ordering) {
		id := name(o)
		r.createHere(id, subscription.Settings{Ordering: o, AckDeadline: time.Second, BackoffMin: subscription.NoBackoff, MaxAttempts: 100})
		seqs := r.publishEntities(8, 8)
		deaf := attach(r.a, id, subscription.ConsumerOptions{ClientID: "deaf"}, nil)
		defer deaf.stop()
		waitFor(t, "the deliveries to expire", func() bool {
			st, err := r.b.State(t.Context(), id)
			return err == nil && st.Blocked == subscription.BlockedUnresponsive && len(st.Consumers) == 1 &&
				st.Consumers[0].Unresponsive && st.Consumers[0].Outstanding <= 1
		})
		acked := make(map[uint64]bool)
		lives(t, r.a, id, func(subscription.Delivery) bool { return false },
			func(d subscription.Delivery) { acked[d.Event.Seq()] = true },
			func() bool { return len(acked) == len(seqs) })
		// It says something again.
		more := r.publishEntities(8, 8)
		before := deaf.count()
		waitFor(t, "one more", func() bool { return deaf.count() > before })
		got := deaf.deliveries()
		ack(t, r.a, got[len(got)-1])
		waitFor(t, "all", func() bool { return len(distinct(deaf.deliveries()[before:])) == len(more) })
	})
}

func distinct(ds []subscription.Delivery) map[uint64]bool {
	out := make(map[uint64]bool)
	for _, d := range ds {
		out[d.Event.Seq()] = true
	}
	return out
}

// What a Seek brings back comes, whatever is being acknowledged meanwhile, one by
// one or all in one call.
func TestSeekWhileItIsAcknowledged(t *testing.T) {
	inEachOrder(t, func(t *testing.T, r *rig, o subscription.Ordering) {
		id := name(o)
		const n, rounds = 100, 6
		r.createHere(id, subscription.Settings{Ordering: o})
		seqs := r.publishEntities(n, n)
		at := r.timeOf(seqs[0])
		s := attach(r.a, id, subscription.ConsumerOptions{}, nil)
		defer s.stop()
		from := 0
		for round := range rounds {
			waitFor(t, fmt.Sprintf("all of round %d", round), func() bool { return len(distinct(s.deliveries()[from:])) == n })
			var all []subscription.Settlement
			latest := make(map[uint64]string)
			for _, d := range s.deliveries()[from:] {
				latest[d.Event.Seq()] = d.Token
			}
			for _, seq := range seqs {
				all = append(all, subscription.Settlement{Token: latest[seq], Verdict: subscription.Ack})
			}
			from = s.count()
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := r.a.Seek(context.Background(), id, "", subscription.Position{At: &at}); err != nil {
					t.Error(err)
				}
			})
			step := n
			if round%2 == 1 {
				step = 1
			}
			for some := range slices.Chunk(all, step) {
				wg.Go(func() { r.b.Settle(context.Background(), id, some) })
			}
			wg.Wait()
		}
		waitFor(t, "all of the last round", func() bool { return len(distinct(s.deliveries()[from:])) == n })
		if diff := cmp.Diff(n, len(distinct(s.deliveries()))); diff != "" {
			t.Error(diff)
		}
	})
}

// timeOf answers when an event was stored.
func (r *rig) timeOf(seq uint64) time.Time {
	r.t.Helper()
	recs, err := r.log.Read(context.Background(), seq, 1, 1<<20)
	if err != nil || len(recs) == 0 {
		r.t.Fatal(err)
	}
	return recs[0].Time
}

// What passes through hands in vain leaves nothing behind once it is settled.
func TestTalliesAreForgotten(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.create("crm", subscription.Settings{BackoffMin: subscription.NoBackoff})
		r.publishN(10)
		s := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
		waitFor(t, "the deliveries", func() bool { return s.count() == 10 })
		s.stop()
		waitFor(t, "what is known to be known everywhere", func() bool { return r.a.Tallies() == 10 && r.b.Tallies() == 10 })
		ack(t, r.b, pull(t, r.b, "crm", 10)...)
		waitFor(t, "all to be forgotten", func() bool { return r.a.Tallies() == 0 && r.b.Tallies() == 0 })
	})
}
