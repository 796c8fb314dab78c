package jetstream_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/index"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
)

// The index of a directory is held against its log: an event that is not in it, or
// whose key is at another number, is found, and with repair the next start makes it
// anew.
func TestCheckIndex(t *testing.T) {
	o := embedded(t)
	o.DedupWindow = time.Hour
	e := logtest.Open(t, o)
	const events = 12
	var entries []index.Entry
	for n := range events {
		one := logtest.Entry("a", n)
		got, err := e.Events().Append(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, index.Entry{Seq: got.Seq, Time: time.Now(), Key: index.HashOf("key", one.Source, one.DedupKey)})
	}
	incarnation := uint32(e.Events().Incarnation())
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	check := func(repair bool) *jetstream.IndexCheck {
		t.Helper()
		c, err := jetstream.CheckDir(o.Dir, repair)
		if err != nil || c.Damaged() {
			t.Fatal(c, err)
		}
		return c.Index
	}
	// The newest may not be in it yet.
	if c := check(false); c.Events != int(c.Applied) || c.Events == 0 || c.Differ != 0 || c.Anew != "" {
		t.Errorf("as the gateway left it: %+v", c)
	}
	at := filepath.Join(o.Dir, "index")
	keep := func(incarnation uint32, last uint64, some []index.Entry) {
		t.Helper()
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		x, err := index.Open(at, incarnation, last, time.Hour, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Apply(some, last); err != nil {
			t.Fatal(err)
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	entries[0].Time = entries[0].Time.Add(-time.Minute) // older than all of the log
	for what, change := range map[string]struct {
		of     func([]index.Entry) []index.Entry
		differ int
		first  uint64
	}{
		"all":               {func(es []index.Entry) []index.Entry { return es }, 0, 0},
		"one is not there":  {func(es []index.Entry) []index.Entry { return append(es[:6:6], es[7:]...) }, 1, 7},
		"at another number": {func(es []index.Entry) []index.Entry { es[2].Seq = 5; return es }, 1, 5},
		"at an older one":   {func(es []index.Entry) []index.Entry { es[8].Seq = 4; return es }, 1, 9},
	} {
		t.Run(what, func(t *testing.T) {
			keep(incarnation, events, change.of(append([]index.Entry(nil), entries...)))
			if c := check(false); c.Events != events || c.Differ != change.differ || c.First != change.first {
				t.Errorf("%+v", c)
			}
		})
	}
	keep(incarnation+1, events, entries)
	if c := check(false); c.Anew == "" || c.Events != 0 {
		t.Errorf("of another log: %+v", c)
	}
	keep(incarnation, events, entries[:1])
	if c := check(true); c.Differ != events-1 || c.Anew == "" {
		t.Errorf("with repair: %+v", c)
	}
	e = logtest.Open(t, o)
	if got, err := e.Events().Append(t.Context(), logtest.Entry("a", 4)); err != nil || !got.Duplicate || got.Seq != 5 {
		t.Errorf("a repetition after the repair: %+v, %v", got, err)
	}
}

// Where there is no index it is made anew, and a directory without a log has nothing
// to hold one against.
func TestCheckNoIndex(t *testing.T) {
	if c, err := jetstream.CheckDir(t.TempDir(), true); err != nil || c.Index != nil {
		t.Errorf("no log: %+v, %v", c, err)
	}
	o := embedded(t)
	if err := logtest.Open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(o.Dir, "index")); err != nil {
		t.Fatal(err)
	}
	if c, err := jetstream.CheckDir(o.Dir, false); err != nil || c.Index.Anew == "" {
		t.Errorf("no index: %+v, %v", c, err)
	}
}
