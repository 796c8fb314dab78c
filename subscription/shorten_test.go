package subscription_test

import (
	"testing"
	"time"

	"github.com/hookstream/hookstream/subscription"
)

func shortened(t *testing.T, g *gateway, id string, to time.Duration) {
	t.Helper()
	if _, err := g.Update(t.Context(), id, "", func(s *subscription.Settings) error { s.AckDeadline = to; return nil }); err != nil {
		t.Fatal(err)
	}
}

// A deadline that is shortened is that of what is handed out from then on: what was
// handed out before stays with its consumer for as long as it was told, and it is
// nobody else's meanwhile, whatever dies. Once that is over, what a dead gateway
// held is held for as long as the new deadline says.
// The clock of who shortens it may be wrong then.
func TestAShortenedDeadlineTakesNothingFromAnybody(t *testing.T) {
	for _, ahead := range wrongClocks {
		t.Run(ahead.String(), func(t *testing.T) { shortenedBy(t, ahead) })
	}
}

func shortenedBy(t *testing.T, ahead time.Duration) {
	inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
		m.clocks.set(0, ahead)
		m.clocks.set(1, 0)
		sub := m.created(t, subscription.Settings{AckDeadline: time.Minute})
		m.published(t, "")
		m.published(t, "")
		before := pull(t, at(1), sub.ID, 1)[0]
		gone := pull(t, at(2), sub.ID, 1)[0]
		shortened(t, at(0), sub.ID, 2*time.Second)
		m.clocks.set(0, 0)        // and then somebody sets it right
		m.alive[2].engine.Close() // nobody renews what it held
		here := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		time.Sleep(time.Second)
		here.stop()
		other := attach(at(0), sub.ID, subscription.ConsumerOptions{}, nil)
		time.Sleep(time.Until(gone.Deadline) - time.Second)
		if got := seqsOf(other.deliveries()); len(got) != 0 {
			t.Errorf("events %v are handed out while their deliveries are in force", got)
		}
		ack(t, at(1), before)
		waitFor(t, "what the dead one held", func() bool { return other.count() > 0 })
		d := other.deliveries()[0]
		if left := time.Until(d.Deadline); d.Event.Seq() != gone.Event.Seq() || left > 2*time.Second {
			t.Errorf("event %d is handed out for %s", d.Event.Seq(), left)
		}
		ack(t, at(0), d)
		other.stop()

		time.Sleep(2 * time.Minute) // nothing of before is in force
		m.published(t, "")
		kept := attach(at(0), sub.ID, subscription.ConsumerOptions{}, nil)
		waitFor(t, "the next", func() bool { return kept.count() == 1 })
		m.alive[0].engine.Close()
		next := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		defer next.stop()
		time.Sleep(2*time.Second + 10*time.Second + 5*time.Second)
		if next.count() == 0 {
			t.Error("what a dead gateway held is held for longer than the new deadline says")
		}
		kept.stop()
	})
}

// The same on the real engine, with the deadline shortened twice.
func TestAShortenedDeadlineOfJetStream(t *testing.T) {
	t.Parallel()
	e := openEngine(t, options(t, t.TempDir()))
	o := subscription.Options{}
	o.HoldFor(500 * time.Millisecond)
	o.Gateway = "a"
	r := &rig{t: t, log: e.Events(), a: openGatewayOn(t, e, o)}
	o.Gateway = "b"
	r.b = openGatewayOn(t, e, o)
	sub := r.create("crm", subscription.Settings{AckDeadline: time.Minute})
	r.publishN(1)
	d := pull(t, r.a, sub.ID, 1)[0]
	shortened(t, r.b, sub.ID, 1200*time.Millisecond)
	shortened(t, r.b, sub.ID, time.Second)
	if now, err := r.b.Get(sub.ID); err != nil || now.FormerDeadline != time.Minute {
		t.Errorf("it is held for %s, %v", now.FormerDeadline, err)
	}
	other := attach(r.b, sub.ID, subscription.ConsumerOptions{}, nil)
	defer other.stop()
	// JetStream looks whose time is over, at the latest, when the new hold is over
	// after the change.
	time.Sleep(2500 * time.Millisecond)
	if n := other.count(); n != 0 {
		t.Errorf("event %d is handed out while its delivery is in force for %s", d.Event.Seq(), time.Until(d.Deadline))
	}
	ack(t, r.a, d)
}
