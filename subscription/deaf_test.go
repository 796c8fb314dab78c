package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/subscription"
)

// inBothOrders plays a test in memory, for each ordering.
func inBothOrders(t *testing.T, s subscription.Settings, events int, test func(*testing.T, *memory)) {
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		t.Run(fmt.Sprintf("ordering %d", ordering), func(t *testing.T) {
			s := s
			s.Ordering = ordering
			inMemoryWith(t, s, events, test)
		})
	}
}

// listening is a stream that was attached.
type listening struct {
	ended  chan struct{}
	err    error
	took   time.Duration
	tokens chan string
	stop   context.CancelFunc
}

// listen attaches a stream that settles nothing, and takes nothing from its block-th
// frame with deliveries on; 0: it takes all.
func listen(g *subscription.Manager, o subscription.ConsumerOptions, block int) *listening {
	ctx, stop := context.WithCancel(context.Background())
	l := &listening{ended: make(chan struct{}), tokens: make(chan string, 1000), stop: stop}
	began := time.Now()
	frames := 0
	go func() {
		defer close(l.ended)
		l.err = g.Attach(ctx, subID, o, func(f subscription.Frame) error {
			if len(f.Deliveries) == 0 {
				return nil
			}
			if frames++; frames == block {
				<-ctx.Done()
				return ctx.Err()
			}
			for _, d := range f.Deliveries {
				l.tokens <- d.Token
			}
			return nil
		})
		l.took = time.Since(began)
	}()
	return l
}

// endedWithin reports whether the stream ends in a time.
func (l *listening) endedWithin(d time.Duration) bool {
	select {
	case <-l.ended:
		return true
	case <-time.After(d):
		return false
	}
}

// A stream of which nothing is heard is ended in bounded time, be it that nobody
// settles what it takes or that it does not even take it: so are those that a proxy
// keeps, whatever they come over.
func TestDeafStreamIsEnded(t *testing.T) {
	for what, block := range map[string]int{"settles nothing": 0, "takes nothing": 1} {
		t.Run(what, func(t *testing.T) {
			inBothOrders(t, subscription.Settings{AckDeadline: 10 * time.Second, MaxAttempts: 100}, 20, func(t *testing.T, m *memory) {
				l := listen(m.gateways()[0], subscription.ConsumerOptions{}, block)
				defer l.stop()
				if !l.endedWithin(10 * time.Minute) {
					t.Fatal("it is not ended")
				}
				if !errors.Is(l.err, subscription.ErrUnresponsive) {
					t.Errorf("it ended with %v", l.err)
				}
				// A deadline, the time that is set, and what may be in force then.
				if least := 10*time.Second + subscription.DefaultPeerTimeout; l.took < least || l.took > least+15*time.Second {
					t.Errorf("it was ended after %s", l.took)
				}
				st, err := m.gateways()[0].State(t.Context(), subID)
				if err != nil || len(st.Consumers) > 0 {
					t.Errorf("connected are %v, %v", st.Consumers, err)
				}
			})
		})
	}
}

// A consumer whose words all come too late is there.
func TestSlowStreamIsNotEnded(t *testing.T) {
	inBothOrders(t, subscription.Settings{AckDeadline: 10 * time.Second, MaxAttempts: 1000, BackoffMin: subscription.NoBackoff, BackoffMax: time.Second}, 5, func(t *testing.T, m *memory) {
		g := m.gateways()[0]
		l := listen(g, subscription.ConsumerOptions{}, 0)
		defer l.stop()
		late := 0
		for end := time.Now().Add(15 * time.Minute); time.Now().Before(end); {
			var token string
			select {
			case token = <-l.tokens:
			case <-l.ended:
				t.Fatalf("it ended after %s: %v", l.took, l.err)
			}
			time.Sleep(11 * time.Second)
			r := g.Settle(t.Context(), "", []subscription.Settlement{{Token: token, Verdict: subscription.Ack}})
			if r[0].Outcome == subscription.Expired {
				late++
			}
		}
		if late < 20 {
			t.Errorf("%d words came too late: the test tests nothing", late)
		}
	})
}

// A stream that has nothing to settle is not ended, however long that is.
func TestIdleStreamIsNotEnded(t *testing.T) {
	heavy.Test(t)
	inBothOrders(t, subscription.Settings{AckDeadline: time.Second}, 0, func(t *testing.T, m *memory) {
		l := listen(m.gateways()[0], subscription.ConsumerOptions{}, 0)
		defer l.stop()
		if l.endedWithin(time.Hour) {
			t.Errorf("it ended: %v", l.err)
		}
	})
}

