// Package logtest holds every engine of the log to what eventlog promises.
package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// RunLog tests a log. open answers an empty one each time.
func RunLog(t *testing.T, open func(*testing.T) eventlog.Log) {
	promises := []struct {
		name string
		test func(*testing.T, eventlog.Log)
	}{
		{"append answers growing sequences", appendGrows},
		{"append answers the earlier sequence of a duplicate", appendDuplicate},
		{"equal entries at once are one", concurrentDuplicates},
		{"append refuses what it cannot keep", appendRefuses},
		{"read is ordered, bounded and exact", readExact},
		{"read past the end is empty", readPastEnd},
		{"tail shows everything once, wherever it starts", tailWhileWriting},
		{"tail ends with the error of its function", tailError},
		{"a time finds its sequence", seqAt},
		{"a repeated content is found", content},
		{"bounds of an empty log", emptyBounds},
	}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.test(t, open(t)) })
	}
}

// Entry makes the n-th entry of a source.
func Entry(source string, n int) eventlog.Entry {
	return eventlog.Entry{
		Source: source, Topic: "topic." + fmt.Sprint(n%3), Action: "done",
		DedupKey: fmt.Sprintf("key %d", n),
		Data:     fmt.Appendf(nil, "%s/%d", source, n),
	}
}

func appendAll(t *testing.T, l eventlog.Log, source string, from, to int) []uint64 {
	t.Helper()
	var seqs []uint64
	for n := from; n < to; n++ {
		got, err := l.Append(t.Context(), Entry(source, n))
		if err != nil {
			t.Fatalf("append %d: %v", n, err)
		}
		if got.Duplicate {
			t.Fatalf("append %d was taken for a duplicate of %d", n, got.Seq)
		}
		seqs = append(seqs, got.Seq)
	}
	return seqs
}

func appendGrows(t *testing.T, l eventlog.Log) {
	seqs := appendAll(t, l, "a", 0, 20)
	if seqs[0] != 1 || !slices.IsSorted(seqs) || len(slices.Compact(slices.Clone(seqs))) != 20 {
		t.Errorf("sequences %v, want 20 growing ones from 1", seqs)
	}
	if b := bounds(t, l); b != (eventlog.Bounds{First: 1, Last: seqs[19]}) {
		t.Errorf("bounds %+v", b)
	}
}

