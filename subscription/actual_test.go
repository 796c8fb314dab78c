package subscription_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/internal/linktest"
	"github.com/hookstream/hookstream/subscription"
)

// actual is a world of the real engine. On a cluster everybody talks over links:
// nodes with each other, and each gateway with each node.
type actual struct {
	t       testing.TB
	cluster *natstest.Cluster // nil: embedded
	dir     string            // of an embedded engine
	writer  *jetstream.Engine // what publishes; nothing happens to it

	mu     sync.Mutex
	alive  []*gateway
	links  [][]*linktest.Link // by gateway and node
	clocks *clocks
	down   map[int]bool // nodes
	made   int
	seqs   int
	last   uint64 // that was published
}

// newActual makes a world on the embedded engine, or on the cluster that start
// starts.
func newActual(t testing.TB, seed int, start func(testing.TB) *natstest.Cluster) *actual {
	w := &actual{t: t, dir: t.TempDir(), down: make(map[int]bool), clocks: newClocks(uint64(seed))}
	if start == nil {
		w.alive = []*gateway{w.open(0)}
		return w
	}
	w.cluster = start(t)
	o := options(t, t.TempDir())
	o.URL, o.NATS, o.Replicas = w.cluster.URL(), w.cluster.Options(), 3
	w.writer = openEngine(t, o)
	for n := range 3 {
		var to []*linktest.Link
		for node := range 3 {
			to = append(to, w.cluster.Link(node))
		}
		w.links = append(w.links, to)
		w.alive = append(w.alive, w.open(n))
	}
	return w
}

func (w *actual) open(n int) *gateway {
	o := options(w.t, w.dir)
	if w.cluster != nil {
		o = options(w.t, w.t.TempDir())
		var urls []string
		for _, l := range w.links[n] {
			urls = append(urls, l.URL())
		}
		o.URL, o.NATS, o.Replicas = strings.Join(urls, ","), w.cluster.Options(), 3
	}
	w.made++
	g := subscription.Options{Gateway: fmt.Sprintf("g%d", w.made)}
	w.clocks.begin(n, &g)
	return openGatewayOn(w.t, openEngine(w.t, o), g)
}

func (w *actual) gateways() (out []*subscription.Manager) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.alive {
		out = append(out, g.Manager)
	}
	return out
}

func (w *actual) forgets() bool    { return w.cluster == nil }
func (w *actual) describe() string { return "" }

// droppable: JetStream keeps one event at least.
func (w *actual) droppable(seq uint64) uint64 { return min(seq, w.last-1) }

