package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/eventlog/queue"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/subscription"
)

// rig is two gateways on one log.
type rig struct {
	t       testing.TB
	log     eventlog.Log
	a, b    *gateway
	cluster *natstest.Cluster // nil: embedded
	seqs    int

	dir     string // of a rig that can begin anew
	damaged func() // is called between two lives of it
}

// gateway is one manager with what it needs.
type gateway struct {
	*subscription.Manager
	engine *jetstream.Engine
	hub    *hub.Hub
	stop   func()
}

func options(t testing.TB, dir string) jetstream.Options {
	o := jetstream.DefaultOptions()
	o.Dir = dir
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return o
}

func embedded(t testing.TB) *rig {
	e := openEngine(t, options(t, t.TempDir()))
	return &rig{t: t, log: e.Events(), a: openGateway(t, e, "a"), b: openGateway(t, e, "b")}
}

func clustered(t testing.TB) *rig {
	c := natstest.Start(t)
	open := func() *jetstream.Engine {
		o := options(t, t.TempDir())
		o.URL, o.Replicas = c.URL(), 3
		return openEngine(t, o)
	}
	a, b := open(), open()
	return &rig{t: t, log: a.Events(), a: openGateway(t, a, "a"), b: openGateway(t, b, "b"), cluster: c}
}

func openEngine(t testing.TB, o jetstream.Options) *jetstream.Engine {
	t.Helper()
	e, err := jetstream.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// openGateway opens a manager of its own, with a hub of its own, that ends with
// the test unless it is stopped before.
func openGateway(t testing.TB, e *jetstream.Engine, name string) *gateway {
	t.Helper()
	return openGatewayOn(t, e, subscription.Options{Gateway: name})
}

func openGatewayOn(t testing.TB, e *jetstream.Engine, o subscription.Options) *gateway {
	t.Helper()
	h, err := hub.New(hub.Options{Log: e.Events()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.Run(ctx) })
	o.Hub = h
	if o.Engine == nil {
		o.Engine = subscription.On(queue.On(e))
	}
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	m, err := subscription.Open(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { m.Close(); cancel(); wg.Wait() })
	t.Cleanup(stop)
	return &gateway{Manager: m, engine: e, hub: h, stop: stop}
}

// onBoth runs a test on the embedded engine and on a cluster of three.
func onBoth(t *testing.T, test func(*testing.T, *rig)) {
	t.Run("embedded", func(t *testing.T) { t.Parallel(); test(t, embedded(t)) })
	t.Run("cluster", func(t *testing.T) { t.Parallel(); test(t, clustered(t)) })
}

// bus answers a question in the place of a gateway.
func (r *rig) bus(gateway, question string, answer func([]byte) []byte) *queue.Bus {
	r.t.Helper()
	bus, err := queue.On(r.b.engine).Bus(gateway)
	if err == nil {
		err = bus.Serve(question, answer)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(bus.Close)
	return bus
}

// publish appends an event and answers its sequence. Entity and typ may be
// empty.
func (r *rig) publish(typ, entity string) uint64 {
	r.t.Helper()
	if typ == "" {
		typ = "signature_request.done"
	}
	r.seqs++
	entry := entryOf(r.seqs, typ, entity)
	deadline := time.Now().Add(30 * time.Second)
	for {
		got, err := r.log.Append(context.Background(), entry)
		if err == nil {
			return got.Seq
		}
		if !errors.Is(err, eventlog.ErrUnavailable) || time.Now().After(deadline) {
			r.t.Fatal(err)
		}
	}
}

// entryOf makes the n-th event, like no other.
func entryOf(n int, typ, entity string) eventlog.Entry {
	topic, action := event.SplitType(typ)
	data, err := event.Encode(&hookstreamv1.Event{
		Source: "sources/billing", Provider: "yousign", Topic: topic, Action: action, Type: typ, Entity: entity,
	}, &hookstreamv1.RawRequest{Body: fmt.Appendf(nil, `{"n":%d}`, n)})
	if err != nil {
		panic(err)
	}
	return eventlog.Entry{Source: "billing", Topic: topic, Action: action, DedupKey: fmt.Sprintf("key %d", n), Data: data}
}

func (r *rig) publishN(n int) (seqs []uint64) {
	for range n {
		seqs = append(seqs, r.publish("", ""))
	}
	return seqs
}

// create makes a subscription from the beginning, known to both gateways.
func (r *rig) create(id string, s subscription.Settings) *subscription.Subscription {
	r.t.Helper()
	sub, err := r.a.Create(context.Background(), id, s, subscription.Position{Earliest: true})
	if err != nil {
		r.t.Fatal(err)
	}
	r.inForce(sub)
	return sub
}

func (r *rig) inForce(sub *subscription.Subscription) {
	r.t.Helper()
	waitFor(r.t, "the change on the other gateway", func() bool {
		got, err := r.b.Get(sub.ID)
		return err == nil && got.Etag == sub.Etag
	})
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// stream is a consumer that remembers what it was handed.
type stream struct {
	mu     sync.Mutex
	got    []subscription.Delivery
	phase  subscription.Phase
	frames int
	missed []int64 // as gaps were told
	err    error
	// closing, when set, is called instead of taking a frame, whose deliveries it
	// is not shown: nobody works on them.
	closing func()
	stop    func()
	done    chan struct{}
}

func attach(g *gateway, id string, o subscription.ConsumerOptions, fn func(subscription.Delivery)) *stream {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{done: make(chan struct{})}
	s.stop = func() { cancel(); <-s.done }
	go func() {
		defer close(s.done)
		err := g.Attach(ctx, id, o, func(f subscription.Frame) error {
			s.mu.Lock()
			if closing := s.closing; closing != nil {
				s.mu.Unlock()
				closing()
				return errors.New("the consumer is gone")
			}
			s.got = append(s.got, f.Deliveries...)
			s.phase = f.Phase
			if f.Gap.Missed > 0 {
				s.missed = append(s.missed, f.Gap.Missed)
			}
			s.frames++
			s.mu.Unlock()
			if fn != nil {
				for _, d := range f.Deliveries {
					fn(d)
				}
			}
			return nil
		})
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}()
	return s
}

func (s *stream) deliveries() []subscription.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]subscription.Delivery(nil), s.got...)
}

