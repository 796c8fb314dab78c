package jetstream_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
)

// A log whose last records are not there, though numbers were given to them, is
// read to its end and opened without its index: nothing is waited for that cannot
// come.
func TestLogWithoutItsEnd(t *testing.T) {
	o := embedded(t)
	e := logtest.Open(t, o)
	for n := range 10 {
		if _, err := e.Events().Append(t.Context(), logtest.Entry("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	st, err := e.JS().Stream(t.Context(), "HOOKSTREAM_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{9, 10} {
		if err := st.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	check := func(l eventlog.Log) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // less than a replica is given
		defer cancel()
		if recs, err := l.Read(ctx, 9, 10, 1<<20); err != nil || len(recs) != 0 {
			t.Errorf("%d records, %v", len(recs), err)
		}
		if seq, err := l.SeqAt(ctx, time.Now()); err != nil || seq != 11 {
			t.Errorf("now is %d, %v", seq, err)
		}
	}
	check(e.Events())
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(o.Dir, "index")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e, err = jetstream.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	check(e.Events())
	if got, err := e.Events().Append(t.Context(), logtest.Entry("a", 10)); err != nil || got.Seq != 11 {
		t.Errorf("%+v, %v", got, err)
	}
	if recs := readOn(t, e.Events()); len(recs) != 9 {
		t.Errorf("%d records", len(recs))
	}
}
