package subscription_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// deceived is an engine whose answers prove nothing, as those of a cluster do when
// packets are lost or late and every connection stands.
type deceived struct {
	subscription.Engine

	mu sync.Mutex
	// confirm, when set, answers instead of the engine; next asks it.
	confirm confirming
	// reached, when set, is when a quorum was reached last.
	reached time.Time
}

func (d *deceived) Confirm(ctx context.Context, c queue.Config, words []queue.Word) ([]bool, error) {
	d.mu.Lock()
	confirm := d.confirm
	d.mu.Unlock()
	if confirm == nil {
		return d.Engine.Confirm(ctx, c, words)
	}
	return confirm(words, func(some []queue.Word) []bool {
		ok, _ := d.Engine.Confirm(ctx, c, some)
		return ok
	}), nil
}

func (d *deceived) Reached() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.reached.IsZero() {
		return d.reached
	}
	return d.Engine.Reached()
}

func (d *deceived) with(confirm confirming) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.confirm = confirm
}

// onDeceived runs a test with three gateways; the second is deceived.
func onDeceived(t *testing.T, test func(t *testing.T, m *memory, at func(n int) *gateway, d *deceived)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := new(deceived)
		m := emptyMemory(1, false)
		m.wrap = func(n int, e subscription.Engine) subscription.Engine {
			if n != 1 {
				return e
			}
			d.Engine = e
			return d
		}
		m.begin()
		defer m.close()
		defer d.with(nil)
		test(t, m, func(n int) *gateway { return &gateway{Manager: m.alive[n].Manager} }, d)
	})
}

func always(n int) []bool { return slices.Repeat([]bool{true}, n) }

type confirming = func(words []queue.Word, next func([]queue.Word) []bool) []bool

// unheard has renewals answered as if they had been heard, from the second event
// on, at the time that until answers.
func unheard(until func(queue.Word) time.Time) confirming {
	return func(words []queue.Word, next func([]queue.Word) []bool) []bool {
		if words[0].Say != queue.Held || words[0].Seq == 1 {
			return next(words)
		}
		time.Sleep(time.Until(until(words[0])))
		return always(len(words))
	}
}

// What waits at a gateway and was never renewed is handed to another one, and
// settled there; the gateway that was told otherwise does not hand it out.
func renewalsProveNothing(t *testing.T, deceive func(d *deceived)) {
	onDeceived(t, func(t *testing.T, m *memory, at func(int) *gateway, d *deceived) {
		sub := m.created(t, subscription.Settings{AckDeadline: 10 * time.Second})
		const events = 5
		for range events {
			m.published(t, "")
		}
		deceive(d)
		// It is asked for five, and takes one at a time.
		c := attach(at(1), sub.ID, subscription.ConsumerOptions{MaxEvents: events, MaxBytes: 1}, nil)
		defer c.stop()
		waitFor(t, "the first", func() bool { return c.count() == 1 })
		first := c.deliveries()[0]
		other := attach(at(2), sub.ID, subscription.ConsumerOptions{}, func(d subscription.Delivery) { go ack(t, at(2), d) })
		defer other.stop()
		time.Sleep(9 * time.Second)
		extended(t, at(1), first, 20*time.Second)
		waitFor(t, "the rest to be settled elsewhere", func() bool { return other.count() == events-1 })
		ack(t, at(1), first)
		time.Sleep(time.Minute)
		if got := seqsOf(c.deliveries()); len(got) != 1 {
			t.Errorf("handed out: %v; all but the first were settled elsewhere", got)
		}
	})
}

// An answer that comes when a hold is not sure any more renews nothing: JetStream
// confirms it of what is settled as well.
func TestARenewalThatIsLateRenewsNothing(t *testing.T) {
	renewalsProveNothing(t, func(d *deceived) { d.with(unheard(func(w queue.Word) time.Time { return w.Until })) })
}

// A leader that is cut off confirms renewals that the others never hear of: what
// it says counts when a quorum was reached after it was asked.
func TestARenewalWithoutAQuorumRenewsNothing(t *testing.T) {
	renewalsProveNothing(t, func(d *deceived) {
		d.with(unheard(func(queue.Word) time.Time { return time.Time{} }))
		d.mu.Lock()
		defer d.mu.Unlock()
		d.reached = time.Now()
	})
}

// A settlement that is answered when the message may be in other hands is not
// confirmed: it may have been heard about what those hold, or about nothing.
func TestASettlementThatIsLateIsNotConfirmed(t *testing.T) {
	for name, verdict := range map[string]subscription.Verdict{"ack": subscription.Ack, "skip": subscription.Skip, "retry": subscription.Retry, "extend": subscription.Extend, "park": subscription.Park} {
		t.Run(name, func(t *testing.T) {
			onDeceived(t, func(t *testing.T, m *memory, at func(int) *gateway, d *deceived) {
				sub := m.created(t, subscription.Settings{AckDeadline: 10 * time.Second})
				m.published(t, "")
				got := pull(t, at(1), sub.ID, 1)[0]
				d.with(func(words []queue.Word, _ func([]queue.Word) []bool) []bool {
					time.Sleep(time.Until(got.Deadline.Add(10 * time.Second))) // JetStream's hold is over
					return always(len(words))
				})
				res := at(1).Settle(t.Context(), "", []subscription.Settlement{{Token: got.Token, Verdict: verdict}})[0]
				if res.Outcome != subscription.Unavailable {
					t.Errorf("outcome %d of what was not heard in time", res.Outcome)
				}
			})
		})
	}
}

