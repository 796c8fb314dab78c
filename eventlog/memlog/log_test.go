package memlog_test

import (
	"errors"
	"testing"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/memlog"
)

func TestLog(t *testing.T) {
	logtest.RunLog(t, func(*testing.T) eventlog.Log { return memlog.New(memlog.Options{}) })
}

func fill(t *testing.T, l *memlog.Log, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		if _, err := l.Append(t.Context(), logtest.Entry("a", n)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantBounds(t *testing.T, l *memlog.Log, first, last uint64) {
	t.Helper()
	if b, err := l.Bounds(t.Context()); err != nil || b != (eventlog.Bounds{First: first, Last: last}) {
		t.Errorf("bounds %+v, %v; want %d to %d", b, err, first, last)
	}
}

func TestDropsFromTheFront(t *testing.T) {
	l := memlog.New(memlog.Options{MaxRecords: 5})
	fill(t, l, 0, 12)
	wantBounds(t, l, 8, 12)
	l.Drop(10)
	wantBounds(t, l, 11, 12)
	if recs, _ := l.Read(t.Context(), 1, 10, 1<<20); len(recs) != 2 || recs[0].Seq != 11 {
		t.Errorf("%d records after the drop", len(recs))
	}
	if _, ok, _ := l.Key("a", "key 0"); ok {
		t.Error("a dropped event's key is still there")
	}
	l.Drop(100)
	wantBounds(t, l, 13, 12)
	fill(t, l, 20, 21)
	wantBounds(t, l, 13, 13)
}

func TestSkipLeavesAHole(t *testing.T) {
	l := memlog.New(memlog.Options{})
	fill(t, l, 0, 2)
	l.Skip(3)
	fill(t, l, 2, 4)
	wantBounds(t, l, 1, 7)
	if recs, _ := l.Read(t.Context(), 3, 10, 1<<20); len(recs) != 2 || recs[0].Seq != 6 {
		t.Errorf("records %v", recs)
	}
}

func TestBreak(t *testing.T) {
	l := memlog.New(memlog.Options{})
	fill(t, l, 0, 1)
	err := l.Tail(t.Context(), 1, func([]event.Record) error { l.Break(); return nil })
	if !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("tail of a broken log: %v", err)
	}
	if _, err := l.Append(t.Context(), logtest.Entry("a", 2)); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("append to a broken log: %v", err)
	}
}
