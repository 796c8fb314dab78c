package index_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/index"
	"github.com/hookstream/hookstream/internal/heavy"
)

const window = 30 * 24 * time.Hour

func open(t *testing.T, dir string, incarnation uint32, last uint64) *index.Index {
	t.Helper()
	x, err := index.Open(dir, incarnation, last, window, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func shut(t *testing.T, x *index.Index) {
	t.Helper()
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

func key(n int) index.Hash { return index.HashOf("key", fmt.Sprint(n)) }

// fill adds the entries from..to-1, one an hour, the last one now.
func fill(t *testing.T, x *index.Index, from, to int) {
	t.Helper()
	var entries []index.Entry
	for n := from; n < to; n++ {
		entries = append(entries, index.Entry{Seq: uint64(n), Time: time.Now().Add(-time.Duration(to-1-n) * time.Hour), Key: key(n)})
	}
	if err := x.Apply(entries, uint64(to-1)); err != nil {
		t.Fatal(err)
	}
}

func has(t *testing.T, x *index.Index, n int) bool {
	t.Helper()
	seq, ok, err := x.Key(key(n))
	if err != nil || ok && seq != uint64(n) {
		t.Fatalf("key %d: %d, %v", n, seq, err)
	}
	return ok
}

func TestRemembersAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	x := open(t, dir, 7, 0)
	fill(t, x, 1, 100)
	shut(t, x)
	x = open(t, dir, 7, 99)
	defer shut(t, x)
	if x.Applied() != 99 || !has(t, x, 1) || !has(t, x, 99) || has(t, x, 100) {
		t.Errorf("it knows the log up to %d", x.Applied())
	}
}

// An index of another log, or one that knows more than the log holds, is empty:
// a key of an event that is gone would hide the event when it comes again.
func TestForgetsWhatIsNotOfThisLog(t *testing.T) {
	for name, reopen := range map[string]struct {
		incarnation uint32
		last        uint64
	}{"another log": {8, 99}, "a shorter log": {7, 50}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			x := open(t, dir, 7, 0)
			fill(t, x, 1, 100)
			shut(t, x)
			x = open(t, dir, reopen.incarnation, reopen.last)
			defer shut(t, x)
			if x.Applied() != 0 || has(t, x, 10) {
				t.Errorf("it knows the log up to %d, key 10: %v", x.Applied(), has(t, x, 10))
			}
		})
	}
}

func TestSweep(t *testing.T) {
	heavy.Test(t)
	index.Small(t)
	dir := t.TempDir()
	x := open(t, dir, 7, 0)
	now := time.Now()
	const half = 10_000 // a generation, and more
	for n := 1; n <= 2*half; n++ {
		at := now.Add(-40 * time.Hour)
		if n <= half {
			at = now.Add(-60 * time.Hour)
		}
		if err := x.Apply([]index.Entry{{Seq: uint64(n), Time: at, Key: key(n)}}, uint64(n)); err != nil {
			t.Fatal(err)
		}
		if n == half {
			if removed, err := x.Sweep(now); removed != 0 || err != nil { // all goes to the disk
				t.Fatalf("%d forgotten, %v", removed, err)
			}
		}
	}
	later := now.Add(window - 50*time.Hour)
	removed, err := x.Sweep(later)
	if err != nil || removed < half/2 || removed > half {
		t.Errorf("%d forgotten, %v; want most of %d", removed, err, half)
	}
	if left := x.Stored(t); left != 2*half-removed {
		t.Errorf("%d records are left on the disk, want %d", left, 2*half-removed)
	}
	if again, err := x.Sweep(later); again != 0 || err != nil {
		t.Errorf("a second sweep found %d, %v", again, err)
	}
	shut(t, x)
	x = open(t, dir, 7, 2*half)
	defer shut(t, x)
	if has(t, x, 1) {
		t.Error("an entry is found that was forgotten")
	}
	for n := half + 1; n <= 2*half; n++ {
		if !has(t, x, n) {
			t.Fatalf("the sweep took %d", n)
		}
	}
}