// A deaf client that comes again is handed one delivery at a time until it settles
// one.
func TestDeafClientIsRemembered(t *testing.T) {
	inMemoryWith(t, subscription.Settings{AckDeadline: 10 * time.Second, MaxAttempts: 100}, 20, func(t *testing.T, m *memory) {
		g := m.gateways()[0]
		o := subscription.ConsumerOptions{ClientID: "w", Address: "192.0.2.1:1"}
		settled := listen(g, o, 0) // it was well once
		defer settled.stop()
		time.Sleep(time.Second)
		g.Settle(t.Context(), "", []subscription.Settlement{{Token: <-settled.tokens, Verdict: subscription.Ack}})
		if !settled.endedWithin(10 * time.Minute) {
			t.Fatal("it is not ended")
		}
		time.Sleep(time.Minute)
		for n := range 30 { // all that is suspect is handed out alone: bring some that is not
			if _, err := m.publish("signature_request.done", fmt.Sprint("new", n)); err != nil {
				t.Fatal(err)
			}
		}
		again := listen(g, o, 0)
		defer again.stop()
		other, stop := consume(g, subscription.Ack)
		defer stop()
		time.Sleep(2 * time.Second)
		if n := len(again.tokens); n > 1 {
			t.Errorf("it was handed %d", n)
		}
		if other() == 0 {
			t.Error("the other was handed nothing")
		}
		for len(again.tokens) > 0 {
			g.Settle(t.Context(), "", []subscription.Settlement{{Token: <-again.tokens, Verdict: subscription.Ack}})
		}
		stop()
		for n := range 30 {
			if _, err := m.publish("signature_request.done", fmt.Sprint("newer", n)); err != nil {
				t.Fatal(err)
			}
		}
		if time.Sleep(time.Second); len(again.tokens) < 20 {
			t.Errorf("it settled one, and was handed %d", len(again.tokens))
		}
	})
}

// A gateway where everybody is deaf lets another one hand out an ordered
// subscription, if somebody listens there.
func TestDeafGatewayGivesThePinAway(t *testing.T) {
	const events = 20
	s := subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: 5 * time.Second, MaxAttempts: 100}
	inMemoryWith(t, s, events, func(t *testing.T, m *memory) {
		gs := m.gateways()
		l := listen(gs[0], subscription.ConsumerOptions{ClientID: "deaf"}, 0)
		defer l.stop()
		time.Sleep(2 * time.Second)
		count, stop := consume(gs[1], subscription.Ack)
		defer stop()
		// Its deadline, and what a gateway that takes over waits for at most.
		if time.Sleep(30 * time.Second); count() != events {
			t.Errorf("%d of %d events came", count(), events)
		}
	})
}

// What expired where everybody is deaf goes to who listens at another gateway, and not
// to each of the deaf in turn: three of them kept it for three deadlines, and spent its
// attempts.
func TestDeafGatewayGivesWhatExpiredAway(t *testing.T) {
	const events = 20
	s := subscription.Settings{AckDeadline: 10 * time.Second, MaxAttempts: 2, BackoffMin: time.Second, BackoffMax: time.Second}
	inMemoryWith(t, s, events, func(t *testing.T, m *memory) {
		gs := m.gateways()
		for n := range 3 {
			defer listen(gs[0], subscription.ConsumerOptions{ClientID: fmt.Sprint("deaf", n)}, 0).stop()
		}
		time.Sleep(5 * time.Second)
		count, stop := consume(gs[1], subscription.Ack)
		defer stop()
		// The rest of the deadline, the back-off, and what is asked before.
		if time.Sleep(10 * time.Second); count() != events {
			t.Errorf("%d of %d events came", count(), events)
		}
	})
}

// Where nobody listens anywhere, all is as if there were one gateway.
func TestDeafGatewaysHandOutAllTheSame(t *testing.T) {
	s := subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: 5 * time.Second, MaxAttempts: 100}
	inMemoryWith(t, s, 3, func(t *testing.T, m *memory) {
		gs := m.gateways()
		l, other := listen(gs[0], subscription.ConsumerOptions{ClientID: "deaf"}, 0), listen(gs[1], subscription.ConsumerOptions{ClientID: "deaf too"}, 0)
		defer l.stop()
		defer other.stop()
		time.Sleep(30 * time.Second)
		before := len(l.tokens) + len(other.tokens)
		if time.Sleep(30 * time.Second); len(l.tokens)+len(other.tokens) < before+3 {
			t.Errorf("%d deliveries, then %d in 30 s", before, len(l.tokens)+len(other.tokens)-before)
		}
	})
}
