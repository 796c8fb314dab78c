package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/internal/heavy"
)

// damagedEvents are in the log whose files are damaged.
const damagedEvents = 2500

// filled is a data directory with a log of several blocks and a bucket: as an
// orderly stop left it, and as a kill did.
func filled(t *testing.T) (stopped, killed string) {
	t.Helper()
	o := embedded(t)
	o.Durability = jetstream.DurabilityRelaxed
	e := logtest.Open(t, o)
	mixed(t, e.Events(), damagedEvents)
	b, err := e.Bucket(t.Context(), "SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		if _, err := b.Create(t.Context(), fmt.Sprint("source", n), bytes.Repeat([]byte("value"), 20)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Inbox().Put(t.Context(), eventlog.Row{Source: "a", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Events().Bounds(t.Context()); err != nil { // as it asks itself, every second
		t.Fatal(err)
	}
	killed = copyDir(t, o.Dir)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return o.Dir, killed
}

func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// open opens a copy of a data directory, and answers what was logged as an error.
func open(t *testing.T, dir string) (*jetstream.Engine, *bytes.Buffer, error) {
	t.Helper()
	var log bytes.Buffer
	o := jetstream.DefaultOptions()
	o.Dir, o.Durability = dir, jetstream.DurabilityRelaxed
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	e, err := jetstream.Open(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { _ = e.Close() })
	}
	return e, &log, err
}

const (
	eventsBlocks = "jetstream/$G/streams/HOOKSTREAM_EVENTS/msgs"
	bucketBlocks = "jetstream/$G/streams/KV_HOOKSTREAM_SOURCES/msgs"
)

func blocksOf(t *testing.T, dir, sub string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, sub, "*.blk"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no blocks: %v", err)
	}
	slices.SortFunc(names, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return names
}

// edit changes the bytes of a file.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 0x10
		return b
	}
}

// damages are done to the files of the log.
var damages = []struct {
	name string
	do   func(t *testing.T, dir string)
	lost int // events; 0: some
}{
	{"a byte in the middle", func(t *testing.T, dir string) {
		edit(t, blocksOf(t, dir, eventsBlocks)[1], flip(4<<20))
	}, 1},
	{"a byte of the first record", func(t *testing.T, dir string) {
		edit(t, blocksOf(t, dir, eventsBlocks)[0], flip(60))
	}, 1},
	{"a byte of the last record", func(t *testing.T, dir string) {
		blocks := blocksOf(t, dir, eventsBlocks)
		edit(t, blocks[len(blocks)-1], flip(-20))
	}, 1},
	{"a page of zeros", func(t *testing.T, dir string) {
		edit(t, blocksOf(t, dir, eventsBlocks)[1], func(b []byte) []byte {
			clear(b[1<<20 : 1<<20+4096])
			return b
		})
	}, 0},
	{"a block is gone", func(t *testing.T, dir string) { removeFile(t, blocksOf(t, dir, eventsBlocks)[2]) }, 0},
	{"the first block is gone", func(t *testing.T, dir string) { removeFile(t, blocksOf(t, dir, eventsBlocks)[0]) }, 0},
	{"the first blocks are gone", func(t *testing.T, dir string) {
		for _, block := range blocksOf(t, dir, eventsBlocks)[:2] {
			removeFile(t, block)
		}
	}, 0},
	{"all blocks are gone", func(t *testing.T, dir string) {
		for _, block := range blocksOf(t, dir, eventsBlocks) {
			removeFile(t, block)
		}
	}, damagedEvents},
	{"the newest block is shorter", func(t *testing.T, dir string) {
		blocks := blocksOf(t, dir, eventsBlocks)
		edit(t, blocks[len(blocks)-1], func(b []byte) []byte { return b[:len(b)-3000] })
	}, 0},
	{"the newest block is shorter, and no state", func(t *testing.T, dir string) {
		blocks := blocksOf(t, dir, eventsBlocks)
		edit(t, blocks[len(blocks)-1], func(b []byte) []byte { return b[:len(b)-3000] })
		_ = os.Remove(filepath.Join(dir, eventsBlocks, "index.db"))
		if err := os.RemoveAll(filepath.Join(dir, "index")); err != nil {
			t.Fatal(err)
		}
	}, 0},
	{"the newest block is gone, and the state", func(t *testing.T, dir string) {
		blocks := blocksOf(t, dir, eventsBlocks)
		removeFile(t, blocks[len(blocks)-1])
		_ = os.Remove(filepath.Join(dir, eventsBlocks, "index.db"))
	}, 0},
}

func removeFile(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// Whatever happens to the files of the log: what can be read is kept, what is lost
// is told exactly, is taken again when it is sent again, and no number is given
// twice.
func TestDamagedLog(t *testing.T) {
	heavy.Test(t)
	stopped, killed := filled(t)
	for how, dir := range map[string]string{"stopped": stopped, "killed": killed} {
		for _, d := range damages {
			t.Run(how+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				dir := copyDir(t, dir)
				d.do(t, dir)
				e, log, err := open(t, dir)
				if err != nil {
					t.Fatal(err)
				}
				lost := checkTold(t, e, log)
				if n := len(lost); n == 0 || d.lost != 0 && n != d.lost {
					t.Fatalf("%d events are lost, want %d", n, d.lost)
				}
				checkAgain(t, e, lost)
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				checkReopened(t, dir, len(lost))
			})
		}
	}
}

