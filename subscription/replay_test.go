package subscription_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

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
	for i, d := range again {
		if !d.Replayed || d.Event.Seq() != parked[i].Event.Seq() || d.HandOut <= parked[i].HandOut {
			t.Errorf("event %d, replayed %v, hand-out %d after %d", d.Event.Seq(), d.Replayed, d.HandOut, parked[i].HandOut)
		}
	}
}
