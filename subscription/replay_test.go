package subscription_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// What is replayed comes though there is nothing else to be handed out, on
// whichever gateway there are consumers.
func TestReplayWithNothingNew(t *testing.T) {
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		for _, embedded := range []bool{false, true} {
			t.Run(fmt.Sprintf("ordering %d, embedded %v", ordering, embedded), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { replayWithNothingNew(t, ordering, embedded) })
			})
		}
	}
}

func replayWithNothingNew(t *testing.T, ordering subscription.Ordering, embedded bool) {
	m := newMemory(1, embedded)
	defer m.close()
	gs := m.gateways()
	first, last := gs[0], gs[len(gs)-1]
	s := subscription.Settings{Ordering: ordering, AckDeadline: time.Second}
	if _, err := first.Create(t.Context(), subID, s, subscription.Position{Earliest: true}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := m.publish("signature_request.done", "a"); err != nil {
			t.Fatal(err)
		}
	}
	consume := func(g *subscription.Manager, n int, v subscription.Verdict) (got []subscription.Delivery) {
		for began := time.Now(); len(got) < n && time.Since(began) < 20*time.Second; {
			some, err := g.Pull(t.Context(), subID, subscription.ConsumerOptions{}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range some {
				if o := g.Settle(t.Context(), subID, []subscription.Settlement{{Token: d.Token, Verdict: v}})[0].Outcome; o == subscription.Unavailable {
					t.Errorf("event %d: outcome %d", d.Event.Seq(), o)
				}
			}
			got = append(got, some...)
		}
		return got
	}
	parked := consume(first, 3, subscription.Park)
	time.Sleep(10 * time.Second) // nobody has the pin any more
	if n, err := first.ReplayParked(t.Context(), subID, subscription.Selection{All: true}, false); n != 3 || err != nil {
		t.Fatalf("%d are replayed, %v", n, err)
	}
	time.Sleep(time.Second)
	again := consume(last, 3, subscription.Ack)
	if len(again) != 3 {
		t.Fatalf("%d of 3 came again", len(again))
	}
	if ordering == subscription.Unordered { // what was given back meanwhile comes in any order
		slices.SortFunc(again, func(a, b subscription.Delivery) int { return cmp.Compare(a.Event.Seq(), b.Event.Seq()) })
	}
	for i, d := range again {
		if !d.Replayed || d.Event.Seq() != parked[i].Event.Seq() || d.HandOut <= parked[i].HandOut {
			t.Errorf("event %d, replayed %v, hand-out %d after %d", d.Event.Seq(), d.Replayed, d.HandOut, parked[i].HandOut)
		}
	}
}

// Replays that another gateway was handed are collected with the rest, in one go:
// what is new of the queue does not come first, and they are not asked for one by
// one.
func TestReplaysAreCollectedByWhoTakesOver(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
		sub := m.created(t, subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: 10 * time.Second})
		const events = 20
		for range events {
			m.published(t, "")
		}
		c := attach(at(1), sub.ID, subscription.ConsumerOptions{}, func(d subscription.Delivery) {
			go settle(t, at(1), subscription.Settlement{Token: d.Token, Verdict: subscription.Park})
		})
		waitFor(t, "all to be parked", func() bool {
			parked, _, err := at(0).ListParked(t.Context(), sub.ID, 100, "")
			return err == nil && len(parked) == events
		})
		c.stop()
		m.published(t, "")
		deaf := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		waitFor(t, "the one that is new", func() bool { return deaf.count() == 1 })
		if _, err := at(0).ReplayParked(t.Context(), sub.ID, subscription.Selection{All: true}, false); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "all of them", func() bool { return deaf.count() >= events+1 })
		m.alive[1].engine.Close() // it dies
		next := attach(at(2), sub.ID, subscription.ConsumerOptions{}, nil)
		defer next.stop()
		waitFor(t, "what it held to be free", func() bool { return next.count() > 0 })
		time.Sleep(soon)
		if n := next.count(); n != events+1 {
			t.Errorf("%d of %d are handed out %s after the first", n, events+1, soon)
		}
		deaf.stop()
	})
}

// A gateway that is given the pin with what is not selected hands out all the same:
// replays wait for whoever has it.
func TestReplayWhereNothingIsSelected(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
		sub := m.created(t, subscription.Settings{
			Ordering: subscription.OrderByEntity, AckDeadline: 2 * time.Second, Selector: selector("types: 'signature_request.done'"),
		})
		seq := m.published(t, "a")
		d := pull(t, at(1), sub.ID, 1)[0]
		settle(t, at(1), subscription.Settlement{Token: d.Token, Verdict: subscription.Park})
		time.Sleep(queue.PinTime)
		streams := make([]*stream, 3)
		for n := range streams {
			streams[n] = attach(at(n), sub.ID, subscription.ConsumerOptions{}, nil)
			defer streams[n].stop()
		}
		if _, err := m.publish("signer.done", "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if _, err := at(0).ReplayParked(t.Context(), sub.ID, subscription.Selection{All: true}, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * soon)
		var got []uint64
		for _, s := range streams {
			got = append(got, seqsOf(s.deliveries())...)
		}
		if len(got) == 0 || got[0] != seq {
			t.Errorf("handed out: %v, event %d is replayed", got, seq)
		}
	})
}

// What is replayed and was on its way to a gateway when the subscription was sought
// does not get lost with what lay in the queue that is gone.
func TestSeekWhileReplaysArrive(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
		sub := m.created(t, subscription.Settings{AckDeadline: 30 * time.Second})
		const events = 50
		for range events {
			m.published(t, "")
		}
		for _, d := range pull(t, at(1), sub.ID, events) {
			settle(t, at(1), subscription.Settlement{Token: d.Token, Verdict: subscription.Park})
		}
		c := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		defer c.stop()
		for range 10 {
			if _, err := at(0).ReplayParked(t.Context(), sub.ID, subscription.Selection{All: true}, false); err != nil {
				t.Fatal(err)
			}
			if _, err := at(1).Seek(t.Context(), sub.ID, "", subscription.Position{}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(soon)
		if n := len(distinct(c.deliveries())); n != events {
			t.Errorf("%d of %d replays are handed out %s after the last seek", n, events, soon)
		}
	})
}