// drop has the bounds of the stream take what is up to seq, as retention does.
func (w *actual) drop(seq uint64) {
	if seq == 0 {
		return
	}
	js := w.gateway(0).engine.JS()
	st, err := js.Stream(w.t.Context(), "HOOKSTREAM_EVENTS")
	if err != nil {
		w.t.Error(err)
		return
	}
	cfg := st.CachedInfo().Config
	for _, most := range []int64{int64(w.last - seq), cfg.MaxMsgs} {
		cfg.MaxMsgs = most
		if _, err := js.UpdateStream(w.t.Context(), cfg); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *actual) gateway(n int) *gateway {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alive[n]
}

func (w *actual) publish(typ, entity string) (uint64, error) {
	w.seqs++
	e := entryOf(w.seqs, typ, entity)
	writer := w.writer
	if writer == nil {
		writer = w.alive[0].engine
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		got, err := writer.Events().Append(w.t.Context(), e)
		if err == nil || !errors.Is(err, eventlog.ErrUnavailable) || time.Now().After(deadline) {
			w.last = max(w.last, got.Seq)
			return got.Seq, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *actual) fault(kind string, n int) {
	switch kind {
	case "kill":
		w.kill(n % len(w.gateways()))
		return
	case "clock":
		w.clocks.jump(n % len(w.gateways()))
		return
	}
	if w.cluster == nil {
		return
	}
	n %= 3
	for _, l := range w.ways(kind, n) {
		switch what, _, _ := strings.Cut(kind, " "); what {
		case "stall":
			l.Silence()
		case "deafen":
			l.Silence(linktest.Back)
		case "sever":
			l.Cut()
		case "reset":
			l.Reset()
		case "lose":
			l.Lose(0.2)
		case "delay":
			l.Delay(30 * time.Millisecond)
		}
	}
	if kind == "node dies" && w.first(n) {
		w.cluster.Kill(n)
	}
}

// ways answers the links that a fault befalls: those of a gateway, or of a node
// as long as no other is gone: two of three are none.
func (w *actual) ways(kind string, n int) []*linktest.Link {
	if kind == "node dies" {
		return nil
	}
	if !strings.HasSuffix(kind, " node") {
		return w.links[n]
	}
	if strings.HasPrefix(kind, "stall") && !w.first(n) {
		return nil
	}
	out := w.cluster.Routes(n)
	for _, to := range w.links {
		out = append(out, to[n])
	}
	return out
}

// first notes that a node is gone, and reports whether it is the only one.
func (w *actual) first(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.down) > 0 {
		return false
	}
	w.down[n] = true
	return true
}

func (w *actual) kill(n int) {
	w.mu.Lock()
	g := w.alive[n]
	w.mu.Unlock()
	if w.cluster == nil {
		w.crash(g)
	} else {
		g.die()
	}
	if w.cluster != nil {
		w.reachOneOf(w.links[n])
	}
	next := w.open(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.alive[n] = next
}

// reachOneOf mends what is cut when all is: a gateway that finds no node at its start
// ends at once, and is started again until it does.
func (w *actual) reachOneOf(links []*linktest.Link) {
	if slices.ContainsFunc(links, func(l *linktest.Link) bool { return !l.IsCut() }) {
		return
	}
	for _, l := range links {
		l.Mend()
	}
}

// crash ends an embedded gateway as kill -9 does: what JetStream knew of its queues
// and had not written is lost.
func (w *actual) crash(g *gateway) {
	states, err := filepath.Glob(filepath.Join(w.dir, "jetstream", "$G", "streams", "*", "obs", "*", "o.dat"))
	if err != nil {
		w.t.Error(err)
	}
	written := make(map[string][]byte)
	for _, path := range states {
		if written[path], err = os.ReadFile(path); err != nil {
			w.t.Error(err)
		}
	}
	g.die()
	for path, state := range written {
		if err := os.WriteFile(path, state, 0o600); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *actual) heal() {
	for _, to := range w.links {
		for _, l := range to {
			l.Mend()
		}
	}
	if w.cluster == nil {
		return
	}
	w.mu.Lock()
	down := slices.Collect(maps.Keys(w.down))
	clear(w.down)
	w.mu.Unlock()
	for n := range 3 {
		for _, l := range w.cluster.Routes(n) {
			l.Mend()
		}
	}
	for _, n := range down {
		if !w.cluster.Running(n) {
			w.cluster.Revive(n)
		}
	}
}

// seeds answers which plays a test plays: the environment may name one, or how
// many.
func seeds(t *testing.T, n int) (out []int) {
	t.Helper()
	number := func(name string) (int, bool) {
		text, ok := os.LookupEnv(name)
		n, err := strconv.Atoi(text)
		if ok && err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n, ok
	}
	if one, ok := number("HOOKSTREAM_PLAY_SEED"); ok {
		return []int{one}
	}
	if many, ok := number("HOOKSTREAM_PLAY_SEEDS"); ok {
		n = many
	}
	for i := range n {
		out = append(out, i+1)
	}
	return out
}

// rigWorlds are the worlds of the real engine, and what happens in them.
func rigWorlds() []rigWorld {
	embedded := faults([]string{"pause", "resume", "kill", "kill", "clock", "seek", "replay"}, nil)
	cluster := faults([]string{
		"lose", "delay", "heal", "pause", "resume", "stall", "deafen", "sever", "reset", "kill",
		"stall node", "lose node", "reset node", "node dies", "heal", "heal", "clock", "seek", "replay",
	}, nil)
	return []rigWorld{
		{"unordered embedded", subscription.Unordered, false, embedded},
		{"ordered embedded", subscription.OrderByEntity, false, embedded},
		{"unordered cluster", subscription.Unordered, true, cluster},
		{"ordered cluster", subscription.OrderByEntity, true, cluster},
	}
}

type rigWorld struct {
	name      string
	ordering  subscription.Ordering
	clustered bool
	faults    []string
}

func (w rigWorld) schedule(seed int) schedule {
	return rapid.Custom(func(t *rapid.T) schedule {
		return drawSchedule(t, w.ordering, w.faults, []int{0, 1, 10, 50, 100, 300})
	}).Example(seed)
}

// play plays a schedule. Slack is what is added to the longest silence that the schedule
// explains.
func (w rigWorld) play(t *testing.T, seed int, start func(testing.TB) *natstest.Cluster, slack time.Duration) {
	t.Helper()
	if !w.clustered {
		start = nil
	}
	sch := w.schedule(seed)
	bound := sch.silence()
	if w.clustered {
		bound = silence // something happens to its nodes, or a leader is chosen
	}
	if wrong := sch.run(newActual(t, seed, start), bound+slack); wrong != "" {
		t.Errorf("seed %d (HOOKSTREAM_PLAY_SEED=%d go test ./subscription -run '%s'):\n%s\n%v", seed, seed, t.Name(), wrong, sch.Steps)
	}
}

// The embedded engine in a bubble, where a play takes a second. See CONTRIBUTING for
// more plays.
func TestRig(t *testing.T) {
	t.Setenv("TMPDIR", quickDir())
	for _, w := range rigWorlds() {
		if !w.clustered {
			t.Run(w.name, func(t *testing.T) {
				for _, seed := range seeds(t, rigPlays) {
					t.Run(fmt.Sprint(seed), func(t *testing.T) { w.playInside(t, seed) })
				}
			})
		}
	}
}

// Plays in which nothing happens to the gateway, and retention takes what it likes: what
// is missed is counted exactly.
func TestCalmRig(t *testing.T) {
	t.Setenv("TMPDIR", quickDir())
	for _, w := range rigWorlds() {
		if w.clustered {
			continue
		}
		w.faults = calmFaults
		t.Run(w.name, func(t *testing.T) {
			for _, seed := range seeds(t, rigPlays) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { w.playInside(t, seed) })
			}
		})
	}
}

var calmFaults = []string{"pause", "resume", "seek", "drop", "drop", "replay"}

// The same of three gateways on a cluster to whose nodes nothing happens.
func TestCalmRigInside(t *testing.T) {
	heavy.Test(t)
	for _, w := range rigWorlds() {
		if w.clustered {
			w.faults = calmFaults
			t.Run(w.name, func(t *testing.T) { w.playEachAlone(t, calmInsidePlays) })
		}
	}
}

// A cluster in a bubble, each play in a process of its own. See standsStill.
func TestRigInside(t *testing.T) {
	for _, w := range rigWorlds() {
		if w.clustered {
			t.Run(w.name, func(t *testing.T) { w.playEachAlone(t, insidePlays) })
		}
	}
}

func (w rigWorld) playEachAlone(t *testing.T, plays int) {
	for _, seed := range seeds(t, plays) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inItsOwnProcess(t, seed, func(t *testing.T) { w.playInside(t, seed) })
		})
	}
}

