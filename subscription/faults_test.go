package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/subscription"
)

// book remembers which acknowledgements were confirmed, and finds deliveries
// that come after.
type book struct {
	t         *testing.T
	mu        sync.Mutex
	confirmed map[uint64]bool
	handed    map[uint64]int
}

func newBook(t *testing.T) *book {
	return &book{t: t, confirmed: make(map[uint64]bool), handed: make(map[uint64]int)}
}

func (b *book) take(d subscription.Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handed[d.Event.Seq()]++
	if b.confirmed[d.Event.Seq()] {
		b.t.Errorf("event %d is handed out, attempt %d, after its acknowledgement was confirmed", d.Event.Seq(), d.Attempt)
	}
}

func (b *book) ack(g *gateway, d subscription.Delivery) {
	// The entry must be there before anybody can be handed the event again.
	if o := g.Settle(b.t.Context(), "", []subscription.Settlement{{Token: d.Token, Verdict: subscription.Ack}})[0].Outcome; o == subscription.Done {
		b.mu.Lock()
		b.confirmed[d.Event.Seq()] = true
		b.mu.Unlock()
	}
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.confirmed)
}

func (b *book) again() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, times := range b.handed {
		n += times - 1
	}
	return n
}

// work consumes with some streams whose consumers now and then break off, until
// stop is closed.
func (b *book) work(g, other *gateway, id string, streams int, stop chan struct{}, wg *sync.WaitGroup) {
	for range streams {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				queue := make(chan subscription.Delivery, 4096)
				s := attach(g, id, subscription.ConsumerOptions{MaxEvents: 20}, func(d subscription.Delivery) {
					b.take(d)
					queue <- d
				})
				b.some(g, other, queue, s, stop)
				s.stop()
			}
		})
	}
}

func (b *book) some(g, other *gateway, queue chan subscription.Delivery, s *stream, stop chan struct{}) {
	for range 5 + rand.IntN(60) {
		select {
		case d := <-queue:
			by := g
			if rand.IntN(2) == 0 {
				by = other
			}
			b.ack(by, d)
		case <-s.done: // the gateway is gone
			time.Sleep(20 * time.Millisecond)
			return
		case <-stop:
			return
		}
	}
}

// A node of the cluster that dies, the one that leads the log, costs nothing but
// repetitions of what was not confirmed.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	r := clustered(t)
	r.create("crm", subscription.Settings{AckDeadline: 2 * time.Second})
	b, stop := newBook(t), make(chan struct{})
	var wg sync.WaitGroup
	b.work(r.a, r.b, "crm", 3, stop, &wg)
	b.work(r.b, r.a, "crm", 3, stop, &wg)
	const events = 600
	for n := range events {
		r.publish("", "")
		if n == events/2 {
			r.cluster.Kill(max(r.cluster.Leader("HOOKSTREAM_EVENTS"), 0))
		}
	}
	waitFor(t, "all to be confirmed", func() bool { return b.count() == events || t.Failed() })
	close(stop)
	wg.Wait()
	t.Logf("%d events, %d handed out again", events, b.again())
}