// checkTold answers the sequences of the events that are not there, which must be
// those that are told.
func checkTold(t *testing.T, e *jetstream.Engine, log *bytes.Buffer) (lost []int) {
	t.Helper()
	there := make(map[uint64]bool)
	for _, recs := range [][]event.Record{readOn(t, e.Events()), scanAll(t, e.Events().(scanner), 1)} {
		clear(there)
		for _, r := range recs {
			if !r.Lost {
				there[r.Seq] = true
			}
		}
	}
	told := uint64(0)
	for _, m := range e.MissingRuns() {
		told += m.Events()
		for seq := m.From; seq <= m.To; seq++ {
			if there[seq] {
				t.Errorf("event %d is there and counts as missing", seq)
			}
		}
	}
	for seq := range uint64(damagedEvents) {
		if !there[seq+1] {
			lost = append(lost, int(seq+1))
		}
	}
	if told != uint64(len(lost)) || e.Missing() != told {
		t.Errorf("%d events are told to be missing, %d are: %v of %v", told, len(lost), e.MissingRuns(), lost)
	}
	b, err := e.Events().Bounds(t.Context())
	if err != nil || b.First != 1 {
		t.Errorf("the log begins at %d, %v: what it lost was not dropped", b.First, err)
	}
	holes, err := e.Holes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inHoles := uint64(0)
	for _, h := range holes {
		inHoles += h.Events()
	}
	if inHoles != told {
		t.Errorf("%d events are told to subscriptions, %d are missing: %v", inHoles, told, holes)
	}
	if !strings.Contains(log.String(), "has lost events") {
		t.Errorf("nothing is logged: %s", log)
	}
	return lost
}

// readOn reads the log as a follower does.
func readOn(t *testing.T, l eventlog.Log) (all []event.Record) {
	t.Helper()
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if recs, err := l.Read(t.Context(), 1, 1, 1); len(recs) == 0 { // all is lost
		if err != nil {
			t.Fatal(err)
		}
		return nil
	}
	done := errors.New("done")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	err = l.Tail(ctx, 1, func(recs []event.Record) error {
		all = append(all, recs...)
		if recs[len(recs)-1].Seq >= b.Last {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
	return all
}

// checkAgain sends what was lost again, and some that was not: what was lost is
// taken, at new numbers.
func checkAgain(t *testing.T, e *jetstream.Engine, lost []int) {
	t.Helper()
	taken := 0
	for i := range damagedEvents {
		if i%25 != 0 && !slices.Contains(lost, i+1) {
			continue
		}
		got, err := e.Events().Append(t.Context(), logtest.Entry("a", i))
		if err != nil {
			t.Fatal(err)
		}
		if wasLost := slices.Contains(lost, i+1); got.Duplicate == wasLost {
			t.Fatalf("event %d, lost %v: %+v", i+1, wasLost, got)
		}
		if !got.Duplicate {
			if taken++; got.Seq != uint64(damagedEvents+taken) {
				t.Fatalf("event %d came to number %d, want %d", i+1, got.Seq, damagedEvents+taken)
			}
		}
	}
}

// checkReopened opens it again: nothing else is damaged.
func checkReopened(t *testing.T, dir string, lost int) {
	t.Helper()
	e, log, err := open(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 || e.Missing() != uint64(lost) {
		t.Errorf("at the next start %d events are missing, want %d: %s", e.Missing(), lost, log)
	}
	if recs := scanAll(t, e.Events().(scanner), damagedEvents+1); len(recs) != lost {
		t.Errorf("%d of %d that were sent again are there", len(recs), lost)
	}
}

// A bucket that is damaged in any way refuses the start, with the file and what to
// do: senders would be answered that they are not known.
func TestDamagedBucket(t *testing.T) {
	heavy.Test(t)
	stopped, killed := filled(t)
	size := 0
	edit(t, blocksOf(t, stopped, bucketBlocks)[0], func(b []byte) []byte { size = len(b); return b })
	for how, dir := range map[string]string{"stopped": stopped, "killed": killed} {
		for name, do := range map[string]func(t *testing.T, dir string){
			"first byte":    func(t *testing.T, dir string) { edit(t, blocksOf(t, dir, bucketBlocks)[0], flip(0)) },
			"early":         func(t *testing.T, dir string) { edit(t, blocksOf(t, dir, bucketBlocks)[0], flip(70)) },
			"in the middle": func(t *testing.T, dir string) { edit(t, blocksOf(t, dir, bucketBlocks)[0], flip(size/2)) },
			"last byte":     func(t *testing.T, dir string) { edit(t, blocksOf(t, dir, bucketBlocks)[0], flip(-1)) },
			"description": func(t *testing.T, dir string) {
				edit(t, filepath.Join(dir, bucketBlocks, "../meta.inf"), flip(30))
			},
			"gone": func(t *testing.T, dir string) {
				if how == "killed" && !hasState(dir) {
					t.Skip("nothing says that there was a block")
				}
				removeFile(t, blocksOf(t, dir, bucketBlocks)[0])
			},
		} {
			t.Run(how+"/"+name, func(t *testing.T) {
				t.Parallel()
				dir := copyDir(t, dir)
				do(t, dir)
				_, _, err := open(t, dir)
				if !errors.Is(err, jetstream.ErrDamaged) {
					t.Fatalf("%v, want %v", err, jetstream.ErrDamaged)
				}
				for _, want := range []string{"KV_HOOKSTREAM_SOURCES/", "doctor --repair", "restore"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the error does not say %q: %v", want, err)
					}
				}
			})
		}
	}
}

func hasState(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, bucketBlocks, "index.db"))
	return err == nil
}

// What is not damaged is opened without a word, however it ended.
func TestUndamaged(t *testing.T) {
	heavy.Test(t)
	stopped, killed := filled(t)
	for how, dir := range map[string]string{"stopped": stopped, "killed": killed} {
		e, log, err := open(t, copyDir(t, dir))
		if err != nil || log.Len() > 0 || e.Missing() != 0 {
			t.Errorf("%s: %v, %d missing, %s", how, err, e.Missing(), log)
		}
	}
}
