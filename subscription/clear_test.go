package subscription_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// What retention takes while nobody pulls, and a selector of types does not select, is no
// gap, over restarts. What it selects is one.
func TestWhatIsNotSelectedIsNoGapThoughNobodyPulls(t *testing.T) {
	for _, embedded := range []bool{true, false} {
		t.Run(fmt.Sprintf("embedded %v", embedded), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(1, embedded)
				defer m.close()
				m.created(t, subscription.Settings{Selector: selector(`types: "signature_request.done"`)})
				quiet := func(n int) { // of two a second, the log keeps 400, and a gateway 256 in memory
					for range n {
						last, err := m.publish("signer.done", "a")
						if err != nil {
							t.Fatal(err)
						}
						m.drop(max(last, 400) - 400)
						time.Sleep(500 * time.Millisecond)
					}
				}
				quiet(600)
				for i, g := range m.alive { // all begin anew, and remember nothing
					g.Close()
					g.engine.Close()
					m.alive[i] = nil
				}
				for i := range m.alive {
					m.alive[i] = m.open(i)
				}
				quiet(600)
				g := &gateway{Manager: m.alive[0].Manager}
				if n := missedOf(t, g, subID); n != 0 {
					t.Errorf("%d events are missed, and none was selected", n)
				}
				m.published(t, "a")
				quiet(600)
				if n := missedOf(t, g, subID); n < 1 {
					t.Error("the event that was selected is not missed")
				}
			})
		})
	}
}

// So it is where the log drops something during each look, as one that is full and busy does.
func TestWhatIsNotSelectedIsNoGapOfALogThatDropsDuringALook(t *testing.T) {
	for _, embedded := range []bool{true, false} {
		t.Run(fmt.Sprintf("embedded %v", embedded), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := emptyMemory(1, embedded)
				var mu sync.Mutex
				publish := func() {
					mu.Lock()
					defer mu.Unlock()
					last, err := m.publish("signer.done", "a")
					if err != nil {
						panic(err)
					}
					m.drop(max(last, 400) - 400)
				}
				m.wrap = func(_ int, e subscription.Engine) subscription.Engine { return busy{e, publish} }
				m.begin()
				defer m.close()
				m.created(t, subscription.Settings{Selector: selector(`types: "signature_request.done"`)})
				g := &gateway{Manager: m.alive[0].Manager}
				quiet := func(when string) {
					for range 1200 {
						publish()
						time.Sleep(500 * time.Millisecond)
					}
					if n := missedOf(t, g, subID); n != 0 {
						t.Errorf("%d events are missed %s, and none was selected", n, when)
					}
				}
				quiet("while nobody pulls")
				s := attach(g, subID, subscription.ConsumerOptions{}, nil)
				defer s.stop()
				quiet("while somebody waits")
			})
		})
	}
}

// What is selected, and dropped while a gateway looks, is missed, though nothing is left then.
func TestWhatIsDroppedDuringALookIsMissed(t *testing.T) {
	for more := range 2 { // each look drops one before, and one after the queue is asked
		t.Run(fmt.Sprint(more), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { droppedDuringALook(t, more) }) })
	}
}

func droppedDuringALook(t *testing.T, more int) {
	m := emptyMemory(1, true)
	publish := func(typ string) { // gateways have 256 in memory, so that each is known
		last, err := m.publish(typ, "a")
		if err != nil {
			panic(err)
		}
		m.drop(max(last, 100) - 100)
	}
	var looking atomic.Bool
	m.wrap = func(_ int, e subscription.Engine) subscription.Engine {
		return busy{e, func() {
			if looking.Load() {
				publish("signer.done")
			}
		}}
	}
	m.begin()
	defer m.close()
	m.created(t, subscription.Settings{Selector: selector(`types: "signature_request.done"`)})
	for range 200 {
		publish("signer.done")
		time.Sleep(time.Second)
	}
	publish("signature_request.done")
	for range 90 {
		publish("signer.done")
		time.Sleep(time.Second)
	}
	looking.Store(true)
	for range 1 + more {
		publish("signer.done")
	}
	time.Sleep(time.Minute)
	if n := missedOf(t, &gateway{Manager: m.alive[0].Manager}, subID); n != 1 {
		t.Errorf("%d events are missed, want the one that was selected", n)
	}
}

