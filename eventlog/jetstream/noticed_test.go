package jetstream

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"

	"github.com/nats-io/nats.go/jetstream"
)

// A logged is what was logged, by several goroutines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), what)
}

const megabytes = 20 // events of the log, of a megabyte each

// megabytesLog is a data directory with a log of several blocks, damaged and opened
// anew: nothing of it is in memory, and the background check comes no further than
// the first block. It answers how to put an event there.
func megabytesLog(t *testing.T, damage func(msgs string)) (*Engine, *logged, func(e *Engine, n int) eventlog.Appended) {
	t.Helper()
	whole, rate := checkedWhole, restRate
	t.Cleanup(func() { checkedWhole, restRate = whole, rate })
	checkedWhole, restRate = 1, 1
	o := DefaultOptions()
	o.Dir, o.Durability = t.TempDir(), DurabilityRelaxed
	log := new(logged)
	o.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))
	put := func(e *Engine, n int) eventlog.Appended {
		t.Helper()
		got, err := e.Events().Append(t.Context(), eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: fmt.Sprint(n), Data: bytes.Repeat([]byte{byte(n)}, 1<<20)})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	e := openForTest(t, o)
	for n := range megabytes {
		put(e, n)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	damage(blocksDir(o.Dir, StreamEvents))
	return openForTest(t, o), log, put
}

func flipIn(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, e *Engine) (seqs []uint64) {
	t.Helper()
	for next := uint64(1); ; {
		recs, err := e.Events().Read(t.Context(), next, 100, 4<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			return seqs
		}
		for _, r := range recs {
			seqs = append(seqs, r.Seq)
		}
		next = recs[len(recs)-1].Seq + 1
	}
}

func waitMissing(t *testing.T, e *Engine, n uint64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); e.Missing() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events are missing, want %d: %v", e.Missing(), n, e.MissingRuns())
		}
	}
}

// What a reader does not find because it was damaged while the log is used is told
// once, in the metric and in the log, and taken again when it is sent again.
func TestDamageThatAReaderMeetsIsTold(t *testing.T) {
	e, log, put := megabytesLog(t, func(msgs string) { flipIn(t, blockPath(msgs, 2), 3<<20+1000) })
	if seqs := readAll(t, e); len(seqs) == megabytes {
		t.Fatalf("nothing is missing: %v", seqs)
	}
	waitMissing(t, e, 1)
	readAll(t, e)
	lost := e.MissingRuns()[0].From
	if got := put(e, int(lost-1)); got.Duplicate {
		t.Errorf("event %d is lost, and sent again it is a duplicate", lost)
	}
	if holes, err := e.Holes(t.Context()); err != nil || len(holes) != 1 || holes[0].From != lost || holes[0].To != lost {
		t.Errorf("holes %v, %v", holes, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	o := e.opts
	e = openForTest(t, o)
	if seqs := readAll(t, e); len(seqs) != megabytes || e.Missing() != 1 {
		t.Errorf("after a restart there are %v, and %d are missing", seqs, e.Missing())
	}
	if n := log.count("has lost events"); n != 1 {
		t.Errorf("it was told %d times", n)
	}
}

// numbersIn are the first and the last event of a block.
func numbersIn(t *testing.T, dir string, number int) (first, last uint64) {
	t.Helper()
	s := &StreamCheck{Name: StreamEvents, dir: strings.TrimSuffix(dir, "/"+natsBlocks)}
	first, last, err := s.inBlock(&Check{before: &stopped{}}, number)
	if err != nil || first == 0 {
		t.Fatal(first, err)
	}
	return first, last
}

// The block beside a damaged one that is gone is lost and not taken by retention, for
// the log begins before it; the blocks before it are there.
func TestABlockThatIsGoneIsNotRetention(t *testing.T) {
	e, _, _ := megabytesLog(t, func(string) {})
	msgs := blocksDir(e.opts.Dir, StreamEvents)
	from, _ := numbersIn(t, msgs, 2)
	damaged, _ := numbersIn(t, msgs, 3)
	flipIn(t, blockPath(msgs, 3), 1000)
	if err := os.Remove(blockPath(msgs, 2)); err != nil {
		t.Fatal(err)
	}
	s := &StreamCheck{Name: StreamEvents, dir: strings.TrimSuffix(msgs, "/"+natsBlocks)}
	want := []eventlog.Missing{{From: from, To: damaged}}
	for _, number := range []int{3, 2} { // in whichever order it comes to them
		if _, err := e.checkLater(unread{stream: s, number: number}); err != nil {
			t.Fatal(err)
		}
		if got := joinRuns(e.MissingRuns()); !slices.Equal(got, want) {
			t.Errorf("missing %v, want %v", got, want)
		}
	}
}

// A block that the background check finds gone is lost, or retention took it: the
// first number of the log tells.
func TestABlockThatIsGoneIsToldByTheFirstOfTheLog(t *testing.T) {
	e, _, _ := megabytesLog(t, func(string) {})
	msgs := blocksDir(e.opts.Dir, StreamEvents)
	from, to := numbersIn(t, msgs, 2)
	s := &StreamCheck{Name: StreamEvents, dir: strings.TrimSuffix(msgs, "/"+natsBlocks)}
	if err := os.Remove(blockPath(msgs, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.checkLater(unread{stream: s, number: 2}); err != nil {
		t.Fatal(err)
	}
	if got := e.MissingRuns(); len(got) != 1 || got[0].From != from || got[0].To != to {
		t.Errorf("missing %v, want %d to %d", got, from, to)
	}
	// Retention takes the first two, and some of the third.
	if err := e.events.js.Purge(t.Context(), jetstream.WithPurgeSequence(to+2)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.checkLater(unread{stream: s, number: 1}); err != nil || e.Missing() != to-from+1 {
		t.Errorf("what retention took is missing: %v, %v", e.MissingRuns(), err)
	}
	b, err := e.Events().Bounds(t.Context())
	if holes, _ := e.Holes(t.Context()); err != nil || b.First != to+2 || len(holes) != 0 {
		t.Errorf("the log begins at %d, %v, with holes %v: what retention took is told as lost", b.First, err, holes)
	}
}

// The background check comes to all blocks, however often the gateway is started: it
// goes on where it was.
func TestTheBackgroundCheckTakesTurns(t *testing.T) {
	e, _, _ := megabytesLog(t, func(string) {})
	numbers := func() (out []int) {
		for _, u := range e.files.unread {
			if u.stream.Name == StreamEvents {
				out = append(out, u.number)
			}
		}
		return out
	}
	for _, want := range [][]int{{1, 2}, {2, 1}, {1, 2}} {
		if got := numbers(); !slices.Equal(got, want) {
			t.Fatalf("%v are looked at, want %v", got, want)
		}
		// Of every stream the first block is looked at before the first pause.
		e.files.checkedMu.Lock()
		e.files.checked[StreamEvents] = want[0]
		e.files.checkedMu.Unlock()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = openForTest(t, e.opts)
	}
}
