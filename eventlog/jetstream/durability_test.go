package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

// A node of the cluster dies while entries are appended and the log is
// followed: every acknowledged entry is there, at its number, once.
func TestClusterLosesANode(t *testing.T) {
	c := natstest.Start(t)
	o := embedded(t)
	o.URL, o.Replicas = c.URL(), 3
	e := logtest.Open(t, o)
	const writers, each = 8, 150
	var mu sync.Mutex
	acked := make(map[uint64]string)
	var total atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range each {
				entry := logtest.Entry(fmt.Sprint("w", w), n)
				seq := appendUntilAcked(t, e.Events(), entry)
				mu.Lock()
				acked[seq] = string(entry.Data)
				mu.Unlock()
				if total.Add(1) == writers*each/3 {
					leader := c.Leader("HOOKSTREAM_EVENTS")
					wg.Go(func() { c.Kill(max(leader, 0)) })
				}
			}
		})
	}
	wg.Wait()
	if len(acked) != writers*each {
		t.Errorf("%d numbers for %d entries", len(acked), writers*each)
	}
	found, done := 0, errors.New("done")
	err := e.Events().Tail(t.Context(), 1, func(recs []event.Record) error {
		for _, r := range recs {
			if acked[r.Seq] != string(r.Data) {
				return fmt.Errorf("record %d holds %q, %q was acknowledged there", r.Seq, r.Data, acked[r.Seq])
			}
			found++
		}
		if found == len(acked) {
			return done
		}
		return nil
	})
	if !errors.Is(err, done) {
		t.Errorf("%d of %d found: %v", found, len(acked), err)
	}
}

// Gateways that start at once on a fresh cluster all come up, on the same log.
func TestGatewaysStartAtOnce(t *testing.T) {
	t.Parallel()
	url := natstest.Start(t).URL()
	engines := make(chan *jetstream.Engine, 3)
	for range cap(engines) {
		o := embedded(t)
		o.URL, o.Replicas = url, 3
		go func() {
			e, err := jetstream.Open(context.Background(), o)
			if err == nil {
				_, err = e.Bucket(context.Background(), "TEST")
			}
			if err != nil {
				t.Error(err)
			}
			engines <- e
		}()
	}
	incarnations := make(map[event.Incarnation]bool)
	for range cap(engines) {
		if e := <-engines; e != nil {
			incarnations[e.Events().Incarnation()] = true
			defer e.Close()
		}
	}
	if len(incarnations) != 1 {
		t.Errorf("%d logs", len(incarnations))
	}
}

func appendUntilAcked(t *testing.T, l eventlog.Log, e eventlog.Entry) uint64 {
	deadline := time.Now().Add(time.Minute)
	for {
		got, err := l.Append(t.Context(), e)
		if err == nil {
			return got.Seq
		}
		if !errors.Is(err, eventlog.ErrUnavailable) || time.Now().After(deadline) {
			t.Errorf("append: %v", err)
			return 0
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A second gateway on the same directory is refused before it touches anything,
// and welcome when the first has gone.
func TestDirectoryHasOneUser(t *testing.T) {
	o := embedded(t)
	e := logtest.Open(t, o)
	if _, err := jetstream.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "in use by another") {
		t.Errorf("a second engine: %v", err)
	}
	if _, err := e.Events().Append(t.Context(), logtest.Entry("a", 1)); err != nil {
		t.Errorf("the first engine afterwards: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	logtest.Open(t, o)
}

// A full disk is told before JetStream meets it, and is over when there is room
// again.
func TestDiskFull(t *testing.T) {
	o := embedded(t)
	o.MinFreeBytes = 1 << 60
	e := logtest.Open(t, o)
	waitErr(t, "full", func() error {
		_, err := e.Events().Append(t.Context(), logtest.Entry("a", 1))
		return err
	}, eventlog.ErrFull)
	waitErr(t, "full inbox", func() error {
		_, err := e.Inbox().Put(t.Context(), eventlog.Row{Source: "a", Key: "k"})
		return err
	}, eventlog.ErrFull)
	waitErr(t, "health", e.Healthy, eventlog.ErrFull) // a moment after writes are refused
}

func waitErr(t *testing.T, what string, do func() error, want error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for err := do(); !errors.Is(err, want); err = do() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v, want %v", what, err, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// An index from a machine that lost power may know events that the log does
// not: they must be taken when they come again.
func TestIndexThatKnowsTooMuch(t *testing.T) {
	o := embedded(t)
	e := logtest.Open(t, o)
	for n := range 10 {
		if _, err := e.Events().Append(t.Context(), logtest.Entry("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	// The log goes, as if it had never been written; the index stays.
	if err := os.RemoveAll(filepath.Join(o.Dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	e = logtest.Open(t, o)
	if got, err := e.Events().Append(t.Context(), logtest.Entry("a", 3)); err != nil || got.Duplicate {
		t.Errorf("%+v, %v: an event that the log lost was taken for a duplicate", got, err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, durability := range []jetstream.Durability{jetstream.DurabilitySync, jetstream.DurabilityRelaxed} {
		for _, callers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/callers=%d", durability, callers), func(b *testing.B) {
				o := jetstream.DefaultOptions()
				o.Dir, o.Durability = b.TempDir(), durability
				e := logtest.Open(b, o)
				data := make([]byte, 1024)
				var n atomic.Int64
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for {
							i := n.Add(1)
							if i > int64(b.N) {
								return
							}
							if _, err := e.Events().Append(b.Context(), eventlog.Entry{Source: "a", Topic: "t", Action: "a", DedupKey: fmt.Sprint(i), Data: data}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
