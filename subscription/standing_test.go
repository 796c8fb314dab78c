package subscription_test

import (
	"strings"
	"testing"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// standing answers how an event stands with a subscription, as a gateway knows it.
func standing(t testing.TB, g *gateway, id string, seq uint64) subscription.Standing {
	t.Helper()
	sub, err := g.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	e, err := g.hub.Find(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	out, err := g.Standings(t.Context(), e, []*subscription.Subscription{sub})
	if err != nil || len(out) != 1 {
		t.Fatal(out, err)
	}
	return out[0]
}

// wantState waits until an event stands as wanted on both gateways: what is said to
// JetStream need not be heard at once.
func wantState(t testing.TB, r *rig, id string, seq uint64, want subscription.StandingState, attempts int) {
	t.Helper()
	for _, g := range []*gateway{r.a, r.b} {
		var s subscription.Standing
		deadline := time.Now().Add(20 * time.Second)
		for {
			if s = standing(t, g, id, seq); s.State == want && s.Attempts == attempts {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("event %d: %+v, want state %d after %d attempts", seq, s, want, attempts)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func TestHowAnEventStands(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		before := r.publish("", "")
		sub, err := r.a.Create(t.Context(), "crm", subscription.Settings{
			AckDeadline: time.Hour, MaxAttempts: 3,
			Selector: &hookstreamv1.EventSelector{Types: []string{"signature_request.*"}},
		}, subscription.Position{})
		if err != nil {
			t.Fatal(err)
		}
		r.inForce(sub)
		other := r.publish("signer.done", "")
		wantState(t, r, "crm", before, subscription.BeforeStart, 0)
		wantState(t, r, "crm", other, subscription.NotSelected, 0)

		seqs := r.publishN(5)
		for _, seq := range seqs {
			wantState(t, r, "crm", seq, subscription.Pending, 0)
		}
		byseq := make(map[uint64]subscription.Delivery)
		for _, d := range pull(t, r.a, "crm", 4) {
			byseq[d.Event.Seq()] = d
			wantState(t, r, "crm", d.Event.Seq(), subscription.Outstanding, 1)
		}
		waitFor(t, "in whose hands it is", func() bool {
			s := standing(t, r.b, "crm", seqs[0])
			return s.ClientID == "puller" && s.Deadline.After(time.Now())
		})
		for i, seq := range seqs { // the one that was not pulled is to be the last
			if _, ok := byseq[seq]; !ok {
				seqs[i], seqs[4] = seqs[4], seqs[i]
				break
			}
		}
		if s := standing(t, r.a, "crm", seqs[4]); s.State != subscription.Pending && s.State != subscription.Outstanding || s.Attempts != 0 {
			t.Errorf("not pulled: %+v", s) // it may have been handed to the gateway, and given back
		}

		// Out of order, and by the other gateway: the floor of the queue says nothing.
		say := func(seq uint64, v subscription.Verdict, delay time.Duration, reason string) {
			t.Helper()
			settle(t, r.b, subscription.Settlement{Token: byseq[seq].Token, Verdict: v, Delay: &delay, Reason: reason})
		}
		say(seqs[3], subscription.Ack, 0, "")
		say(seqs[2], subscription.Park, 0, "for a person")
		say(seqs[1], subscription.Retry, time.Hour, "no luck "+strings.Repeat("é", 600))
		wantState(t, r, "crm", seqs[3], subscription.SettledForGood, -1)
		wantState(t, r, "crm", seqs[2], subscription.SetAside, 1)
		wantState(t, r, "crm", seqs[1], subscription.Outstanding, 1)
		wantState(t, r, "crm", seqs[0], subscription.Outstanding, 1)
		if s := standing(t, r.b, "crm", seqs[2]); s.Reason != "for a person" || s.ParkedID == 0 || s.ParkTime.IsZero() || s.ClientID != "puller" {
			t.Errorf("parked: %+v", s)
		}
		waitFor(t, "the reason of the attempt", func() bool {
			s := standing(t, r.b, "crm", seqs[1])
			return strings.HasPrefix(s.Reason, "no luck") && len(s.Reason) < 200 && s.ClientID == ""
		})

		// Parked, and handed out again.
		if _, err := r.a.ReplayParked(t.Context(), "crm", subscription.Selection{All: true}, false); err != nil {
			t.Fatal(err)
		}
		wantState(t, r, "crm", seqs[2], subscription.Pending, 0)
		var again subscription.Delivery
		for _, d := range pull(t, r.b, "crm", 2) {
			if d.Replayed {
				again = d
			} else {
				ack(t, r.b, d)
			}
		}
		wantState(t, r, "crm", seqs[2], subscription.Outstanding, 1)
		ack(t, r.a, again)
		wantState(t, r, "crm", seqs[2], subscription.SettledForGood, -1)

		// What a Seek begins anew is not what became of it before.
		moved, err := r.a.Seek(t.Context(), "crm", "", subscription.Position{Earliest: true})
		if err != nil {
			t.Fatal(err)
		}
		r.inForce(moved)
		for _, seq := range append([]uint64{before}, seqs...) {
			wantState(t, r, "crm", seq, subscription.Pending, 0)
		}
	})
}

// A gateway that is gone remembers nothing: what was settled is known by what is kept,
// and where that cannot tell it is not claimed.
func TestHowAnEventStandsWhenNobodyRemembers(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.create("crm", subscription.Settings{AckDeadline: time.Hour})
		seqs := r.publishN(3)
		got := pull(t, r.a, "crm", 3)
		for _, d := range got {
			if d.Event.Seq() != seqs[0] {
				ack(t, r.a, d)
			}
		}
		embedded := r.a.engine.Embedded()
		r.a.stop()
		waitFor(t, "that it is not known any more", func() bool {
			s := standing(t, r.b, "crm", seqs[2])
			if embedded {
				return s.State == subscription.SettledForGood
			}
			return s.State == subscription.StandingUnknown && s.Attempts == -1 && s.Reason != ""
		})
		s := standing(t, r.b, "crm", seqs[0]) // in a puller's hands
		switch {
		case embedded && s.State != subscription.Outstanding,
			!embedded && s.State != subscription.StandingUnknown && s.State != subscription.Outstanding:
			t.Errorf("never settled: %+v", s)
		}
	})
}