func (w rigWorld) playInside(t *testing.T, seed int) {
	t.Helper()
	natstest.Bubble(t, func(t *testing.T) { w.play(t, seed, natstest.StartInside, 0) })
}

// alone says to a process that it is there for one play.
const alone = "HOOKSTREAM_PLAY_ALONE"

// standsStill is after how long a play in a bubble is taken for one whose time stands
// still, from one try to the next: one that is only slow has longer then. Now and then
// somebody in nats-server sleeps with a lock for which another one waits, who is not at
// rest then, so that nobody wakes. Such a play says nothing, and is played again.
var standsStill = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute}

// inItsOwnProcess plays in a process of its own, which can be ended.
func inItsOwnProcess(t *testing.T, seed int, play func(*testing.T)) {
	if os.Getenv(alone) != "" {
		play(t)
		return
	}
	t.Parallel()
	for _, limit := range standsStill {
		out, err := playProcess(t, seed, limit)
		if err == nil {
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("nothing came of the play in %s: its time stands still, and it is played again", limit)
	}
	t.Fatal("nothing came of the play, however often it was played")
}

// playProcess plays what the test plays.
func playProcess(t *testing.T, seed int, limit time.Duration) (out []byte, err error) {
	t.Helper()
	dir, err := os.MkdirTemp(quickDir(), "play")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+pattern, "-test.timeout=0", "-test.v")
	cmd.Env = append(os.Environ(), alone+"=1", fmt.Sprintf("HOOKSTREAM_PLAY_SEED=%d", seed), "TMPDIR="+dir)
	out, err = cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err == nil && !bytes.Contains(out, []byte("--- PASS: "+t.Name()+" ")) {
		err = errors.New("the process played something else")
	}
	return out, err
}

// socketSlack is for a machine that does something else meanwhile: time goes on.
const socketSlack = silence

// Over sockets and in real time a play takes a minute, so that the gate has few.
func TestRigOverSockets(t *testing.T) {
	for _, w := range rigWorlds() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			for _, seed := range seeds(t, 2) {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { w.play(t, seed, startCuttable, socketSlack) })
			}
		})
	}
}

func startCuttable(t testing.TB) *natstest.Cluster { return natstest.StartCuttable(t) }
