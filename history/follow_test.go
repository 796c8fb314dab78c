package history

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
)

// put appends samples to a log.
func put(t *testing.T, l *memlog.Log, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		rec := record(t, 1, start, sample(n))
		if _, err := l.Append(t.Context(), eventlog.Entry{Source: "a", DedupKey: sample(n).ProviderEventId, Data: rec.Data}); err != nil {
			t.Fatal(err)
		}
	}
}

// follow follows a log until the test ends.
func follow(t *testing.T, s *Store, l Log) context.CancelFunc {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Follow(ctx, l) }()
	return func() { cancel(); <-done }
}

// What the log held and what comes is known, over holes, and what it drops is
// forgotten.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memlog.New(memlog.Options{})
		put(t, l, 1, 3*readEvents)
		s := open(t, t.TempDir(), 0)
		stop := follow(t, s, l)
		synctest.Wait()
		l.Skip(7)
		put(t, l, 3*readEvents+1, 3*readEvents+50)
		synctest.Wait()
		if s.Applied() != 3*readEvents+57 || s.Lag() != 0 {
			t.Errorf("%d are known, %d are not", s.Applied(), s.Lag())
		}
		if n := len(candidates(t, s, "")); n != 3*readEvents+50 {
			t.Errorf("%d events", n)
		}
		l.Drop(2 * few)
		time.Sleep(boundsEvery + time.Second)
		synctest.Wait()
		if n := len(candidates(t, s, "")); n != 0 {
			t.Errorf("%d events are left of a log that has none", n)
		}
		put(t, l, 4*readEvents, 4*readEvents)
		synctest.Wait()
		if n := len(candidates(t, s, "")); n != 1 {
			t.Errorf("%d events", n)
		}
		stop()
	})
}

// flaky is a log that fails now and then, and answers few records.
type flaky struct {
	*memlog.Log
	calls int
}

func (f *flaky) Bounds(ctx context.Context) (eventlog.Bounds, error) {
	if f.calls++; f.calls%3 == 1 {
		return eventlog.Bounds{}, eventlog.ErrUnavailable
	}
	return f.Log.Bounds(ctx)
}

func (f *flaky) Read(ctx context.Context, seq uint64, _, maxBytes int) ([]event.Record, error) {
	if f.calls++; f.calls%5 == 0 {
		return nil, eventlog.ErrUnavailable
	}
	return f.Log.Read(ctx, seq, 3, maxBytes)
}

func (f *flaky) Tail(ctx context.Context, seq uint64, fn func([]event.Record) error) error {
	n := 0
	return f.Log.Tail(ctx, seq, func(recs []event.Record) error {
		if n++; n > 2 {
			return eventlog.ErrUnavailable
		}
		return fn(recs)
	})
}

// A log that fails is followed all the same.
func TestFollowsALogThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &flaky{Log: memlog.New(memlog.Options{})}
		put(t, l.Log, 1, 50)
		s := open(t, t.TempDir(), 0)
		stop := follow(t, s, l)
		for n := 51; n <= 100; n++ {
			put(t, l.Log, n, n)
			time.Sleep(500 * time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		if n := len(candidates(t, s, "")); n != 100 || s.Applied() != 100 {
			t.Errorf("%d events, %d are known", n, s.Applied())
		}
		stop()
	})
}

// The tail never waits for the history: what it cannot apply in time it reads from
// the log afterwards.
func TestNobodyWaitsForTheHistory(t *testing.T) {
	q := &queue{batches: make(chan []event.Record, 2)}
	big := []event.Record{{Seq: 1, Data: make([]byte, queueBytes)}}
	for i, want := range []error{nil, errBehind} {
		if err := q.put(big); err != want { //nolint:errorlint // it is passed on as it is
			t.Errorf("batch %d: %v, want %v", i, err, want)
		}
	}
	q = &queue{batches: make(chan []event.Record, 2)}
	small := []event.Record{{Seq: 1}}
	for i, want := range []error{nil, nil, errBehind} {
		if err := q.put(small); err != want { //nolint:errorlint // it is passed on as it is
			t.Errorf("batch %d: %v, want %v", i, err, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		l := memlog.New(memlog.Options{})
		s := open(t, t.TempDir(), 0)
		stop := follow(t, s, l)
		synctest.Wait()
		s.writing.Lock() // whoever applies waits
		put(t, l, 1, 10*queueBatches)
		s.writing.Unlock()
		synctest.Wait()
		if s.Applied() != 10*queueBatches {
			t.Errorf("%d are known", s.Applied())
		}
		stop()
	})
}

// A part that is found damaged while the log is followed is made anew.
func TestMadeAnewWhileFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memlog.New(memlog.Options{})
		s := open(t, t.TempDir(), 0)
		stop := follow(t, s, l)
		put(t, l, 1, 2*few+5)
		synctest.Wait()
		s.damaged(s.segments[0], errDamaged)
		put(t, l, 2*few+6, 2*few+6)
		synctest.Wait()
		if n := len(candidates(t, s, "")); n != 2*few+6 {
			t.Errorf("%d events", n)
		}
		stop()
	})
}
