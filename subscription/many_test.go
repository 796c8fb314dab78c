package subscription_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/subscription"
)

// TestManySubscriptions measures what grows with the number of subscriptions, on an
// embedded engine. It takes minutes and is run by hand:
//
//	HOOKSTREAM_MANY=300 go test ./subscription -run TestManySubscriptions -v -timeout 1h
//
// Each has a stream that holds one event unsettled, but for one, which settles what
// it is handed.
func TestManySubscriptions(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("HOOKSTREAM_MANY"))
	if n == 0 {
		t.Skip("HOOKSTREAM_MANY is not set")
	}
	for _, n := range []int{1, n} {
		t.Run(strconv.Itoa(n), func(t *testing.T) { openCrowd(t, n).measure() })
	}
}

// crowd is a gateway with many subscriptions.
type crowd struct {
	*gateway
	t      *testing.T
	n      int
	log    eventlog.Log
	hole   atomic.Pointer[eventlog.Missing]
	ctx    context.Context
	wg     sync.WaitGroup
	idle   atomic.Int64 // streams that hold their event
	settle chan string  // tokens of the one that settles
}

// holed is an engine whose log has lost what the crowd says.
type holed struct {
	subscription.Engine
	c *crowd
}

func (e holed) Holes(context.Context) (out []eventlog.Missing, _ error) {
	if hole := e.c.hole.Load(); hole != nil {
		out = append(out, *hole)
	}
	return out, nil
}

const settlings = 2000

func openCrowd(t *testing.T, n int) *crowd {
	c := &crowd{t: t, n: n, ctx: t.Context(), settle: make(chan string, settlings)}
	e := openEngine(t, options(t, t.TempDir()))
	h, err := hub.New(hub.Options{Log: e.Events()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	m, err := subscription.Open(ctx, subscription.Options{
		Engine: holed{subscription.On(queue.On(e)), c}, Hub: h, Gateway: "a", MaxConsumers: n + 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.log = e.Events()
	c.gateway = &gateway{Manager: m, engine: e, stop: sync.OnceFunc(m.Close)}
	t.Cleanup(c.stop)
	return c
}

func (c *crowd) measure() {
	c.time("make them", c.create)
	c.attach()
	c.time("attach a stream, hand it one event", c.handOut)
	c.settleOneByOne()
	c.time("look for gaps, nothing new", func() {
		if err := c.LookForGaps(c.ctx); err != nil {
			c.t.Error(err)
		}
	})
	c.time("count a hole of the log in each", c.countHole)
	c.time("stop", c.stop)
	c.wg.Wait()
}

func (c *crowd) time(what string, do func()) {
	start := time.Now()
	do()
	c.t.Logf("%-34s %d subscriptions: %s", what, c.n, time.Since(start).Round(time.Microsecond))
}

func crowdID(i int) string { return fmt.Sprintf("s%05d", i) }

// create makes them: the first selects what is to be settled, all others the same
// other event.
func (c *crowd) create() {
	c.each(func(i int) error {
		source := "sources/other"
		if i == 0 {
			source = "sources/billing"
		}
		_, err := c.Create(c.ctx, crowdID(i), subscription.Settings{
			AckDeadline: 10 * time.Minute, Selector: &hookstreamv1.EventSelector{Sources: []string{source}},
		}, subscription.Position{Earliest: true})
		return err
	})
}

// each calls do for all, some at a time.
func (c *crowd) each(do func(i int) error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < c.n; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					c.t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func (c *crowd) attach() {
	for i := range c.n {
		c.wg.Go(func() {
			_ = c.Attach(context.Background(), crowdID(i), subscription.ConsumerOptions{}, func(f subscription.Frame) error {
				for _, d := range f.Deliveries {
					if i == 0 {
						c.settle <- d.Token
					} else {
						c.idle.Add(1)
					}
				}
				return nil
			})
		})
	}
}

func (c *crowd) handOut() {
	c.publish("other", 1)
	for deadline := time.Now().Add(5 * time.Minute); c.idle.Load() < int64(c.n-1); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("%d streams have their event, want %d", c.idle.Load(), c.n-1)
		}
	}
}

func (c *crowd) publish(source string, n int) {
	for i := range n {
		data, err := event.Encode(&hookstreamv1.Event{
			Source: "sources/" + source, Provider: "yousign", Topic: "signer", Action: "done", Type: "signer.done",
		}, &hookstreamv1.RawRequest{Body: make([]byte, 1024)})
		if err == nil {
			_, err = c.log.Append(c.ctx, eventlog.Entry{Source: source, Topic: "signer", Action: "done", DedupKey: fmt.Sprint(source, i), Data: data})
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *crowd) settleOneByOne() {
	c.publish("billing", settlings)
	took := make([]time.Duration, 0, settlings)
	for range settlings {
		token := <-c.settle
		start := time.Now()
		r := c.Settle(c.ctx, crowdID(0), []subscription.Settlement{{Token: token, Verdict: subscription.Ack}})
		took = append(took, time.Since(start))
		if r[0].Outcome != subscription.Done {
			c.t.Fatalf("outcome %d", r[0].Outcome)
		}
	}
	slices.Sort(took)
	c.t.Logf("%-34s %d subscriptions: p50 %s, p99 %s", "settle one event, durable", c.n, took[len(took)/2], took[len(took)*99/100])
}

// countHole waits until each has counted what the log has lost, which none of
// their queues has passed.
func (c *crowd) countHole() {
	b, err := c.log.Bounds(c.ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	c.hole.Store(&eventlog.Missing{From: b.Last + 1000, To: b.Last + 1002})
	for {
		if err := c.LookForGaps(c.ctx); err != nil {
			c.t.Fatal(err)
		}
		if c.Missing() == c.n {
			return
		}
	}
}
