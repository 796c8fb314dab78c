//go:build unix

package subscription_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

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
	t         *testing.T
	n         int
	dir       string
	log       eventlog.Log
	hole      atomic.Pointer[eventlog.Missing]
	ctx       context.Context
	wg        sync.WaitGroup
	published int
	idle      atomic.Int64 // streams that hold their event
	settle    chan string  // tokens of the one that settles
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
	c := &crowd{t: t, n: n, dir: t.TempDir(), ctx: t.Context(), settle: make(chan string, settlings)}
	c.open()
	return c
}

// open opens a gateway, or opens it again.
func (c *crowd) open() {
	e := openEngine(c.t, options(c.t, c.dir))
	h, err := hub.New(hub.Options{Log: e.Events()})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.Run(ctx) })
	m, err := subscription.Open(ctx, subscription.Options{
		Engine: holed{subscription.On(queue.On(e)), c}, Hub: h, Gateway: "a", MaxConsumers: c.n + 1,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.log = e.Events()
	c.gateway = &gateway{Manager: m, engine: e, stop: sync.OnceFunc(func() { m.Close(); cancel(); wg.Wait() })}
	c.t.Cleanup(c.stop)
}

func (c *crowd) measure() {
	c.time("make them", c.create)
	c.time("attach a stream to each", c.attach)
	c.rest("idle, nothing was ever handed out")
	c.time("hand each one event", c.handOut)
	c.rest("idle, each holds one event")
	c.settleOneByOne()
	c.time("look for gaps, nothing new", func() {
		if err := c.LookForGaps(c.ctx); err != nil {
			c.t.Error(err)
		}
	})
	c.time("count a hole of the log in each", c.countHole)
	c.time("stop", c.stop)
	c.wg.Wait()
	c.time("close the log", func() { _ = c.engine.Close() })
	c.time("open it all again", c.open)
	c.time("attach a stream to each", c.attach)
	c.idle.Store(0)
	c.time("hand each one event", c.handOut)
	c.time("stop", c.stop)
	c.wg.Wait()
}

func (c *crowd) time(what string, do func()) {
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	start := time.Now()
	do()
	took := time.Since(start)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	c.t.Logf("%-34s %d subscriptions: %s, cpu %s", what, c.n, took.Round(time.Microsecond), cpu)
}

func crowdID(i int) string { return fmt.Sprintf("s%05d", i) }

// create makes them: the first selects what is to be settled, all others the same
// other event.
func (c *crowd) create() {
	c.each(func(i int) error {
		sources := []string{"sources/other1", "sources/other2"}
		if i == 0 {
			sources = []string{"sources/billing"}
		}
		_, err := c.Create(c.ctx, crowdID(i), subscription.Settings{
			AckDeadline: 10 * time.Minute, Selector: &hookstreamv1.EventSelector{Sources: sources},
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
	for deadline := time.Now().Add(10 * time.Minute); c.Pulling() < c.n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("%d pull", c.Pulling())
		}
	}
}

// rest measures what a gateway costs that nothing happens on.
func (c *crowd) rest(what string) {
	time.Sleep(10 * time.Second) // what went before is over
	var before, after syscall.Rusage
	said, heard := c.talk()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	start := time.Now()
	time.Sleep(20 * time.Second)
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	took := time.Since(start).Seconds()
	saidNow, heardNow := c.talk()
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	runtime.GC()
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	c.t.Logf("%-34s %d subscriptions: %.3f of a core, %.0f messages/s to JetStream and %.0f back; heap %.1f KiB and stacks %.1f KiB for each, %.1f goroutines", what, c.n,
		cpu.Seconds()/took, float64(saidNow-said)/took, float64(heardNow-heard)/took,
		float64(mem.HeapAlloc)/1024/float64(c.n), float64(mem.StackInuse)/1024/float64(c.n), float64(runtime.NumGoroutine())/float64(c.n))
}

// talk answers how many messages went to JetStream and came from it.
func (c *crowd) talk() (said, heard uint64) {
	deliveries, err := c.engine.Deliveries()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, nc := range []*nats.Conn{deliveries, c.engine.JS().Conn()} {
		st := nc.Stats()
		said, heard = said+st.OutMsgs, heard+st.InMsgs
	}
	return said, heard
}

func (c *crowd) handOut() {
	c.published++
	c.publish(fmt.Sprintf("other%d", c.published), 1)
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
