package queue

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hookstream/hookstream/eventlog"
	engine "github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/nats-io/nats.go/jetstream"
)

// The set answers as a plain map would, whatever is merged, raised, written down
// and read again meanwhile.
func TestSettledSet(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		var s settledSet
		floor, want := uint64(0), make(map[uint64]bool)
		has := func(seq uint64) bool { return seq <= floor || want[seq] }
		for range 50 {
			switch rnd.IntN(6) {
			case 0:
				s.at("q")
			case 1:
				to := rnd.Uint64N(100)
				if s.of["q"] != nil { // of others nothing is known
					floor = max(floor, to)
				}
				s.raise("q", to)
			case 2:
				f, runs := s.at("q")
				b := appendSettled(nil, "q", f, runs)
				s = settledSet{}
				if err := parseSettled(b, s.restore); err != nil {
					t.Fatal(err)
				}
			default:
				seq := 1 + rnd.Uint64N(100)
				want[seq] = true
				s.add([]Ack{{"q", seq}})
			}
		}
		for seq := uint64(1); seq <= 110; seq++ {
			if s.has("q", seq) != has(seq) {
				t.Fatalf("seed %d: %d settled: %t", seed, seq, !has(seq))
			}
		}
		if s.has("other", 1) {
			t.Fatal("of a queue that nothing was settled of")
		}
	}
}

