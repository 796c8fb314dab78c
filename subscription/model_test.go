package subscription_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/subscription"
	"github.com/hookstream/hookstream/subscription/memengine"
)

// memory is a world that owns its time.
type memory struct {
	store    *memengine.Store
	log      *memlog.Log
	embedded bool
	clocks   *clocks

	// wrap, when set, answers what a gateway takes for its engine, and read for
	// the log that it reads.
	wrap func(n int, e subscription.Engine) subscription.Engine
	read func(n int, l eventlog.Log) eventlog.Log

	mu    sync.Mutex
	alive []*memGateway
	made  int
	seqs  int
}

type memGateway struct {
	*subscription.Manager
	engine *memengine.Engine
	end    func()
}

func (g *memGateway) Close() {
	g.Manager.Close()
	g.end()
}

func newMemory(seed uint64, embedded bool) *memory {
	m := emptyMemory(seed, embedded)
	m.begin()
	return m
}

func emptyMemory(seed uint64, embedded bool) *memory {
	s := memengine.New(memengine.Options{Journal: embedded, Rand: rand.New(rand.NewPCG(seed, 3)), Latency: 5 * time.Millisecond, Backlog: seed%2 == 0})
	return &memory{store: s, log: s.Log(), embedded: embedded, clocks: newClocks(seed)}
}

func (m *memory) begin() {
	n := 3
	if m.embedded {
		n = 1
	}
	for i := range n {
		m.alive = append(m.alive, m.open(i))
	}
}

// open begins a life of gateway n.
func (m *memory) open(n int) *memGateway {
	e := m.store.Engine()
	var engine subscription.Engine = disorderly{e}
	if m.wrap != nil {
		engine = m.wrap(m.made, e)
	}
	var log eventlog.Log = m.log
	if m.read != nil {
		log = m.read(m.made, log)
	}
	m.made++
	h, err := hub.New(hub.Options{Log: log, RingEvents: 256})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.Run(ctx) })
	o := subscription.Options{Engine: engine, Hub: h, Gateway: fmt.Sprintf("g%d", m.made), Logger: slog.New(slog.DiscardHandler)}
	m.clocks.begin(n, &o)
	g, err := subscription.Open(ctx, o)
	if err != nil {
		panic(err)
	}
	return &memGateway{g, e, func() { cancel(); wg.Wait() }}
}

// A disorderly engine has some messages arrive after later ones, as those do that
// answer two pulls of the real one.
type disorderly struct{ *memengine.Engine }

func (d disorderly) Pull(c queue.Config, pin subscription.Pin, receive func(queue.Hand), ended func()) (subscription.Puller, error) {
	var mu sync.Mutex
	one := func(h queue.Hand) {
		mu.Lock()
		defer mu.Unlock()
		receive(h)
	}
	return d.Engine.Pull(c, pin, func(h queue.Hand) {
		if h.Turn%8 == 0 {
			time.AfterFunc(20*time.Millisecond, func() { one(h) })
			return
		}
		one(h)
	}, ended)
}

func (m *memory) close() {
	for _, g := range m.alive {
		g.Close()
		g.engine.Close()
	}
	m.store.Close()
}

func (m *memory) gateways() (out []*subscription.Manager) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.alive {
		out = append(out, g.Manager)
	}
	return out
}

func (m *memory) publish(typ, entity string) (uint64, error) {
	m.seqs++
	got, err := m.log.Append(context.Background(), entryOf(m.seqs, typ, entity))
	m.store.Published()
	return got.Seq, err
}

func (m *memory) forgets() bool { return m.embedded }

func (m *memory) describe() string { return m.store.String() }

func (m *memory) drop(seq uint64)             { m.store.Drop(seq) }
func (m *memory) droppable(seq uint64) uint64 { return seq }

