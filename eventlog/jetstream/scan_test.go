package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	engine "github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

// scanner is what the hub takes an eventlog.Log for, if it is one.
type scanner interface {
	eventlog.Log

	Scan(ctx context.Context, seq uint64, fn func([]event.Record) error) error
}

// mixed fills a log with entries of which some are so large that answers are cut
// short by bytes.
func mixed(t *testing.T, l eventlog.Log, n int) {
	t.Helper()
	for i := range n {
		e := logtest.Entry("a", i)
		switch {
		case i%1000 == 700:
			e.Data = []byte(strings.Repeat("x", 900<<10))
		case i%10 == 7:
			e.Data = []byte(strings.Repeat("y", 120<<10))
		}
		if _, err := l.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// scanAll begins again where a cluster was not ready, as a caller would read on.
func scanAll(t *testing.T, l scanner, seq uint64) (all []event.Record) {
	t.Helper()
	_, err := retry(func() (struct{}, error) {
		return struct{}{}, l.Scan(t.Context(), seq, func(recs []event.Record) error {
			all, seq = append(all, recs...), recs[len(recs)-1].Seq+1
			return nil
		})
	})
	if err != nil {
		t.Fatalf("from %d: %v", seq, err)
	}
	return all
}

func readAll(t *testing.T, l eventlog.Log, seq uint64) (all []event.Record) {
	t.Helper()
	for {
		recs, err := l.Read(t.Context(), seq, 100, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			return all
		}
		all, seq = append(all, recs...), recs[len(recs)-1].Seq+1
	}
}

// Scan answers what Read answers, wherever it begins.
func TestScan(t *testing.T) {
	o := embedded(t)
	o.Durability = engine.DurabilityRelaxed
	testScan(t, o, 2500)
}

func TestScanCluster(t *testing.T) {
	o := embedded(t)
	c := natstest.Start(t)
	o.URL, o.Replicas = c.URL(), 3
	testScan(t, o, 900)
	// One that could not be deleted at once ends by itself.
	for deadline := time.Now().Add(time.Minute); consumers(t, o.URL) != 1; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d consumers are left, want the tail's", consumers(t, o.URL))
		}
	}
}

func testScan(t *testing.T, o engine.Options, events uint64) {
	l := logtest.Open(t, o).Events().(scanner)
	if got := scanAll(t, l, 1); got != nil {
		t.Errorf("an empty log: %d records", len(got))
	}
	mixed(t, l, int(events))
	want := readAll(t, l, 1)
	for _, from := range []uint64{0, 1, 2, 511, 512, 513, 701, 1701, events, events + 1, events + 100} {
		i, _ := slices.BinarySearchFunc(want, from, func(r event.Record, seq uint64) int { return int(r.Seq) - int(seq) })
		if diff := cmp.Diff(want[i:], scanAll(t, l, from), cmp.Transformer("size", func(b []byte) string { return fmt.Sprintf("%d %.40s", len(b), b) }), equateEmpty); diff != "" {
			t.Errorf("from %d: %.2000s", from, diff)
		}
	}
}

var equateEmpty = cmp.FilterValues(func(a, b []event.Record) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore())

// consumers answers how many the log has.
func consumers(t *testing.T, url string) int {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), "HOOKSTREAM_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Consumers
}

// A scan begins with what retention has left.
func TestScanAfterRetention(t *testing.T) {
	o := embedded(t)
	o.MaxEvents = 100
	l := logtest.Open(t, o).Events().(scanner)
	for n := range 250 {
		if _, err := l.Append(t.Context(), logtest.Entry("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	got := scanAll(t, l, 1)
	if len(got) != 100 || got[0].Seq != 151 {
		t.Errorf("%d records, the first is %d", len(got), got[0].Seq)
	}
}

// The caller ends a scan at any time, and the log goes on.
func TestScanEnds(t *testing.T) {
	l := logtest.Open(t, embedded(t)).Events().(scanner)
	mixed(t, l, 1500)
	enough := errors.New("enough")
	if err := l.Scan(t.Context(), 1, func([]event.Record) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("the caller's error: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := l.Scan(ctx, 1, func([]event.Record) error { cancel(); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("the context's error: %v", err)
	}
	if n := len(scanAll(t, l, 1)); n != 1500 {
		t.Errorf("%d records afterwards", n)
	}
}

func BenchmarkScan(b *testing.B) {
	o := engine.DefaultOptions()
	o.Dir, o.Durability = b.TempDir(), engine.DurabilityRelaxed
	l := logtest.Open(b, o).Events().(scanner)
	const events = 20_000
	for i := range events {
		e := logtest.Entry("a", i)
		e.Data = make([]byte, 1024)
		if _, err := l.Append(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := l.Scan(b.Context(), 1, func(recs []event.Record) error {
			n += len(recs)
			return nil
		})
		if err != nil || n != events {
			b.Fatalf("%d records: %v", n, err)
		}
	}
	b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
}