func TestSnapshotIsReadWholeOrNotAtAll(t *testing.T) {
	b := appendSettled(nil, "one", 7, []settledRun{{9, 9}, {12, 400}})
	b = appendSettled(b, "two", 0, nil)
	type record struct {
		Queue string
		Floor uint64
		Runs  [][2]uint64
	}
	read := func(b []byte) (out []record, err error) {
		err = parseSettled(b, func(queue string, floor uint64, runs []settledRun) {
			r := record{queue, floor, nil}
			for _, one := range runs {
				r.Runs = append(r.Runs, [2]uint64{one.first, one.last})
			}
			out = append(out, r)
		})
		return out, err
	}
	got, err := read(b)
	if diff := cmp.Diff([]record{{"one", 7, [][2]uint64{{9, 9}, {12, 400}}}, {"two", 0, nil}}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	first := len(appendSettled(nil, "one", 7, []settledRun{{9, 9}, {12, 400}}))
	for n := range b {
		if _, err := read(b[:n]); err == nil && n != 0 && n != first {
			t.Errorf("cut at %d: no error", n)
		}
	}
}

func acksEngine(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	o := engine.DefaultOptions()
	o.Dir, o.Logger = dir, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	e, err := engine.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// quickly has a snapshot made whenever there is anything.
var quickly = ackLimits{look: 10 * time.Millisecond, grow: 1, full: 1 << 20}

func acksOf(t *testing.T, e *engine.Engine, limits ackLimits) *Acks {
	t.Helper()
	a, err := On(e).openAcks(t.Context(), limits)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// fill appends events, so that there is something to be settled.
func fill(t *testing.T, e *engine.Engine, n int) {
	t.Helper()
	for i := range n {
		if _, err := e.Events().Append(t.Context(), eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: string(rune('a' + i)), Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func messages(t *testing.T, a *Acks) uint64 {
	t.Helper()
	info, err := a.js.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

// snapshot has one made now.
func snapshot(t *testing.T, a *Acks) {
	t.Helper()
	a.compact <- struct{}{}
	until(t, "a snapshot", func() bool { return a.grown.Load() == 0 && messages(t, a) == 1 })
}

// What was settled is settled after any number of snapshots and restarts, of a
// queue that JetStream knows nothing of any more, and the journal stays small.
func TestAcksAreNeverForgotten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := make(map[uint64]bool)
	for life := range 3 {
		e := acksEngine(t, dir)
		if life == 0 {
			fill(t, e, 20)
		}
		a := acksOf(t, e, quickly)
		for range 4 {
			seq := 1 + rand.Uint64N(20)
			want[seq] = true
			if err := a.Keep(t.Context(), []Ack{{"sub-x-1-1", seq}}); err != nil {
				t.Fatal(err)
			}
			if !a.Settled("sub-x-1-1", seq) {
				t.Errorf("%d was kept a moment ago", seq)
			}
		}
		snapshot(t, a)
		for seq := range uint64(25) {
			if seq > 0 && a.Settled("sub-x-1-1", seq) != want[seq] {
				t.Errorf("life %d: %d settled: %t", life, seq, !want[seq])
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Neither the journal as an earlier version made it nor ours ends by the clock.
func TestAcksHaveNoAge(t *testing.T) {
	t.Parallel()
	e := acksEngine(t, t.TempDir())
	if _, err := e.JS().CreateStream(t.Context(), jetstream.StreamConfig{Name: engine.StreamAcks, Subjects: []string{engine.SubjectAcks}, MaxAge: 5 * time.Minute}); err != nil {
		t.Fatal(err)
	}
	fill(t, e, 3)
	if _, err := e.JS().Publish(t.Context(), engine.SubjectAcks, appendAcks(nil, []Ack{{"q", 2}, {"q", 3}, {"q", 1}})); err != nil {
		t.Fatal(err)
	}
	a := acksOf(t, e, defaultAckLimits)
	info, err := a.js.Info(t.Context())
	if err != nil || info.Config.MaxAge != 0 || info.Config.MaxMsgs > 0 || info.Config.MaxBytes > 0 {
		t.Errorf("%+v, %v", info.Config, err)
	}
	for seq := range uint64(5) {
		if seq > 0 && a.Settled("q", seq) != (seq <= 3) {
			t.Errorf("%d settled: %t", seq, seq > 3)
		}
	}
}

// Numbers of another log are not those that were settled.
func TestAcksOfALogThatIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := acksEngine(t, dir)
	fill(t, e, 3)
	a := acksOf(t, e, quickly)
	if err := a.Keep(t.Context(), []Ack{{"sub-x-1-1", 1}, {"sub-x-1-1", 3}, {"sub-x-replays", 2}}); err != nil {
		t.Fatal(err)
	}
	if err := e.JS().DeleteStream(t.Context(), engine.StreamEvents); err != nil {
		t.Fatal(err)
	}
	_ = e.Close()
	for range 2 { // it does not come back
		e = acksEngine(t, dir)
		a = acksOf(t, e, quickly)
		until(t, "a snapshot", func() bool { return a.grown.Load() == 0 })
		fill(t, e, 3)
		if len(a.Queues()) > 0 || a.Settled("sub-x-1-1", 1) || a.Settled("sub-x-1-1", 3) || a.Settled("sub-x-replays", 2) {
			t.Errorf("new events are taken for settled: %v", a.Queues())
		}
		_ = e.Close()
	}
}

// stuck is a stream that cannot be purged.
type stuck struct{ jetstream.Stream }

func (stuck) Purge(context.Context, ...jetstream.StreamPurgeOpt) error { return errors.New("no") }

// A journal that cannot be purged is full in the end, and says so; nothing is
// forgotten for it. When it can be purged again it goes on.
func TestAcksThatCannotBePurged(t *testing.T) {
	t.Parallel()
	e := acksEngine(t, t.TempDir())
	fill(t, e, 20)
	limits := quickly
	limits.look, limits.full = time.Hour, 2048
	a := acksOf(t, e, limits)
	js := a.js
	a.js = stuck{js}
	var err error
	kept := 0
	for n := uint64(1); err == nil && n < 1000; n++ {
		if err = a.Keep(t.Context(), []Ack{{"q", 1 + n%20}}); err == nil {
			kept++
		}
		if n == 3 {
			a.compact <- struct{}{}
		}
	}
	if !errors.Is(err, eventlog.ErrFull) || kept < 20 {
		t.Fatalf("%d kept, then %v", kept, err)
	}
	before := messages(t, &Acks{js: js})
	a.compact <- struct{}{}
	a.compact <- struct{}{} // the first was taken
	if now := messages(t, &Acks{js: js}); now > before+1 {
		t.Errorf("it grew from %d to %d messages by being made smaller", before, now)
	}
	until(t, "the writer to rest", func() bool { return len(a.compact) == 0 })
	_ = e.Close()
}

// Queues of a deletion go, others stay.
func TestAcksForget(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := acksEngine(t, dir)
	fill(t, e, 3)
	a := acksOf(t, e, quickly)
	if err := a.Keep(t.Context(), []Ack{{"a", 1}, {"b", 2}}); err != nil {
		t.Fatal(err)
	}
	a.Forget("a")
	if err := a.Keep(t.Context(), []Ack{{"b", 3}}); err != nil {
		t.Fatal(err)
	}
	snapshot(t, a)
	_ = e.Close()
	a = acksOf(t, acksEngine(t, dir), defaultAckLimits)
	if names := a.Queues(); !slices.Equal(names, []string{"b"}) || !a.Settled("b", 3) {
		t.Errorf("%v", names)
	}
}