// busy has something published before it answers how a queue stands.
type busy struct {
	subscription.Engine
	publish func()
}

func (b busy) QueueState(ctx context.Context, q queue.Config) (queue.State, error) {
	b.publish()
	defer b.publish()
	return b.Engine.QueueState(ctx, q)
}

// The same of the real engine.
func TestWhatIsNotSelectedIsNoRealGapThoughNobodyPulls(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		r, restart := short(t, false)
		r.create("crm", subscription.Settings{Selector: selector(`types: "signature_request.done"`)})
		quiet := func(n int) {
			for range n {
				r.publish("signer.done", "a")
				time.Sleep(time.Second) // the log keeps ten
			}
		}
		quiet(40)
		restart()
		quiet(4)
		if n := missedOf(t, r.a, "crm"); n != 0 {
			t.Errorf("%d events are missed, and none was selected", n)
		}
		r.publish("", "a")
		quiet(40)
		if n := missedOf(t, r.a, "crm"); n != 1 {
			t.Errorf("%d events are missed, want the one that was selected", n)
		}
	})
}

// What a queue has jumped over is kept by a gateway that stops a moment later, be it that
// it could not be kept at once.
func TestAJumpIsKeptByAGatewayThatStops(t *testing.T) {
	for _, sel := range []string{``, `types: "signature_request.done"`} {
		for after := time.Millisecond; after < 40*time.Millisecond; after += time.Millisecond {
			t.Run(fmt.Sprintf("%s, %q", after, sel), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { stopAfterAJump(t, nil, after, sel) })
			})
		}
		t.Run(fmt.Sprintf("not at once, %q", sel), func(t *testing.T) {
			t.Parallel()
			wrap := func(_ int, e subscription.Engine) subscription.Engine { return forgetful{e} }
			synctest.Test(t, func(t *testing.T) { stopAfterAJump(t, wrap, 100*time.Millisecond, sel) })
		})
	}
}

func stopAfterAJump(t *testing.T, wrap func(int, subscription.Engine) subscription.Engine, after time.Duration, sel string) {
	m := emptyMemory(1, true)
	m.wrap = wrap
	m.begin()
	defer m.close()
	m.created(t, subscription.Settings{Selector: selector(sel), MaxOutstandingEvents: 5, AckDeadline: time.Hour})
	publish := func(n int) {
		for range n {
			m.drop(max(m.published(t, "a"), 10) - 10)
		}
	}
	publish(5)
	g := &gateway{Manager: m.alive[0].Manager}
	s := attach(g, subID, subscription.ConsumerOptions{}, nil)
	time.Sleep(time.Minute + 300*time.Millisecond) // between two looks
	publish(55)                                    // 51 to 60 are kept
	for _, d := range s.deliveries() {
		go g.Settle(t.Context(), "", []subscription.Settlement{{Token: d.Token, Verdict: subscription.Ack}})
	}
	time.Sleep(after)
	m.alive[0].Close()
	m.alive[0].engine.Close()
	m.alive[0] = m.open(0)
	next := &gateway{Manager: m.alive[0].Manager}
	time.Sleep(30 * time.Second)
	if n := missedOf(t, next, subID); n != 45 {
		t.Errorf("%d events are missed, want 45", n)
	}
	s.stop()
}

// The same of the real engine.
func TestAJumpIsKeptByARealGatewayThatStops(t *testing.T) {
	for _, sel := range []string{``, `types: "signature_request.done"`} {
		t.Run(sel, func(t *testing.T) {
			natstest.Bubble(t, func(t *testing.T) {
				r, restart := short(t, false)
				r.create("crm", subscription.Settings{Selector: selector(sel), MaxOutstandingEvents: 5, AckDeadline: time.Hour})
				s := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
				r.publishN(5)
				time.Sleep(time.Minute + 300*time.Millisecond)
				r.publishN(55)
				ack(t, r.a, s.deliveries()...)
				for s.count() < 10 {
					time.Sleep(time.Millisecond)
				}
				r.a.stop()
				s.stop()
				restart()
				time.Sleep(30 * time.Second)
				if n := missedOf(t, r.a, "crm"); n != 45 {
					t.Errorf("%d events are missed, want 45", n)
				}
			})
		})
	}
}
