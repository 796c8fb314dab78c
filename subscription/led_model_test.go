package subscription_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// A renewal says nothing that the queue's next leader may not have heard of: who was chosen
// after it was confirmed goes by when the event was published.
func TestARenewalThatTheNextLeaderMayNotHaveHeardOf(t *testing.T) {
	for name, ordering := range map[string]subscription.Ordering{"unordered": subscription.Unordered, "by entity": subscription.OrderByEntity} {
		t.Run(name, func(t *testing.T) {
			onDeceived(t, func(t *testing.T, m *memory, at func(int) *gateway, d *deceived) {
				sub := m.created(t, subscription.Settings{AckDeadline: 10 * time.Second, Ordering: ordering})
				m.published(t, "a")
				time.Sleep(time.Minute) // longer than it is held
				var led atomic.Bool
				d.with(func(words []queue.Word, next func([]queue.Word) []bool) []bool {
					ok := next(words)
					if words[0].Say == queue.Held && led.CompareAndSwap(false, true) {
						m.store.Lead()
					}
					return ok
				})
				c := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
				defer c.stop()
				waitFor(t, "a renewal", led.Load)
				other := attach(at(2), sub.ID, subscription.ConsumerOptions{}, nil)
				defer other.stop()
				time.Sleep(9 * time.Second)
				if n := c.count() + other.count(); n > 1 {
					t.Errorf("it is in %d hands at a time", n)
				}
				waitFor(t, "its delivery", func() bool { return c.count()+other.count() > 0 })
			})
		})
	}
}

// What is handed out when it is published costs no renewal, whoever leads the queue next.
func TestWhatIsNewIsNotRenewed(t *testing.T) {
	onDeceived(t, func(t *testing.T, m *memory, at func(int) *gateway, d *deceived) {
		sub := m.created(t, subscription.Settings{AckDeadline: 10 * time.Second})
		var renewals atomic.Int64
		d.with(func(words []queue.Word, next func([]queue.Word) []bool) []bool {
			if slices.ContainsFunc(words, func(w queue.Word) bool { return w.Say == queue.Held }) {
				renewals.Add(int64(len(words)))
			}
			return next(words)
		})
		c := attach(at(1), sub.ID, subscription.ConsumerOptions{}, func(got subscription.Delivery) {
			go func() { time.Sleep(time.Second); ack(t, at(1), got) }()
		})
		defer c.stop()
		time.Sleep(time.Second)
		const events = 100
		for range events {
			m.published(t, "")
			time.Sleep(100 * time.Millisecond)
		}
		waitFor(t, "all", func() bool { return c.count() == events })
		time.Sleep(2 * time.Second) // its consumers are done
		if n := renewals.Load(); n > 0 {
			t.Errorf("%d renewals for %d events", n, events)
		}
	})
}

// What is extended stays in one hand when the leader that confirmed it told nobody.
func TestAnExtensionThatTheNextLeaderMayNotHaveHeardOf(t *testing.T) {
	for name, before := range map[string]time.Duration{"new": 0, "waited long": time.Minute} {
		t.Run(name, func(t *testing.T) {
			onDeceived(t, func(t *testing.T, m *memory, at func(int) *gateway, d *deceived) {
				sub := m.created(t, subscription.Settings{AckDeadline: 10 * time.Second})
				m.published(t, "")
				time.Sleep(before)
				got := pull(t, at(1), sub.ID, 1)[0]
				time.Sleep(5 * time.Second)
				var led atomic.Bool
				d.with(func(words []queue.Word, next func([]queue.Word) []bool) []bool {
					ok := next(words)
					if led.CompareAndSwap(false, true) {
						m.store.Lead()
					}
					return ok
				})
				extended(t, at(1), got, 30*time.Second)
				other := attach(at(2), sub.ID, subscription.ConsumerOptions{}, nil)
				defer other.stop()
				time.Sleep(29 * time.Second)
				if other.count() > 0 {
					t.Error("it is in two hands at a time")
				}
			})
		})
	}
}
