package logtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
)

// RunEngine tests what an engine promises beyond one log: that it outlives a
// restart, the inbox, and the buckets. options answers a fresh engine's each
// time.
func RunEngine(t *testing.T, options func(*testing.T) jetstream.Options) {
	promises := []struct {
		name string
		test func(*testing.T, jetstream.Options)
	}{
		{"a restart keeps every event and its number", restartKeeps},
		{"an index that is lost is rebuilt", indexRebuilt},
		{"retention by count drops from the front", retention},
		{"retention by bytes drops from the front", retentionByBytes},
		{"retention is what the last start says", retentionChanges},
		{"an inbox row is worked until it is done", inboxDone},
		{"an inbox row outlives a restart", inboxRestart},
		{"a row that died with its worker comes back", inboxWorkerDies},
		{"an open question is remembered, an answered one is not", inboxQuestion},
		{"an outcome reaches who waits", inboxOutcome},
		{"a full inbox refuses", inboxFull},
		{"a bucket keeps, refuses stale changes and tells", bucket},
		{"a loose bucket keeps, refuses stale changes and tells", looseBucket},
	}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.test(t, options(t)) })
	}
}

// Open opens an engine that ends with the test, unless it is closed before.
func Open(t testing.TB, o jetstream.Options) *jetstream.Engine {
	t.Helper()
	e, err := jetstream.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func shut(t *testing.T, e *jetstream.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

func restartKeeps(t *testing.T, o jetstream.Options) {
	e := Open(t, o)
	appendAll(t, e.Events(), "a", 0, 100)
	before, inc := read(t, e.Events(), 1, 200), e.Events().Incarnation()
	shut(t, e)
	e = Open(t, o)
	after := read(t, e.Events(), 1, 200)
	if len(after) != 100 || e.Events().Incarnation() != inc {
		t.Fatalf("%d records of %v after the restart, 100 of %v before", len(after), e.Events().Incarnation(), inc)
	}
	for i := range before {
		if before[i].Seq != after[i].Seq || !before[i].Time.Equal(after[i].Time) || string(before[i].Data) != string(after[i].Data) {
			t.Errorf("record %d changed", before[i].Seq)
		}
	}
	if got, err := e.Events().Append(t.Context(), Entry("a", 42)); err != nil || !got.Duplicate || got.Seq != 43 {
		t.Errorf("a duplicate after the restart: %+v, %v", got, err)
	}
	tailAll(t, e.Events(), 1, 100)
}

func indexRebuilt(t *testing.T, o jetstream.Options) {
	e := Open(t, o)
	appendAll(t, e.Events(), "a", 0, 1000)
	shut(t, e)
	if err := os.RemoveAll(filepath.Join(o.Dir, "index")); err != nil {
		t.Fatal(err)
	}
	e = Open(t, o)
	for _, n := range []int{0, 500, 999} {
		if seq, ok, err := e.Events().Key("a", fmt.Sprintf("key %d", n)); err != nil || !ok || seq != uint64(n+1) {
			t.Errorf("key %d: %d, %v, %v", n, seq, ok, err)
		}
	}
}

func retention(t *testing.T, o jetstream.Options) {
	o.MaxEvents = 10
	e := Open(t, o)
	appendAll(t, e.Events(), "a", 0, 35)
	if b := bounds(t, e.Events()); b != (eventlog.Bounds{First: 26, Last: 35}) {
		t.Errorf("bounds %+v", b)
	}
	if recs := read(t, e.Events(), 1, 100); len(recs) != 10 || recs[0].Seq != 26 {
		t.Errorf("%d records", len(recs))
	}
	seen := uint64(0)
	stop := errors.New("stop")
	err := e.Events().Tail(t.Context(), 1, func(recs []event.Record) error { seen = recs[0].Seq; return stop })
	if !errors.Is(err, stop) || seen != 26 {
		t.Errorf("tail from what was dropped begins at %d: %v", seen, err)
	}
}

func retentionByBytes(t *testing.T, o jetstream.Options) {
	o.MaxBytes = 256 << 10
	l := Open(t, o).Events()
	for n := range 100 {
		e := Entry("a", n)
		e.Data = make([]byte, 8<<10)
		if _, err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if b := bounds(t, l); b.Last != 100 || b.First < 65 || b.First > 75 {
		t.Errorf("of 100 entries of 8 KiB, 256 KiB hold %d to %d", b.First, b.Last)
	}
}

func retentionChanges(t *testing.T, o jetstream.Options) {
	e := Open(t, o)
	appendAll(t, e.Events(), "a", 0, 20)
	shut(t, e)
	o.MaxEvents = 5
	l := Open(t, o).Events()
	waitFor(t, "the new bound", func() bool { return bounds(t, l) == eventlog.Bounds{First: 16, Last: 20} })
}

// work runs the inbox's work until the test's own condition ends it.
func work(t *testing.T, in eventlog.Inbox, fn func(context.Context, *eventlog.Claim)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := in.Work(ctx, 4, fn); !errors.Is(err, context.Canceled) && !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("work ended with %v", err)
		}
	}()
	return func() { cancel(); <-done }
}

func put(t *testing.T, in eventlog.Inbox, key string) uint64 {
	t.Helper()
	id, err := in.Put(t.Context(), eventlog.Row{Source: "a.b", Key: key, Data: []byte("data of " + key)})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func inboxDone(t *testing.T, o jetstream.Options) {
	in := Open(t, o).Inbox()
	type seen struct {
		id      uint64
		attempt int
	}
	var mu sync.Mutex
	got := make(map[string][]seen)
	stop := work(t, in, func(ctx context.Context, c *eventlog.Claim) {
		mu.Lock()
		got[c.Key] = append(got[c.Key], seen{c.ID, c.Attempt})
		mu.Unlock()
		if string(c.Data) != "data of "+c.Key || c.Source != "a.b" {
			t.Errorf("row %s of %s holds %q", c.Key, c.Source, c.Data)
		}
		if c.Key == "again" && c.Attempt == 1 {
			if err := c.Retry(10 * time.Millisecond); err != nil {
				t.Error(err)
			}
			return
		}
		if err := c.Done(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	defer stop()
	one, again := put(t, in, "one"), put(t, in, "again")
	waitFor(t, "the rows", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got["one"]) == 1 && len(got["again"]) == 2
	})
	waitFor(t, "an empty inbox", func() bool { rows, _ := in.Pending(); return rows == 0 })
	mu.Lock()
	defer mu.Unlock()
	if s := got["one"]; len(s) != 1 || s[0] != (seen{one, 1}) {
		t.Errorf("one: %v", s)
	}
	if s := got["again"]; len(s) != 2 || s[1] != (seen{again, 2}) {
		t.Errorf("again: %v", s)
	}
}

func inboxRestart(t *testing.T, o jetstream.Options) {
	e := Open(t, o)
	put(t, e.Inbox(), "kept")
	shut(t, e)
	in := Open(t, o).Inbox()
	if rows, bytes := in.Pending(); rows != 1 || bytes <= 0 {
		t.Errorf("%d rows of %d bytes wait, want 1", rows, bytes)
	}
	found := make(chan string, 1)
	stop := work(t, in, func(ctx context.Context, c *eventlog.Claim) {
		_ = c.Done(ctx)
		found <- c.Key
	})
	defer stop()
	select {
	case key := <-found:
		if key != "kept" {
			t.Errorf("found %q", key)
		}
	case <-time.After(20 * time.Second):
		t.Error("the row did not come")
	}
}

// The engine is closed while a worker holds the row, as if the process had died.
func inboxWorkerDies(t *testing.T, o jetstream.Options) {
	if o.URL != "" {
		t.Skip("takes the claim's 20 seconds on a cluster")
	}
	e := Open(t, o)
	held, dead := make(chan struct{}), make(chan struct{})
	stopDead := work(t, e.Inbox(), func(context.Context, *eventlog.Claim) {
		close(held)
		<-dead // never says what became of the row
	})
	defer stopDead()
	defer close(dead)
	put(t, e.Inbox(), "k")
	<-held
	shut(t, e)
	found := make(chan int, 1)
	stop := work(t, Open(t, o).Inbox(), func(ctx context.Context, c *eventlog.Claim) {
		_ = c.Done(ctx)
		found <- c.Attempt
	})
	defer stop()
	select {
	case <-found:
	case <-time.After(10 * time.Second):
		t.Error("the row did not come back in 10 s")
	}
}

func inboxQuestion(t *testing.T, o jetstream.Options) {
	in := Open(t, o).Inbox()
	answers := make(chan bool, 4)
	stop := work(t, in, func(ctx context.Context, c *eventlog.Claim) {
		unresolved, err := c.Asking(ctx)
		if err != nil {
			t.Error(err)
		}
		answers <- unresolved
		if c.Attempt == 2 {
			if err := c.Answered(ctx); err != nil {
				t.Error(err)
			}
		}
		if c.Attempt < 3 {
			_ = c.Retry(time.Millisecond)
			return
		}
		_ = c.Done(ctx)
	})
	defer stop()
	put(t, in, "q")
	for i, want := range []bool{false, true, false} {
		select {
		case got := <-answers:
			if got != want {
				t.Errorf("attempt %d: unresolved %v, want %v", i+1, got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("attempt %d did not come", i+1)
		}
	}
}

func inboxOutcome(t *testing.T, o jetstream.Options) {
	in := Open(t, o).Inbox()
	stop := work(t, in, func(ctx context.Context, c *eventlog.Claim) {
		_ = c.Announce([]byte("said of " + c.Key))
		_ = c.Done(ctx)
	})
	defer stop()
	first, cancel := in.Outcome("a.b", "k")
	defer cancel()
	second, cancel2 := in.Outcome("a.b", "k")
	defer cancel2()
	other, cancel3 := in.Outcome("a.b", "other")
	defer cancel3()
	put(t, in, "k")
	for _, ch := range []<-chan []byte{first, second} {
		select {
		case got := <-ch:
			if string(got) != "said of k" {
				t.Errorf("outcome %q", got)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no outcome")
		}
	}
	select {
	case got := <-other:
		t.Errorf("another key's outcome: %q", got)
	default:
	}
}

func inboxFull(t *testing.T, o jetstream.Options) {
	o.InboxMaxRows = 3
	in := Open(t, o).Inbox()
	// The count is about right at any moment and right a second later.
	for i := range 3 {
		waitFor(t, "room", func() bool {
			_, err := in.Put(t.Context(), eventlog.Row{Source: "a", Key: fmt.Sprint(i)})
			if err != nil && !errors.Is(err, eventlog.ErrFull) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	waitFor(t, "the count", func() bool { rows, _ := in.Pending(); return rows == 3 })
	if _, err := in.Put(t.Context(), eventlog.Row{Source: "a", Key: "k"}); !errors.Is(err, eventlog.ErrFull) {
		t.Errorf("a fourth row: %v, want ErrFull", err)
	}
}

func bucket(t *testing.T, o jetstream.Options) {
	b, err := Open(t, o).Bucket(t.Context(), "TEST")
	testBucket(t, b, err)
}

func looseBucket(t *testing.T, o jetstream.Options) {
	b, err := Open(t, o).LooseBucket(t.Context(), "TEST")
	testBucket(t, b, err)
}

func testBucket(t *testing.T, b eventlog.Bucket, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	rev, err := b.Create(t.Context(), "k", []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Create(t.Context(), "k", []byte("x")); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("second create: %v, want ErrConflict", err)
	}
	next, err := b.Update(t.Context(), "k", []byte("2"), rev)
	if err != nil || next <= rev {
		t.Fatalf("update: %d, %v", next, err)
	}
	if _, err := b.Update(t.Context(), "k", []byte("3"), rev); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("stale update: %v, want ErrConflict", err)
	}
	if err := b.Delete(t.Context(), "k", rev); !errors.Is(err, eventlog.ErrConflict) {
		t.Errorf("stale delete: %v, want ErrConflict", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := make(chan eventlog.Change, 10)
	go func() {
		_ = b.Watch(ctx, func(c eventlog.Change) { changes <- c }, func() { changes <- eventlog.Change{Key: "ready"} })
	}()
	// A node that lags tells what was before, first.
	there := eventlog.Change{}
	for c := range received(t, changes) {
		if c.Key == "ready" {
			break
		}
		if c.Key != "k" || c.Revision <= there.Revision {
			t.Errorf("change %+v after %+v", c, there)
		}
		there = c
	}
	if string(there.Value) != "2" || there.Revision != next {
		t.Errorf("ready after %+v, want revision %d", there, next)
	}
	if err := b.Delete(t.Context(), "k", next); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, eventlog.Change{Key: "k", Revision: next + 1})
	if _, err := b.Create(t.Context(), "k", []byte("4")); err != nil {
		t.Errorf("create after delete: %v", err)
	}
}

// received are the changes that come, until one does not.
func received(t *testing.T, changes <-chan eventlog.Change) iter.Seq[eventlog.Change] {
	return func(yield func(eventlog.Change) bool) {
		for {
			select {
			case c := <-changes:
				if !yield(c) {
					return
				}
			case <-time.After(20 * time.Second):
				t.Error("no change came")
				return
			}
		}
	}
}

func expect(t *testing.T, changes <-chan eventlog.Change, want eventlog.Change) {
	t.Helper()
	select {
	case got := <-changes:
		if got.Key != want.Key || string(got.Value) != string(want.Value) || got.Revision != want.Revision {
			t.Errorf("change %+v, want %+v", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Errorf("change %+v did not come", want)
	}
}
