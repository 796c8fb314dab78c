package replay_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/replay"
	"github.com/hookstream/hookstream/subscription"
	"github.com/hookstream/hookstream/subscription/memengine"
)

const subID = "crm"

// A world is some gateways on an engine in memory, which owns its time: it lives in a
// bubble.
type world struct {
	t        *testing.T
	store    *memengine.Store
	embedded bool
	published,
	lives int

	mu    sync.Mutex
	alive []*gateway
}

type gateway struct {
	engine  *memengine.Engine
	subs    *subscription.Manager
	replays *replay.Manager
	hub     *hub.Hub
	history *history.Store
	end     func()
}

// inWorld runs a test in a bubble with three gateways, or one that is embedded.
func inWorld(t *testing.T, seed uint64, embedded bool, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, embedded: embedded, store: memengine.New(memengine.Options{
			Journal: embedded, Rand: rand.New(rand.NewPCG(seed, 3)), Latency: 5 * time.Millisecond,
		})}
		n := 3
		if embedded {
			n = 1
		}
		for i := range n {
			w.alive = append(w.alive, w.open(i))
		}
		defer w.close()
		test(t, w)
	})
}

// open begins a life of gateway n.
func (w *world) open(n int) *gateway {
	w.lives++
	ctx, cancel := context.WithCancel(context.Background())
	g := &gateway{engine: w.store.Engine()}
	var wg sync.WaitGroup
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	logger := slog.New(slog.DiscardHandler)
	g.hub, err = hub.New(hub.Options{Log: w.store.Log(), RingEvents: 256})
	must(err)
	wg.Go(func() { _ = g.hub.Run(ctx) })
	bounds, err := w.store.Log().Bounds(ctx)
	must(err)
	g.history, err = history.Open(filepath.Join(w.t.TempDir(), fmt.Sprint(n)), w.store.Log().Incarnation(), bounds.Last, logger)
	must(err)
	wg.Go(func() { g.history.Follow(ctx, w.store.Log()) })
	g.subs, err = subscription.Open(ctx, subscription.Options{Engine: g.engine, Hub: g.hub, Gateway: fmt.Sprintf("g%d", w.lives), Logger: logger})
	must(err)
	bucket, err := g.engine.Bucket(ctx, subscription.BucketName)
	must(err)
	g.replays, err = replay.Open(ctx, replay.Options{Bucket: bucket, Subscriptions: g.subs, Hub: g.hub, History: g.history, Embedded: w.embedded, Logger: logger})
	must(err)
	g.end = func() {
		g.replays.Close()
		g.subs.Close()
		cancel()
		wg.Wait()
		g.history.Close()
	}
	return g
}

func (w *world) close() {
	for _, g := range w.alive {
		g.end()
		g.engine.Close()
	}
	w.store.Close()
}

// at answers gateway n as it lives now.
func (w *world) at(n int) *gateway {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alive[n%len(w.alive)]
}

// kill ends gateway n without a word, and begins its next life.
func (w *world) kill(n int) {
	n %= len(w.alive)
	g := w.at(n)
	g.engine.Close()
	g.end()
	if w.embedded {
		w.store.Crash()
		time.Sleep(time.Second)
	}
	next := w.open(n)
	w.mu.Lock()
	w.alive[n] = next
	w.mu.Unlock()
}

func (w *world) publish(typ, entity string) uint64 {
	w.t.Helper()
	w.published++
	topic, action := event.SplitType(typ)
	if entity != "" {
		entity = "signature_requests/" + entity
	}
	data, err := event.Encode(&hookstreamv1.Event{
		Source: "sources/billing", Provider: "yousign", Topic: topic, Action: action, Type: typ, Entity: entity,
	}, &hookstreamv1.RawRequest{Body: fmt.Appendf(nil, `{"n":%d}`, w.published)})
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := w.store.Log().Append(w.t.Context(), eventlog.Entry{
		Source: "billing", Topic: topic, Action: action, DedupKey: fmt.Sprint(w.published), Data: data,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.store.Published()
	return got.Seq
}

// create makes the subscription, behind what there is.
func (w *world) create(s subscription.Settings) {
	w.t.Helper()
	if _, err := w.at(0).subs.Create(w.t.Context(), subID, s, subscription.Position{}); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(time.Second)
}

func (w *world) begin(req replay.Request) *replay.Replay {
	w.t.Helper()
	req.Subscription = subID
	r, err := w.at(0).replays.Create(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// until waits for a replay to be in a state.
func (w *world) until(id string, s replay.State, atMost time.Duration) (r *replay.Replay) {
	w.t.Helper()
	var err error
	for began := time.Now(); time.Since(began) < atMost; time.Sleep(100 * time.Millisecond) {
		if r, err = w.at(0).replays.Get(w.t.Context(), subID, id); err == nil && r.State == s {
			return r
		}
	}
	w.t.Fatalf("after %s replay %s is %+v, %v", atMost, id, r, err)
	return nil
}

// one is an event as a replay hands it out.
type one struct {
	replay string
	seq    uint64
}

// A story is what consumers saw.
type story struct {
	mu        sync.Mutex
	came      map[one]int
	confirmed map[one]bool
	order     []one // as they were settled
	again     []one // that came after they were confirmed
}

// consume has consumers at gateway n, which decide by dice, until stop.
func (w *world) consume(s *story, n int, seed uint64, verdicts []subscription.Verdict) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		dice := rand.New(rand.NewPCG(seed, uint64(n)))
		for ctx.Err() == nil {
			g := w.at(n)
			got, err := g.subs.Pull(ctx, subID, subscription.ConsumerOptions{MaxEvents: 1 + dice.IntN(20)}, time.Second)
			if err != nil {
				time.Sleep(100 * time.Millisecond)
			}
			for _, d := range got {
				s.take(ctx, g, d, verdicts[dice.IntN(len(verdicts))])
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// take notes a delivery and settles it; 0 forgets it.
func (s *story) take(ctx context.Context, g *gateway, d subscription.Delivery, v subscription.Verdict) {
	o := one{d.Replay, d.Event.Seq()}
	s.mu.Lock()
	s.came[o]++
	if s.confirmed[o] {
		s.again = append(s.again, o)
	}
	s.mu.Unlock()
	if v == 0 {
		return
	}
	outcome := g.subs.Settle(ctx, subID, []subscription.Settlement{{Token: d.Token, Verdict: v}})[0].Outcome
	if v == subscription.Retry && outcome != subscription.Parked || outcome != subscription.Done && outcome != subscription.Parked {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.confirmed[o] {
		s.order = append(s.order, o)
	}
	s.confirmed[o] = true
}

func newStory() *story { return &story{came: make(map[one]int), confirmed: make(map[one]bool)} }