func bounds(t *testing.T, l eventlog.Log) eventlog.Bounds {
	t.Helper()
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func appendDuplicate(t *testing.T, l eventlog.Log) {
	seqs := appendAll(t, l, "a", 0, 3)
	for range 2 {
		got, err := l.Append(t.Context(), Entry("a", 1))
		if err != nil || !got.Duplicate || got.Seq != seqs[1] {
			t.Fatalf("duplicate: %+v, %v; want the sequence %d", got, err, seqs[1])
		}
		waitFor(t, "the key", func() bool { _, ok, _ := l.Key("a", "key 1"); return ok })
	}
	appendAll(t, l, "b", 1, 2) // the same key of another source is another entry
	if b := bounds(t, l); b.Last != 4 {
		t.Errorf("the log ends at %d, want 4", b.Last)
	}
}

func concurrentDuplicates(t *testing.T, l eventlog.Log) {
	const callers = 50
	answers := make(chan eventlog.Appended, callers)
	for range callers {
		go func() {
			got, err := l.Append(t.Context(), Entry("a", 7))
			if err != nil {
				t.Error(err)
			}
			answers <- got
		}()
	}
	first := 0
	for range callers {
		if got := <-answers; !got.Duplicate {
			first++
		} else if got.Seq != 1 {
			t.Errorf("duplicate of %d, want 1", got.Seq)
		}
	}
	if b := bounds(t, l); first != 1 || b.Last != 1 {
		t.Errorf("%d callers were first, the log ends at %d; want 1 and 1", first, b.Last)
	}
}

func appendRefuses(t *testing.T, l eventlog.Log) {
	for _, e := range []eventlog.Entry{{Source: "a", Data: []byte("x")}, {DedupKey: "k", Data: []byte("x")}} {
		if _, err := l.Append(t.Context(), e); err == nil {
			t.Errorf("entry %+v was taken", e)
		}
	}
	big := Entry("a", 1)
	big.Data = make([]byte, 64<<20)
	if _, err := l.Append(t.Context(), big); !errors.Is(err, eventlog.ErrTooLarge) {
		t.Errorf("64 MiB: %v, want ErrTooLarge", err)
	}
}

func readExact(t *testing.T, l eventlog.Log) {
	appendAll(t, l, "a", 0, 30)
	recs := read(t, l, 5, 10)
	if len(recs) != 10 || recs[0].Seq != 5 || recs[9].Seq != 14 {
		t.Fatalf("%d records from %d", len(recs), recs[0].Seq)
	}
	for i, r := range recs {
		if want := Entry("a", int(r.Seq)-1).Data; !bytes.Equal(r.Data, want) {
			t.Errorf("record %d holds %q, want %q", r.Seq, r.Data, want)
		}
		if i > 0 && r.Time.Before(recs[i-1].Time) {
			t.Errorf("record %d is older than the one before", r.Seq)
		}
	}
	if rest := read(t, l, 25, 100); len(rest) != 6 {
		t.Errorf("%d records from 25 on, want 6", len(rest))
	}
}

// read asks until it has n records or there are no more: an answer may be shorter
// than what is there.
func read(t *testing.T, l eventlog.Log, seq uint64, n int) []event.Record {
	t.Helper()
	var all []event.Record
	for len(all) < n {
		recs, err := l.Read(t.Context(), seq, n-len(all), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			break
		}
		all = append(all, recs...)
		seq = recs[len(recs)-1].Seq + 1
	}
	return all
}

func readPastEnd(t *testing.T, l eventlog.Log) {
	appendAll(t, l, "a", 0, 3)
	if recs := read(t, l, 4, 10); len(recs) != 0 {
		t.Errorf("%d records past the end", len(recs))
	}
}

func tailWhileWriting(t *testing.T, l eventlog.Log) {
	const writers, each = 4, 250
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				if _, err := l.Append(t.Context(), Entry(fmt.Sprint("w", w), n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for start := range 5 {
		wg.Go(func() { tailAll(t, l, uint64(start*60+1), writers*each) })
	}
	wg.Wait()
}

// tailAll follows the log up to last and wants every sequence once.
func tailAll(t *testing.T, l eventlog.Log, from, last uint64) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next, done := from, errors.New("done")
	err := l.Tail(ctx, from, func(recs []event.Record) error {
		for _, r := range recs {
			if r.Seq != next {
				return fmt.Errorf("tail from %d: record %d, want %d", from, r.Seq, next)
			}
			next++
		}
		if next > last {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Errorf("tail from %d stopped at %d: %v", from, next, err)
	}
}

func tailError(t *testing.T, l eventlog.Log) {
	appendAll(t, l, "a", 0, 2)
	want := errors.New("enough")
	if err := l.Tail(t.Context(), 1, func([]event.Record) error { return want }); !errors.Is(err, want) {
		t.Errorf("tail: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Tail(ctx, 1, func([]event.Record) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled tail: %v", err)
	}
}

func seqAt(t *testing.T, l eventlog.Log) {
	appendAll(t, l, "a", 0, 5)
	recs := read(t, l, 1, 5)
	if len(recs) != 5 {
		t.Fatalf("%d records, want 5", len(recs))
	}
	for _, r := range recs {
		seq, err := l.SeqAt(t.Context(), r.Time)
		if err != nil || seq != r.Seq {
			t.Errorf("at the time of %d: %d, %v", r.Seq, seq, err)
		}
	}
	for _, c := range []struct {
		at   time.Time
		want uint64
	}{{recs[0].Time.Add(-time.Hour), 1}, {recs[4].Time.Add(time.Nanosecond), 6}, {recs[4].Time.Add(time.Hour), 6}} {
		if seq, err := l.SeqAt(t.Context(), c.at); err != nil || seq != c.want {
			t.Errorf("at %s: %d, %v; want %d", c.at, seq, err, c.want)
		}
	}
}

func content(t *testing.T, l eventlog.Log) {
	e := Entry("a", 1)
	e.Fingerprint = []byte("the same")
	if _, ok, err := l.Content("a", e.Fingerprint); ok || err != nil {
		t.Fatalf("found in an empty log: %v", err)
	}
	got, err := l.Append(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the content", func() bool {
		seq, ok, err := l.Content("a", e.Fingerprint)
		return err == nil && ok && seq == got.Seq
	})
	if _, ok, _ := l.Content("b", e.Fingerprint); ok {
		t.Error("found for another source")
	}
}

func emptyBounds(t *testing.T, l eventlog.Log) {
	if b := bounds(t, l); b != (eventlog.Bounds{First: 1, Last: 0}) {
		t.Errorf("bounds %+v", b)
	}
	if seq, err := l.SeqAt(t.Context(), time.Now()); err != nil || seq != 1 {
		t.Errorf("now is at %d, %v; want 1", seq, err)
	}
	if recs := read(t, l, 1, 1); len(recs) != 0 {
		t.Error("an empty log has a record")
	}
}

// waitFor waits for what the engine does on its own time.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