func (m *memory) fault(kind string, n int) {
	m.mu.Lock()
	n %= len(m.alive)
	g := m.alive[n]
	m.mu.Unlock()
	switch {
	case kind == "stall" && !m.embedded:
		g.engine.Stall()
	case kind == "sever" && !m.embedded:
		g.engine.Sever()
	case kind == "untell" && !m.embedded:
		g.engine.Untold()
	case kind == "slow":
		g.engine.Slow(slowly)
	case kind == "leads":
		m.store.Lead()
	case kind == "clock":
		m.clocks.jump(n)
	case kind == "kill":
		g.engine.Close()
		g.Close()
		if m.embedded {
			m.store.Crash()
			time.Sleep(time.Second) // to begin anew takes a moment
		}
		next := m.open(n)
		m.mu.Lock()
		m.alive[n] = next
		m.mu.Unlock()
	}
}

// slowly is how long a slow engine takes for each message, so that it comes to fewer
// than a subscription may have outstanding before JetStream's hold on them is over.
const slowly = 500 * time.Millisecond

func (m *memory) heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.alive {
		g.engine.Heal()
	}
}

// drawSchedule draws a play. Faults that the world does not know do nothing.
func drawSchedule(t *rapid.T, ordering subscription.Ordering, faults []string, waits []int) schedule {
	ms := func(label string, from, to int) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * time.Millisecond
	}
	sch := schedule{
		Seed: rapid.Uint64().Draw(t, "seed"),
		Settings: subscription.Settings{
			Ordering: ordering, Selector: selector("types: 'signature_request.done'"),
			AckDeadline: ms("deadline", 1000, 3000), MaxAttempts: rapid.IntRange(1, 4).Draw(t, "attempts"),
			BackoffMin: ms("backoff", 1, 1000), BackoffMax: 2 * time.Second,
			MaxOutstandingEvents: rapid.SampledFrom([]int{1, 3, 10, 100}).Draw(t, "outstanding"),
		},
	}
	one := rapid.Custom(func(t *rapid.T) step { return drawStep(t, faults, waits) })
	sch.Steps = rapid.SliceOfN(one, 10, 40).Draw(t, "steps")
	return sch
}

var entities = []string{"a", "a", "b", "c", "", "unselected"}

func drawStep(t *rapid.T, faults []string, waits []int) step {
	s := step{
		// Most comes close together, and now and then there is a pause.
		Wait: time.Duration(rapid.SampledFrom(waits).Draw(t, "wait")) * time.Millisecond,
		N:    rapid.IntRange(0, 5).Draw(t, "n"),
		Seed: rapid.Uint64Range(0, 1<<32).Draw(t, "seed"),
	}
	switch n := rapid.IntRange(0, 19).Draw(t, "what"); {
	case n < 7:
		s.Do, s.Kind = "publish", rapid.SampledFrom(entities).Draw(t, "entity")
	case n < 13:
		s.Do = "attach"
		s.Kind = rapid.SampledFrom([]string{"healthy", "flaky", "flaky", "puller", "slow", "mortal", "deaf", "frozen"}).Draw(t, "kind")
	case n < 15:
		s.Do = "leave"
	default:
		s.Do = rapid.SampledFrom(faults).Draw(t, "fault")
		if s.Do == "seek" {
			s.Kind = rapid.SampledFrom([]string{"earliest", "middle", "latest"}).Draw(t, "where")
		}
	}
	return s
}

// checks sets how many schedules are drawn, unless the command line says it.
func checks(t *testing.T, n int) {
	t.Helper()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "rapid.checks" })
	if !said {
		if err := flag.Set("rapid.checks", fmt.Sprint(n)); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	// silence is the longest that is explained: what a dead gateway held waits for
	// its deadline and a margin, and back-off comes on top.
	silence = 45 * time.Second
	// calm is the longest when nothing happened to a gateway: a deadline and the
	// longest back-off, and a moment to renew what is given back.
	calm = 8 * time.Second
	// calmOrdered allows for a pin that runs out, and what was on its way meanwhile.
	calmOrdered = calm + 2*queue.PinTime
)

// silence answers the longest that a play explains.
func (sch schedule) silence() time.Duration {
	for _, s := range sch.Steps {
		if s.Do == "kill" || s.Do == "stall" || s.Do == "sever" || s.Do == "untell" || s.Do == "slow" || s.Do == "leads" {
			return silence
		}
	}
	if sch.Settings.Ordering == subscription.OrderByEntity {
		return calmOrdered
	}
	return calm
}

