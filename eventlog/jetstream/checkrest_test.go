package jetstream

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// After an orderly stop the old blocks of a large log are looked at while it is
// used: what is damaged there is missing, taken again, and copied, and the next
// start keeps all that can be read.
func TestRestIsCheckedAfterTheStart(t *testing.T) {
	was := checkedWhole
	t.Cleanup(func() { checkedWhole = was })
	checkedWhole = 1
	o := DefaultOptions()
	o.Dir, o.Durability = t.TempDir(), DurabilityRelaxed
	put := func(e *Engine, n int) eventlog.Appended {
		t.Helper()
		got, err := e.Events().Append(t.Context(), eventlog.Entry{Source: "s", Topic: "t", Action: "a", DedupKey: fmt.Sprint(n), Data: bytes.Repeat([]byte{byte(n)}, 1<<20)})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	e := openForTest(t, o)
	const events = 20
	for n := range events {
		put(e, n)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	path := blockPath(blocksDir(o.Dir, StreamEvents), 1)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	data[100] ^= 1 // of the first of the log
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	e = openForTest(t, o)
	for deadline := time.Now().Add(30 * time.Second); e.Missing() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d events are missing, want 2", e.Missing())
		}
	}
	if copies, err := filepath.Glob(filepath.Join(o.Dir, dirDamaged, "*")); err != nil || len(copies) != 1 {
		t.Errorf("copies %v, %v", copies, err)
	}
	again := 0
	for n := range events {
		got := put(e, n)
		if lost := e.files.missing.contains(uint64(n + 1)); lost == got.Duplicate {
			t.Errorf("event %d, lost %v: %+v", n+1, lost, got)
		} else if lost {
			again++
		}
	}
	if again != 2 {
		t.Errorf("%d are taken again, want 2: %v", again, e.MissingRuns())
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, fileStopped)); err == nil {
		t.Error("the next start would not look at the block")
	}
	e = openForTest(t, o)
	recs, err := e.Events().Read(t.Context(), 1, 100, 1<<30)
	if err != nil || len(recs) != events || e.Missing() != 2 {
		t.Errorf("after a restart %d records can be read, want %d, and %d are missing: %v", len(recs), events, e.Missing(), err)
	}
}

func openForTest(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}
