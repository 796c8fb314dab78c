package subscription_test

import (
	"slices"
	"testing"
	"time"

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
