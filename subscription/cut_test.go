package subscription_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/internal/linktest"
	"github.com/hookstream/hookstream/subscription"
)

// What a gateway held for longer than JetStream surely held it for it is nobody's
// word any more, though JetStream confirms that it holds on: it confirms that of
// what is settled as well. It is not handed out.
func TestOverdueHoldsAreGivenUp(t *testing.T) {
	t.Parallel()
	r := embedded(t)
	r.publish("", "signature_requests/0")
	sub := r.create("crm", subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: time.Minute})
	for range 10 {
		r.publish("", "signature_requests/1")
	}
	c := attach(r.a, sub.ID, subscription.ConsumerOptions{MaxEvents: 1}, nil)
	defer c.stop()
	other := attach(r.a, sub.ID, subscription.ConsumerOptions{MaxEvents: 1}, nil)
	defer other.stop()
	waitFor(t, "deliveries", func() bool { return c.count()+other.count() == 2 })
	held := append(seqsOf(c.deliveries()), seqsOf(other.deliveries())...)
	// As after a silence of minutes in which another gateway was handed the
	// rest and had it settled.
	var settled []uint64
	waitFor(t, "something that waits", func() bool {
		var err error
		settled, err = r.a.SettleElsewhere(t.Context(), sub.ID)
		return err == nil && len(settled) > 0
	})
	r.a.Spoil(sub.ID)
	ack(t, r.a, append(c.deliveries(), other.deliveries()...)...)
	last := r.publish("", "signature_requests/1")
	seen := func() []uint64 { return append(seqsOf(c.deliveries()), seqsOf(other.deliveries())...) }
	ackAll := func() {
		for _, d := range append(c.deliveries(), other.deliveries()...) {
			_ = r.a.Settle(t.Context(), "", []subscription.Settlement{{Token: d.Token, Verdict: subscription.Ack}})
		}
	}
	waitFor(t, "what comes after it", func() bool { ackAll(); return slices.Contains(seen(), last) })
	for _, seq := range seen() {
		if slices.Contains(settled, seq) && !slices.Contains(held, seq) {
			t.Errorf("event %d was handed out after it had been settled elsewhere", seq)
		}
	}
}

// A gateway behind a way on which nothing passes for longer than JetStream holds
// what it was handed, with all its connections standing: what its other gateway
// confirmed meanwhile is not handed out when it is back, and the order of an
// entity holds. To ask it for a settlement is answered within seconds.
func TestGatewayBehindASilentLink(t *testing.T) {
	t.Parallel()
	for name, ordering := range map[string]subscription.Ordering{"unordered": subscription.Unordered, "by entity": subscription.OrderByEntity} {
		t.Run(name, func(t *testing.T) { t.Parallel(); silentLink(t, ordering) })
	}
}

func silentLink(t *testing.T, ordering subscription.Ordering) {
	c := natstest.Start(t)
	links := []*linktest.Link{c.Link(0), c.Link(1), c.Link(2)}
	open := func(url, name string) *gateway {
		o := options(t, t.TempDir())
		o.URL, o.Replicas = url, 3
		return openGateway(t, openEngine(t, o), name)
	}
	a, b := open(c.URL(), "a"), open(links[0].URL()+","+links[1].URL()+","+links[2].URL(), "b")
	r := &rig{t: t, log: a.engine.Events(), a: a, b: b, cluster: c}
	r.create("crm", subscription.Settings{Ordering: ordering, AckDeadline: time.Second, MaxOutstandingEvents: 100})
	const events, entities = 60, 3
	for n := range events {
		r.publish("", "signature_requests/"+string(rune('0'+n%entities)))
	}
	book := newBook(t)
	var cut atomic.Bool
	at := attach(b, "crm", subscription.ConsumerOptions{MaxEvents: 6}, func(d subscription.Delivery) {
		book.take(d)
		if cut.Load() {
			time.Sleep(100 * time.Millisecond) // it is slow, so that much waits
		}
		book.ack(b, d)
	})
	defer at.stop()
	waitFor(t, "b to hand out", func() bool { return at.count() > 0 })
	cut.Store(true)
	for _, l := range links {
		l.Silence()
	}
	there := attach(a, "crm", subscription.ConsumerOptions{}, func(d subscription.Delivery) { book.take(d); book.ack(a, d) })
	defer there.stop()
	deliveries := at.deliveries()
	begun := time.Now()
	_ = a.Settle(t.Context(), "", []subscription.Settlement{{Token: deliveries[len(deliveries)-1].Token, Verdict: subscription.Ack}})
	if took := time.Since(begun); took > 9*time.Second {
		t.Errorf("the home is cut off, and that was said after %s", took)
	}
	// What waits at b is not surely held any more: the other one is handed it, and
	// confirms it.
	waitFor(t, "the other gateway to be handed the rest", func() bool { return t.Failed() || book.handedOut() == events })
	time.Sleep(time.Until(begun.Add(12 * time.Second)))
	for _, l := range links {
		l.Mend()
	}
	// What was said just before the cut may be kept though nobody was told.
	waitFor(t, "all to be settled", func() bool {
		st, err := a.State(t.Context(), "crm")
		return t.Failed() || err == nil && st.Backlog+st.Outstanding == 0
	})
	if n := len(book.handed); n != events {
		t.Errorf("%d of %d events were handed out", n, events)
	}
	waitFor(t, "the gateway to be well", func() bool { _, up := b.engine.Connection(); return up && b.engine.Healthy() == nil })
	time.Sleep(time.Second) // what is still to come
}