// A key that was written again stays when its first writing expires.
func TestSweepKeepsWhatWasWrittenAgain(t *testing.T) {
	x := open(t, t.TempDir(), 7, 0)
	defer shut(t, x)
	now := time.Now()
	for i, at := range []time.Time{now.Add(-20 * time.Hour), now} {
		if err := x.Apply([]index.Entry{{Seq: uint64(i + 1), Time: at, Key: key(1), Content: key(2)}}, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := x.Sweep(now.Add(window - 10*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if seq, ok, err := x.Key(key(1)); !ok || seq != 2 || err != nil {
		t.Errorf("%d, %v, %v", seq, ok, err)
	}
}

func TestContentHasAWindowOfItsOwn(t *testing.T) {
	x := open(t, t.TempDir(), 7, 0)
	defer shut(t, x)
	at := time.Now().Add(-time.Hour)
	if err := x.Apply([]index.Entry{{Seq: 5, Time: at, Key: key(1), Content: key(2)}}, 5); err != nil {
		t.Fatal(err)
	}
	if seq, ok, _ := x.Content(key(2), at.Add(-time.Minute)); !ok || seq != 5 {
		t.Error("the content is not found")
	}
	if _, ok, _ := x.Content(key(2), at.Add(time.Minute)); ok {
		t.Error("a content from before the window is found")
	}
	if _, ok, _ := x.Key(key(2)); ok {
		t.Error("a content is taken for a key")
	}
}

// An entry that has left the window is not found, swept or not.
func TestOldEntriesAreNotFound(t *testing.T) {
	x := open(t, t.TempDir(), 7, 0)
	defer shut(t, x)
	if err := x.Apply([]index.Entry{{Seq: 1, Time: time.Now().Add(-window - time.Hour), Key: key(1)}}, 1); err != nil {
		t.Fatal(err)
	}
	if has(t, x, 1) || x.Applied() != 1 {
		t.Error("an entry older than the window is found, or was not looked at")
	}
}

func TestHashIsUnambiguous(t *testing.T) {
	if index.HashOf("ab", "c") == index.HashOf("a", "bc") || index.HashOf("a") == index.HashOf("a", "") {
		t.Error("two lists of parts have one hash")
	}
}

// Many more entries than are kept in memory are found while they go to the disk,
// after a restart, and after one that left no time to write: from where Applied
// says the log is read again.
func TestMoreThanMemoryHolds(t *testing.T) {
	index.Small(t)
	dir := t.TempDir()
	x := open(t, dir, 7, 0)
	const step = 1000
	n := heavy.Count(200_000, 40_000) // the first filters are full before; with the detector, generations are made
	for from := 1; from < n; from += step {
		var entries []index.Entry
		for i := from; i < from+step; i++ {
			entries = append(entries, index.Entry{Seq: uint64(i), Time: time.Now(), Key: key(i)})
		}
		if err := x.Apply(entries, uint64(from+step-1)); err != nil {
			t.Fatal(err)
		}
		// So that no more than a few tables wait for a busy disk, and become one
		// generation.
		if from/step%2 == 1 {
			if _, err := x.Sweep(time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		for _, i := range []int{1, from/2 + 1, from, from + step - 1} {
			if !has(t, x, i) {
				t.Fatalf("%d is not found when %d are known", i, from+step-1)
			}
		}
		if has(t, x, from+step) {
			t.Fatalf("%d is found before it is there", from+step)
		}
	}
	shut(t, x)
	x = open(t, dir, 7, uint64(n))
	defer shut(t, x)
	if g := x.Generations(); g < heavy.Count(8, 2) || g > 50 { // 8, and as many for each time that they become three times as many
		t.Errorf("%d generations", g)
	}
	for i := 1; i < n; i += 97 {
		if !has(t, x, i) {
			t.Errorf("%d is lost", i)
		}
	}
	if x.Applied() != uint64(n) {
		t.Errorf("applied %d, want %d", x.Applied(), n)
	}
}

func BenchmarkKey(b *testing.B) {
	x := filled(b, 1_000_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok, err := x.Key(key(-1 - i)); ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func filled(b *testing.B, n int) *index.Index {
	x, err := index.Open(b.TempDir(), 7, 0, window, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = x.Close() })
	for i := range n {
		if err := x.Apply([]index.Entry{{Seq: uint64(i + 1), Time: time.Now(), Key: key(i)}}, uint64(i+1)); err != nil {
			b.Fatal(err)
		}
	}
	return x
}