// A gateway that is gone without a word: what it held goes to the other, and
// tokens it made are good there until their deadline.
func TestGatewayDies(t *testing.T) {
	t.Parallel()
	r := clustered(t)
	r.publishN(20)
	r.create("crm", subscription.Settings{AckDeadline: 20 * time.Second})
	got := pull(t, r.a, "crm", 10)
	rest := pull(t, r.b, "crm", 10)
	r.a.die()
	ack(t, r.b, got[:4]...)
	if res := settle(t, r.b, subscription.Settlement{Token: got[4].Token, Verdict: subscription.Retry, Delay: new(time.Duration)}); res.Outcome != subscription.Done {
		t.Errorf("a retry: outcome %d", res.Outcome)
	}
	if d := pull(t, r.b, "crm", 1)[0]; d.Event.Seq() != got[4].Event.Seq() || d.Attempt != 2 {
		t.Errorf("event %d, attempt %d", d.Event.Seq(), d.Attempt)
	} else {
		// It is in other hands now.
		if res := settle(t, r.b, subscription.Settlement{Token: got[4].Token, Verdict: subscription.Ack}); res.Outcome != subscription.Expired {
			t.Errorf("the token of the first attempt: outcome %d", res.Outcome)
		}
		ack(t, r.b, d)
	}
	ack(t, r.b, rest...)
	again := pull(t, r.b, "crm", 5)
	if diff := cmp.Diff(sorted(seqsOf(got[5:])), sorted(seqsOf(again))); diff != "" || time.Now().Before(got[5].Deadline) {
		t.Errorf("%s before the deadline came again: %s", time.Until(got[5].Deadline), diff)
	}
	ack(t, r.b, again...)
	if res := settle(t, r.b, subscription.Settlement{Token: got[5].Token, Verdict: subscription.Ack}); res.Outcome != subscription.Expired {
		t.Errorf("a token after its deadline: outcome %d", res.Outcome)
	}
	nothingThere(t, r.b, "crm", 200*time.Millisecond)
}

// A gateway that dies with a question may have done what it was asked: that the
// deadline has passed meanwhile does not say that the event comes again. When it is
// said once more there is no such question, and the delivery is over.
func TestGatewayDiesWithAQuestion(t *testing.T) {
	t.Parallel()
	r := clustered(t)
	r.publishN(1)
	r.create("crm", subscription.Settings{AckDeadline: 2 * time.Second})
	d := pull(t, r.a, "crm", 1)[0]
	r.a.die()
	asked := make(chan struct{}, 1)
	silent := r.bus(r.a.Gateway(), subscription.AskSettle, func([]byte) []byte { asked <- struct{}{}; return nil })
	go func() { <-asked; silent.Close() }()
	time.Sleep(time.Until(d.Deadline) - 100*time.Millisecond)
	if res := r.b.Settle(t.Context(), "", []subscription.Settlement{{Token: d.Token, Verdict: subscription.Ack}})[0]; res.Outcome != subscription.Unavailable {
		t.Errorf("asked while it died: outcome %d", res.Outcome)
	}
	if res := settle(t, r.b, subscription.Settlement{Token: d.Token, Verdict: subscription.Ack}); res.Outcome != subscription.Expired {
		t.Errorf("asked afterwards: outcome %d", res.Outcome)
	}
}

// What a dead gateway had handed out may be held by one that is slow to say so.
func TestSlowGatewayIsAskedAboutOrphans(t *testing.T) {
	t.Parallel()
	r := clustered(t)
	r.publishN(2)
	r.create("crm", subscription.Settings{AckDeadline: 30 * time.Second})
	got := pull(t, r.a, "crm", 2)
	r.a.die()
	var free atomic.Bool
	slow := r.bus("slow", subscription.AskClaim, func([]byte) []byte {
		time.Sleep(time.Second)
		return fmt.Appendf(nil, `{"Gateway":"slow","Mine":[%t]}`, !free.Load())
	})
	slow.Tell(subscription.TellHello, []byte("slow"))
	waitFor(t, "the slow gateway to be heard of", func() bool { return r.b.HasHeardOf("slow") })
	if res := settle(t, r.b, subscription.Settlement{Token: got[0].Token, Verdict: subscription.Ack}); res.Outcome != subscription.Expired {
		t.Errorf("held by the slow gateway: outcome %d", res.Outcome)
	}
	free.Store(true)
	ack(t, r.b, got[1])
}

// A gateway that is stopped gives back what its streams held at once.
func TestGatewayStops(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.publishN(5)
		r.create("crm", subscription.Settings{AckDeadline: time.Hour})
		s := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
		waitFor(t, "the deliveries", func() bool { return s.count() == 5 })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := r.a.Drain(ctx, 50*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if err := s.ended(); !errors.Is(err, subscription.ErrDraining) {
			t.Errorf("the stream ended with %v", err)
		}
		r.a.stop()
		for _, d := range pull(t, r.b, "crm", 5) {
			if d.Attempt != 1 {
				t.Errorf("attempt %d: its gateway ended the stream", d.Attempt)
			}
		}
	})
}

