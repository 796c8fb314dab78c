package subscription_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"

	"github.com/hookstream/hookstream/subscription"
)

// onMemory runs a test on an engine that owns its time, of both kinds, with a
// subscription of every kind: whatever it selects, ordered or not.
func onMemory(t *testing.T, test func(t *testing.T, m *memory, at func() *gateway)) {
	for _, embedded := range []bool{true, false} {
		for name, sel := range map[string]string{"all": ``, "a type": `types: "signature_request.done"`, "a filter": `filter: "event.type == 'signature_request.done'"`} {
			for _, order := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
				t.Run(fmt.Sprintf("embedded %v, %s, ordering %d", embedded, name, order), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						m := newMemory(1, embedded)
						defer m.close()
						m.created(t, subscription.Settings{Ordering: order, Selector: selector(sel), MaxOutstandingEvents: 4})
						test(t, m, func() *gateway { return &gateway{Manager: m.alive[0].Manager} })
					})
				})
			}
		}
	}
}

// acked is a consumer that acknowledges what comes.
func acked(t *testing.T, g *gateway) *stream {
	return attach(g, subID, subscription.ConsumerOptions{}, func(d subscription.Delivery) { go ack(t, g, d) })
}

// wantGap checks what the subscription has missed in all, and what a stream was told.
func wantGap(t *testing.T, g *gateway, s *stream, missed, told int64) {
	t.Helper()
	if n := missedOf(t, g, subID); n != missed || s.gaps() != told {
		t.Errorf("%d are missed, want %d; told of %d, want %d", n, missed, s.gaps(), told)
	}
}

// A hole of the log is a gap of every subscription that has not passed it: once,
// before and after gateways have begun anew. What was settled before it was lost is
// none.
func TestAHoleIsAGapWhateverIsSelected(t *testing.T) {
	onMemory(t, func(t *testing.T, m *memory, at func() *gateway) {
		for range 20 {
			m.published(t, "a")
		}
		m.log.Lose(5, 8)
		m.log.Lose(12, 13)
		time.Sleep(3 * time.Second) // nobody is connected
		s := acked(t, at())
		time.Sleep(30 * time.Second)
		wantGap(t, at(), s, 4, 4)
		if s.count() != 16 {
			t.Errorf("%d events came, want 16", s.count())
		}
		m.log.Lose(15, 18)
		time.Sleep(3 * time.Second)
		wantGap(t, at(), s, 4, 4)
		s.stop()
		for range 5 {
			m.published(t, "a")
		}
		m.log.Lose(22, 24)
		for n := range m.alive { // they know of nothing when the queue goes on
			m.fault("kill", n)
		}
		s = acked(t, at())
		time.Sleep(time.Minute)
		wantGap(t, at(), s, 6, 2)
		s.stop()
		for n := range m.alive {
			m.fault("kill", n)
		}
		s = acked(t, at())
		m.published(t, "a")
		time.Sleep(time.Minute)
		wantGap(t, at(), s, 6, 0)
		s.stop()
	})
}

// A hole that is found when the queue has jumped over it, by who reads what comes
// after it, is a gap all the same. What was settled shortly before is none.
func TestAHoleThatIsFoundLateIsAGap(t *testing.T) {
	onMemory(t, func(t *testing.T, m *memory, at func() *gateway) {
		for range 20 {
			m.published(t, "a")
		}
		time.Sleep(1500 * time.Millisecond) // they have looked, and look again half a second later
		m.log.Lose(5, 8)
		s := acked(t, at())
		waitFor(t, "the rest", func() bool { return s.count() == 17 })
		m.log.Lose(14, 16) // were handed out
		time.Sleep(30 * time.Second)
		wantGap(t, at(), s, 3, 3)
		s.stop()
	})
}

// A Seek begins anew: what is sought has the holes that the log has.
func TestAHoleIsAGapOfWhatIsSought(t *testing.T) {
	onMemory(t, func(t *testing.T, m *memory, at func() *gateway) {
		for range 20 {
			m.published(t, "a")
		}
		s := acked(t, at())
		time.Sleep(30 * time.Second)
		m.log.Lose(5, 8)
		time.Sleep(30 * time.Second)
		wantGap(t, at(), s, 0, 0)
		for n := range 2 {
			if _, err := at().Seek(t.Context(), subID, "", subscription.Position{Earliest: true}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Second)
			wantGap(t, at(), s, 3, int64(3*(n+1)))
		}
		s.stop()
	})
}

// unaware does not know what its log has lost.
type unaware struct{ subscription.Engine }

func (unaware) Holes(context.Context) ([]eventlog.Missing, error) { return nil, nil }

// A hole that nobody knows of is noticed by its numbers, also when it is the first
// that a gateway meets.
func TestAHoleBehindARestartIsAGap(t *testing.T) {
	for _, embedded := range []bool{true, false} {
		for _, order := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
			t.Run(fmt.Sprintf("embedded %v, ordering %d", embedded, order), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m := emptyMemory(1, embedded)
					m.wrap = func(_ int, e subscription.Engine) subscription.Engine { return unaware{e} }
					m.begin()
					defer m.close()
					at := func() *gateway { return &gateway{Manager: m.alive[0].Manager} }
					m.created(t, subscription.Settings{Ordering: order, Selector: selector("")})
					for range 10 {
						m.published(t, "a")
					}
					s := acked(t, at())
					time.Sleep(30 * time.Second)
					s.stop()
					time.Sleep(30 * time.Second) // nothing is asked for any more
					for range 10 {
						m.published(t, "a")
					}
					m.log.Lose(11, 14)
					for n := range m.alive {
						m.fault("kill", n)
					}
					s = acked(t, at())
					time.Sleep(time.Minute)
					wantGap(t, at(), s, 3, 3)
					if s.count() != 7 {
						t.Errorf("%d events came, want 7", s.count())
					}
					s.stop()
				})
			})
		}
	}
}