func testModel(t *testing.T, ordering subscription.Ordering, embedded bool, faults ...string) {
	rapid.Check(t, func(rt *rapid.T) {
		sch := drawSchedule(rt, ordering, faults, []int{0, 1, 10, 50, 100, 300, 1000, 4000, 0, 1, 10, 50, 100, 300, 1000, 4000, 0, 10, 100, 300, 50000})
		var wrong string
		synctest.Test(t, func(*testing.T) {
			m := newMemory(sch.Seed, embedded)
			defer m.close()
			wrong = sch.run(m, sch.silence())
		})
		if wrong != "" {
			rt.Fatalf("%s\n%+v", wrong, sch)
		}
	})
}

// How many of each the gate plays: with the race detector, which makes a play about four
// times as expensive, few.
var (
	plays       = heavy.Count(400, 8) // of each model
	rigPlays    = heavy.Count(100, 3) // of each world of the embedded engine
	insidePlays = heavy.Count(30, 1)  // of each world of a cluster
	// calmInsidePlays are those of a cluster to which nothing happens; they are heavy.
	calmInsidePlays = 10
)

// Their hours take no time, so that some thousand plays take a minute. See
// CONTRIBUTING for more of them, and for what to do with one that fails.
func TestModel(t *testing.T) {
	checks(t, plays)
	for _, w := range []struct {
		name     string
		ordering subscription.Ordering
		embedded bool
	}{
		{"unordered cluster", subscription.Unordered, false},
		{"unordered embedded", subscription.Unordered, true},
		{"ordered cluster", subscription.OrderByEntity, false},
		{"ordered embedded", subscription.OrderByEntity, true},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			testModel(t, w.ordering, w.embedded, faults(
				[]string{"pause", "resume", "heal", "heal", "stall", "sever", "kill", "clock", "untell", "slow", "leads", "leads", "seek", "drop", "replay"}, nil)...)
		})
	}
}

// Plays in which nothing happens to a gateway explain less silence.
func TestCalmModel(t *testing.T) {
	checks(t, plays) // of all models: the flag is one
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		for _, embedded := range []bool{false, true} {
			t.Run(fmt.Sprintf("ordering %d, embedded %v", ordering, embedded), func(t *testing.T) {
				t.Parallel()
				testModel(t, ordering, embedded, "pause", "resume", "clock", "seek", "drop", "replay")
			})
		}
	}
}

// faults answers what happens in a play: in the gate what is survived. The others
// find what is not mended yet, and are played when the environment names them, or
// says `all`. A kind that is mended moves to the first.
func faults(survived, open []string) []string {
	switch named := os.Getenv("HOOKSTREAM_PLAY_FAULTS"); named {
	case "":
		return survived
	case "all":
		return append(survived, open...)
	default:
		return strings.Split(named, ",")
	}
}

// A seek of which no answer came is in force all the same, and the story goes by it: else
// it misses what lies before its start.
func TestAPlayLearnsOfASeekWithoutAnAnswer(t *testing.T) {
	for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
		for _, where := range []string{"earliest", "latest"} {
			sch := schedule{Settings: subscription.Settings{Ordering: ordering, Selector: selector("types: 'signature_request.done'"), AckDeadline: time.Second}}
			sch.Steps = []step{
				{Do: "attach", N: 0, Kind: "healthy"},
				{Wait: time.Second, Do: "pause"},
				{Do: "publish", N: 2, Kind: "a"},
				{Do: "untell", N: 1},
				{Do: "seek", N: 1, Kind: where},
				{Do: "resume"},
				{Wait: time.Second, Do: "publish", N: 1, Kind: "a"},
				{Wait: 2 * silence, Do: "publish", N: 1, Kind: "a"},
			}
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(1, false)
				defer m.close()
				if wrong := sch.run(m, sch.silence()); wrong != "" {
					t.Error(wrong)
				}
			})
		}
	}
}