// A selector whose evaluation is cut short selects nothing, which is no reason to
// settle the event.
func TestGatewayStopsWhileItSelects(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		selecting := make(chan struct{}, 1)
		endless := subscription.Options{Gateway: "c"}
		endless.SelectBy(func(ctx context.Context) bool {
			selecting <- struct{}{}
			<-ctx.Done()
			return false
		})
		c := openGatewayOn(t, r.a.engine, endless)
		r.create("crm", subscription.Settings{})
		seq := r.publish("", "")
		waitFor(t, "the subscription", func() bool { _, err := c.Get("crm"); return err == nil })
		attach(c, "crm", subscription.ConsumerOptions{}, nil)
		<-selecting
		c.stop()
		if d := pull(t, r.b, "crm", 1)[0]; d.Event.Seq() != seq {
			t.Errorf("event %d came instead of %d", d.Event.Seq(), seq)
		}
	})
}

// A gateway dies with an ordered subscription: the other hands out the next of an
// entity only when the former delivery is over. It becomes the one that hands out
// though its consumer never waits long: what one Pull asked JetStream for, and did
// not wait for, must not be lost on the next.
func TestOrderedGatewayDies(t *testing.T) {
	t.Parallel()
	r := clustered(t)
	one := r.publish("", "signature_requests/1")
	r.publish("", "signature_requests/1")
	r.create("crm", subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: 8 * time.Second})
	d := pull(t, r.a, "crm", 1)[0]
	r.a.die()
	again := pullFor(t, r.b, "crm", 1, 100*time.Millisecond)[0]
	if again.Event.Seq() != one || time.Now().Before(d.Deadline) {
		t.Errorf("event %d, %s before the deadline of %d", again.Event.Seq(), time.Until(d.Deadline), one)
	}
}

// As much as a call may settle passes from one gateway to another, though NATS
// takes no more than 1 MiB at a time.
func TestManyAtAnotherGateway(t *testing.T) {
	t.Parallel()
	c := natstest.Start(t, func(o *server.Options) { o.MaxPayload = 1 << 20 })
	open := func(name string) *gateway {
		o := options(t, t.TempDir())
		o.URL, o.Replicas = c.URL(), 3
		return openGateway(t, openEngine(t, o), name)
	}
	a, b := open("a"), open("b")
	r := &rig{t: t, log: a.engine.Events(), a: a, b: b, cluster: c}
	const events = 400
	r.publishN(events)
	r.create("crm", subscription.Settings{MaxOutstandingEvents: events})
	reason := strings.Repeat("\x01", 1024)
	var all []subscription.Settlement
	for _, d := range pull(t, b, "crm", events) {
		all = append(all, subscription.Settlement{Token: d.Token, Verdict: subscription.Skip, Reason: reason})
	}
	// A cluster that is slow may leave some open, which are to be said again; what NATS
	// refuses stays open for good.
	waitFor(t, "all to be settled", func() bool {
		var left []subscription.Settlement
		for i, res := range a.Settle(t.Context(), "crm", all) {
			switch res.Outcome {
			case subscription.Done:
			case subscription.Unavailable:
				left = append(left, all[i])
			default:
				t.Fatalf("settlement %d: outcome %d", i, res.Outcome)
			}
		}
		all = left
		return len(left) == 0
	})
}