// The same of one that another gateway makes for a home that is dead: past its
// deadline the delivery may be in other hands.
func TestASettlementForADeadHomeThatIsLateIsNotConfirmed(t *testing.T) {
	onDeceived(t, func(t *testing.T, m *memory, at func(int) *gateway, d *deceived) {
		sub := m.created(t, subscription.Settings{AckDeadline: 20 * time.Second})
		for range 3 {
			m.published(t, "")
		}
		got := pull(t, at(2), sub.ID, 3)
		m.alive[2].engine.Close()
		time.Sleep(10 * time.Second)
		d.with(func(words []queue.Word, next func([]queue.Word) []bool) []bool {
			// Gateways know the time of the log only by a round trip.
			time.Sleep(time.Until(got[2].Deadline.Add(time.Second)))
			return always(len(words))
		})
		for n, verdict := range []subscription.Verdict{subscription.Ack, subscription.Retry, subscription.Extend} {
			go func() {
				res := at(1).Settle(t.Context(), "", []subscription.Settlement{{Token: got[n].Token, Verdict: verdict}})[0]
				if res.Outcome != subscription.Unavailable {
					t.Errorf("verdict %d: outcome %d of what was not heard in time", verdict, res.Outcome)
				}
			}()
		}
		time.Sleep(time.Minute)
	})
}

// What a gateway loses of an entity comes again before what follows it: nothing of
// an ordered subscription is handed out until all is there.
func TestWhatIsLostKeepsItsPlace(t *testing.T) {
	onDeceived(t, func(t *testing.T, m *memory, at func(int) *gateway, d *deceived) {
		sub := m.created(t, subscription.Settings{AckDeadline: 10 * time.Second, Ordering: subscription.OrderByEntity})
		for range 3 {
			m.published(t, "a")
		}
		c := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		defer c.stop()
		waitFor(t, "the first", func() bool { return c.count() == 1 })
		delay, began := 30*time.Second, time.Now()
		settle(t, at(1), subscription.Settlement{Token: c.deliveries()[0].Token, Verdict: subscription.Retry, Delay: &delay})
		d.with(func(words []queue.Word, next func([]queue.Word) []bool) []bool {
			if words[0].Say != queue.Held {
				return next(words)
			}
			ok := make([]bool, len(words))
			for i, w := range words {
				// What has come again is renewed, since it was published long ago.
				ok[i] = (w.Seq != 1 || time.Since(began) > 35*time.Second) && next([]queue.Word{w})[0]
			}
			return ok
		})
		waitFor(t, "the next", func() bool { return c.count() > 1 })
		if got := seqsOf(c.deliveries()); got[1] != 1 {
			t.Errorf("handed out: %v; the first was never settled", got)
		}
	})
}

// slowLog tells nothing, and is cut off after a while.
type slowLog struct {
	eventlog.Log

	wait time.Duration
}

func (l slowLog) Tail(ctx context.Context, _ uint64, _ func([]event.Record) error) error {
	select {
	case <-time.After(l.wait):
		return eventlog.ErrUnavailable
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A gateway that cannot look at what it was handed until somebody else has it says
// nothing: it would be heard about what the other one holds.
func TestWhatCannotBeLookedAtInTimeIsNotGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := emptyMemory(1, false)
		m.read = func(n int, l eventlog.Log) eventlog.Log {
			if n == 1 {
				return slowLog{l, 18 * time.Second}
			}
			return l
		}
		m.begin()
		defer m.close()
		at := func(n int) *gateway { return &gateway{Manager: m.alive[n].Manager} }
		sub := m.created(t, subscription.Settings{AckDeadline: 2 * time.Second})
		slow := attach(at(1), sub.ID, subscription.ConsumerOptions{}, nil)
		defer slow.stop()
		time.Sleep(time.Second)
		m.published(t, "")
		time.Sleep(time.Second)
		c := attach(at(2), sub.ID, subscription.ConsumerOptions{}, nil)
		defer c.stop()
		waitFor(t, "the hold to be over", func() bool { return c.count() == 1 })
		extended(t, at(2), c.deliveries()[0], time.Hour)
		other := attach(at(0), sub.ID, subscription.ConsumerOptions{}, nil)
		defer other.stop()
		time.Sleep(5 * time.Second) // the slow one has failed
		if other.count()+c.count() != 1 {
			t.Error("it is in two hands at a time")
		}
	})
}
