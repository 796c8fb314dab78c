package subscription_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/subscription"
)

// inMemory runs a test with three gateways, whose time is the test's.
func inMemory(t *testing.T, test func(t *testing.T, m *memory, at func(n int) *gateway)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(1, false)
		defer m.close()
		test(t, m, func(n int) *gateway { return &gateway{Manager: m.alive[n].Manager} })
	})
}

// created makes a subscription from the beginning that all gateways know.
func (m *memory) created(t *testing.T, s subscription.Settings) *subscription.Subscription {
	t.Helper()
	sub, err := m.alive[0].Create(t.Context(), subID, s, subscription.Position{Earliest: true})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	return sub
}

func (m *memory) published(t *testing.T, entity string) uint64 {
	t.Helper()
	seq, err := m.publish("signature_request.done", entity)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func extended(t *testing.T, g *gateway, d subscription.Delivery, by time.Duration) {
	t.Helper()
	if r := settle(t, g, subscription.Settlement{Token: d.Token, Verdict: subscription.Extend, Extension: by}); r.Outcome != subscription.Done {
		t.Fatalf("extending event %d: outcome %d", d.Event.Seq(), r.Outcome)
	}
}

// soon is how long what is given back may take to come to another gateway: the
// time to prove that it is still held included.
const soon = 3 * time.Second

// What is given back while its hold is being renewed is owed, and paid when the
// renewal was answered: it does not wait until the renewed hold is over.
func TestGivenBackWhileItIsRenewed(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
		sub := m.created(t, subscription.Settings{AckDeadline: 30 * time.Second})
		m.published(t, "")
		c := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		waitFor(t, "the delivery", func() bool { return c.count() == 1 })
		extended(t, at(1), c.deliveries()[0], time.Hour)
		waitFor(t, "a renewal", func() bool { return at(1).Renewing(sub.ID) == 1 })
		c.stop()
		next := attach(at(2), sub.ID, subscription.ConsumerOptions{}, nil)
		defer next.stop()
		time.Sleep(soon)
		if next.count() != 1 {
			t.Errorf("nobody is handed it %s after it was given back", soon)
		}
	})
}

// What is given back just before JetStream's hold is over is renewed first: a word
// that is said so late may be heard about what somebody else holds.
func TestGivenBackJustBeforeItsHoldIsOver(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
		sub := m.created(t, subscription.Settings{AckDeadline: 30 * time.Second})
		m.published(t, "")
		c := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		waitFor(t, "the delivery", func() bool { return c.count() == 1 })
		extended(t, at(1), c.deliveries()[0], 36*time.Second)
		time.Sleep(35500 * time.Millisecond) // JetStream holds it for 40 s
		c.stop()
		next := attach(at(2), sub.ID, subscription.ConsumerOptions{}, nil)
		defer next.stop()
		time.Sleep(soon)
		if next.count() != 1 {
			t.Errorf("nobody is handed it %s after it was given back", soon)
		}
	})
}

// A gateway that stops gives back what it is renewing as well.
func TestGatewayStopsWhileItRenews(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory, at func(int) *gateway) {
		sub := m.created(t, subscription.Settings{AckDeadline: 30 * time.Second})
		m.published(t, "")
		c := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		waitFor(t, "the delivery", func() bool { return c.count() == 1 })
		extended(t, at(1), c.deliveries()[0], time.Hour)
		waitFor(t, "a renewal", func() bool { return at(1).Renewing(sub.ID) == 1 })
		at(1).Close()
		next := attach(at(2), sub.ID, subscription.ConsumerOptions{}, nil)
		defer next.stop()
		time.Sleep(soon)
		if next.count() != 1 {
			t.Errorf("nobody is handed it %s after its gateway has stopped", soon)
		}
	})
}