// A gateway that is cut off for a while: what was acknowledged through another
// one meanwhile is not handed out again when it is back, and what comes after it
// is.
func TestOrderedGatewayIsCutOff(t *testing.T) {
	t.Parallel()
	c := natstest.Start(t)
	link := c.Link(1)
	open := func(url, name string) *gateway {
		o := options(t, t.TempDir())
		o.URL, o.Replicas = url, 3
		return openGateway(t, openEngine(t, o), name)
	}
	a, b := open(c.URL(), "a"), open(link.URL(), "b")
	r := &rig{t: t, log: a.engine.Events(), a: a, b: b, cluster: c}
	r.publish("", "signature_requests/1")
	two := r.publish("", "signature_requests/1")
	r.create("crm", subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: 10 * time.Second})
	stay := attach(b, "crm", subscription.ConsumerOptions{}, nil)
	defer stay.stop()
	waitFor(t, "the first of the entity", func() bool { return stay.count() > 0 })
	link.Cut()
	ack(t, a, stay.deliveries()[0])
	link.Mend()
	// Its own clock says in the end that the delivery was not settled.
	waitFor(t, "the next of the entity", func() bool { return stay.count() > 1 })
	for _, next := range stay.deliveries()[1:] {
		if next.Event.Seq() != two {
			t.Errorf("event %d was handed out, attempt %d; it was acknowledged", next.Event.Seq(), next.Attempt)
		}
	}
}

// JetStream may lose what it had not written down when an embedded gateway is
// killed: what was confirmed stays settled all the same.
func TestAcknowledgedSurvivesALostQueueState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := openEngine(t, options(t, dir))
	r := &rig{t: t, log: e.Events(), a: openGateway(t, e, "a")}
	r.b = r.a
	seqs := r.publishN(50)
	r.create("crm", subscription.Settings{})
	got := pull(t, r.a, "crm", 50)
	slices.SortFunc(got, func(a, b subscription.Delivery) int { return int(a.Event.Seq()) - int(b.Event.Seq()) })
	states, err := filepath.Glob(filepath.Join(dir, "jetstream", "$G", "streams", "HOOKSTREAM_EVENTS", "obs", "sub-*", "o.dat"))
	if err != nil {
		t.Fatal(err)
	}
	ack(t, r.a, got[:30]...)
	ack(t, r.a, got[40:]...)
	r.a.die()
	// As if nothing of the queue had ever reached the disk.
	for _, path := range states {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if len(states) == 0 {
		t.Fatal("JetStream keeps its state elsewhere now: this test shows nothing")
	}
	g := openGateway(t, openEngine(t, options(t, dir)), "a")
	for _, d := range pull(t, g, "crm", 10) {
		if seq := d.Event.Seq(); seq < seqs[30] || seq >= seqs[40] {
			t.Errorf("event %d was handed out after its acknowledgement was confirmed", seq)
		}
	}
	nothingThere(t, g, "crm", 200*time.Millisecond)
}

// Streams that come and go leave nothing behind.
func TestStreamsLeaveNothingBehind(t *testing.T) {
	r := embedded(t)
	r.create("crm", subscription.Settings{})
	r.publishN(100)
	warm := attach(r.a, "crm", subscription.ConsumerOptions{}, nil)
	waitFor(t, "the first", func() bool { return warm.count() > 0 })
	warm.stop()
	before := runtime.NumGoroutine()
	for range 20 {
		var streams []*stream
		for n := range 50 {
			g := r.a
			if n%2 == 0 {
				g = r.b
			}
			streams = append(streams, attach(g, "crm", subscription.ConsumerOptions{MaxEvents: 3}, nil))
		}
		waitFor(t, "the streams", func() bool { return streams[49].now() >= 0 && streams[48].now() >= 0 })
		for _, s := range streams {
			s.stop()
		}
	}
	waitFor(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before+10 })
	waitFor(t, "all to be given back", func() bool {
		st, err := r.a.State(t.Context(), "crm")
		return err == nil && len(st.Consumers) == 0
	})
	stats := r.a.Stats()["crm"]
	if stats.Outstanding != 0 || stats.OutstandingBytes != 0 || stats.Consumers != 0 {
		t.Errorf("%+v", stats)
	}
}
