package subscription_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/subscription"
)

// counted is an engine that counts what is asked of it.
type counted struct {
	subscription.Engine
	questions   *atomic.Int64 // to JetStream, and waited for
	pulls       *atomic.Int64
	connections *atomic.Int64 // how often somebody looked whether it is connected
}

func newCounted(e subscription.Engine) counted {
	return counted{e, new(atomic.Int64), new(atomic.Int64), new(atomic.Int64)}
}

func (c counted) UpdateQueue(ctx context.Context, q queue.Config) error {
	c.questions.Add(2) // to change it is a question of its own
	return c.Engine.UpdateQueue(ctx, q)
}

func (c counted) MakeQueue(ctx context.Context, q queue.Config) error {
	c.questions.Add(1)
	return c.Engine.MakeQueue(ctx, q)
}

func (c counted) QueueState(ctx context.Context, q queue.Config) (queue.State, error) {
	c.questions.Add(1)
	return c.Engine.QueueState(ctx, q)
}

func (c counted) Connection() (uint64, bool) {
	c.connections.Add(1)
	return c.Engine.Connection()
}

func (c counted) Pull(q queue.Config, p subscription.Pin, receive func(queue.Hand), ended func()) (subscription.Puller, error) {
	// A pull that ends is asked again.
	return c.Engine.Pull(q, p, receive, func() { c.pulls.Add(1); ended() })
}

// reset begins to count anew, and answers what was counted.
func (c counted) reset() (questions, pulls, connections int64) {
	return c.questions.Swap(0), c.pulls.Swap(0), c.connections.Swap(0)
}

// What does nothing costs next to nothing, or thousands of subscriptions would keep a
// gateway and JetStream busy with themselves: a queue that is as it should be is one
// question when a stream comes, and then a pull each four seconds, which waits.
func TestIdleSubscriptionsAskLittle(t *testing.T) {
	heavy.Test(t)
	for name, s := range map[string]subscription.Settings{
		"unordered": {AckDeadline: 10 * time.Minute},
		"ordered":   {AckDeadline: 10 * time.Minute, Ordering: subscription.OrderByEntity},
	} {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, with an event in hands %v", name, held), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testIdle(t, s, held) })
			})
		}
	}
}

func testIdle(t *testing.T, s subscription.Settings, held bool) {
	const n, minutes = 40, 5
	m := emptyMemory(1, true)
	var c counted
	m.wrap = func(_ int, e subscription.Engine) subscription.Engine { c = newCounted(e); return c }
	m.begin()
	defer m.close()
	g := m.gateways()[0]
	for i := range n {
		if _, err := g.Create(t.Context(), crowdID(i), s, subscription.Position{Earliest: true}); err != nil {
			t.Fatal(err)
		}
	}
	c.reset()
	given := attachAll(t, g, n)
	defer given.stop()
	time.Sleep(100 * time.Millisecond)
	if questions, _, _ := c.reset(); questions > 2*n { // and one who has the pin of what is ordered
		t.Errorf("%.1f questions when a stream comes", float64(questions)/n)
	}
	if held {
		if _, err := m.publish("signature_request.done", "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if got := given.count.Load(); got != n {
			t.Fatalf("%d were handed out, want %d", got, n)
		}
	}
	time.Sleep(time.Minute)
	c.reset()
	time.Sleep(minutes * time.Minute)
	questions, pulls, connections := c.reset()
	for what, one := range map[string]struct{ got, most int64 }{
		"questions":             {questions, 4},
		"pulls":                 {pulls, 15},
		"looks at a connection": {connections, 60},
	} {
		if float64(one.got) > float64(one.most*n*minutes) {
			t.Errorf("%.1f %s a minute for each subscription, want %d at most", float64(one.got)/n/minutes, what, one.most)
		}
	}
}

// attached are streams of many subscriptions that settle nothing.
type attached struct {
	count atomic.Int64 // of deliveries
	stop  func()
}

func attachAll(t *testing.T, g *subscription.Manager, n int) *attached {
	a := new(attached)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	a.stop = func() { cancel(); wg.Wait() }
	for i := range n {
		wg.Go(func() {
			_ = g.Attach(ctx, crowdID(i), subscription.ConsumerOptions{}, func(f subscription.Frame) error {
				a.count.Add(int64(len(f.Deliveries)))
				return nil
			})
		})
	}
	return a
}

// A queue that somebody deleted is made again, whatever was known of it here, and
// hands out what there is.
func TestQueueThatSomebodyDeletedIsMadeAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		for _, s := range []subscription.Settings{{}, {Ordering: subscription.OrderByEntity}} {
			// JetStream may take what it knew of the former one along: that comes when its
			// hold is over.
			s.AckDeadline = time.Second
			id := fmt.Sprintf("crm%d", s.Ordering)
			r.create(id, s)
			st := attach(r.a, id, subscription.ConsumerOptions{}, nil)
			defer st.stop()
			first := r.publish("", "")
			waitFor(t, "the first event", func() bool { return hasSeq(st, first) })
			ack(t, r.a, st.deliveries()...)
			e := queue.On(r.a.engine)
			names, err := e.QueueNames(t.Context(), "sub-")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if err := e.DeleteQueue(t.Context(), queue.Config{Name: name}); err != nil {
					t.Fatal(err)
				}
			}
			next := r.publish("", "")
			waitFor(t, "the event after the queue was deleted", func() bool { return hasSeq(st, next) })
		}
	})
}

func hasSeq(s *stream, seq uint64) bool {
	for _, d := range s.deliveries() {
		if d.Event.Seq() == seq {
			return true
		}
	}
	return false
}

// Streams on a gateway that has not heard yet that a subscription was sought do not
// have its former queue made again: it would hand out what was there before.
func TestFormerQueueIsNotMadeAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.create("crm", subscription.Settings{})
		for _, g := range []*gateway{r.a, r.b} {
			st := attach(g, "crm", subscription.ConsumerOptions{}, nil)
			defer st.stop()
		}
		for range 5 {
			r.publish("", "")
			if _, err := r.b.Seek(t.Context(), "crm", "", subscription.Position{Earliest: true}); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, "that there is one queue", func() bool {
			names, err := queue.On(r.a.engine).QueueNames(t.Context(), "sub-")
			return err == nil && len(names) == 1
		})
	})
}