// gaps answers how many events the stream was told are missed.
func (s *stream) gaps() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.missed {
		n += one
	}
	return n
}

func (s *stream) count() int { return len(s.deliveries()) }

func (s *stream) ended() error { <-s.done; return s.err }

func (s *stream) now() subscription.Phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frames == 0 {
		return -1
	}
	return s.phase
}

// pull waits until n deliveries were pulled.
func pull(t testing.TB, g *gateway, id string, n int) []subscription.Delivery {
	t.Helper()
	return pullFor(t, g, id, n, time.Second)
}

// pullFor pulls again and again, each time waiting that long.
func pullFor(t testing.TB, g *gateway, id string, n int, wait time.Duration) (out []subscription.Delivery) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for len(out) < n {
		got, err := g.Pull(t.Context(), id, subscription.ConsumerOptions{ClientID: "puller", MaxEvents: n - len(out)}, wait)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got...)
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d deliveries came", len(out), n)
		}
	}
	return out
}

func nothingThere(t testing.TB, g *gateway, id string, wait time.Duration) {
	t.Helper()
	got, err := g.Pull(t.Context(), id, subscription.ConsumerOptions{}, wait)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range got {
		t.Errorf("event %d was handed out, attempt %d", d.Event.Seq(), d.Attempt)
	}
}

func settle(t testing.TB, g *gateway, s subscription.Settlement) subscription.Result {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		r := g.Settle(context.Background(), "", []subscription.Settlement{s})[0]
		if r.Outcome != subscription.Unavailable || time.Now().After(deadline) {
			return r
		}
	}
}

func ack(t testing.TB, g *gateway, ds ...subscription.Delivery) {
	t.Helper()
	for _, d := range ds {
		if r := settle(t, g, subscription.Settlement{Token: d.Token, Verdict: subscription.Ack}); r.Outcome != subscription.Done {
			t.Errorf("acknowledging event %d: outcome %d", d.Event.Seq(), r.Outcome)
		}
	}
}

func seqsOf(ds []subscription.Delivery) (out []uint64) {
	for _, d := range ds {
		out = append(out, d.Event.Seq())
	}
	return out
}

func selector(text string) *hookstreamv1.EventSelector {
	s := new(hookstreamv1.EventSelector)
	if err := prototext.Unmarshal([]byte(text), s); err != nil {
		panic(err)
	}
	return s
}

// stopWith ends the stream at its next frame; fn runs when nothing more is
// handed to it and before it gives back what it holds.
func (s *stream) stopWith(fn func()) {
	s.mu.Lock()
	s.closing = fn
	s.mu.Unlock()
	<-s.done
}

// die ends the gateway without a word to anybody: its connections go first.
func (g *gateway) die() {
	_ = g.engine.Close()
	g.stop()
}
