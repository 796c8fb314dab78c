package jetstream_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

func embedded(t *testing.T) jetstream.Options {
	o := jetstream.DefaultOptions()
	o.Dir = t.TempDir()
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return o
}

func TestEmbedded(t *testing.T) {
	logtest.RunLog(t, func(t *testing.T) eventlog.Log { return logtest.Open(t, embedded(t)).Events() })
	logtest.RunEngine(t, embedded)
}

func TestEmbeddedRelaxed(t *testing.T) {
	logtest.RunLog(t, func(t *testing.T) eventlog.Log {
		o := embedded(t)
		o.Durability = jetstream.DurabilityRelaxed
		return logtest.Open(t, o).Events()
	})
}

func TestCluster(t *testing.T) {
	t.Parallel()
	options := func(t *testing.T) jetstream.Options {
		o := embedded(t)
		o.URL, o.Replicas = natstest.Start(t).URL(), 3
		return o
	}
	logtest.RunLog(t, func(t *testing.T) eventlog.Log { return logtest.Open(t, options(t)).Events() })
	logtest.RunEngine(t, options)
}

// The same promises hold while the node that leads the log dies, for a caller
// that tries again what was not available.
func TestClusterWhoseLeaderDies(t *testing.T) {
	t.Parallel()
	logtest.RunLog(t, func(t *testing.T) eventlog.Log {
		t.Parallel() // each waits for an election or more
		c := natstest.Start(t)
		o := embedded(t)
		o.URL, o.Replicas = c.URL(), 3
		l := &patient{Log: logtest.Open(t, o).Events()}
		var wg sync.WaitGroup
		wg.Go(func() { c.Kill(max(c.Leader("HOOKSTREAM_EVENTS"), 0)) })
		t.Cleanup(wg.Wait)
		return l
	})
}

// patient is a log whose caller tries again while it is not available.
type patient struct {
	eventlog.Log

	told sync.Map // the entries whose append somebody was told of
}

func retry[T any](do func() (T, error)) (T, error) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		v, err := do()
		if !errors.Is(err, eventlog.ErrUnavailable) || time.Now().After(deadline) {
			return v, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Append tells one caller of each entry that it was first: what was not
// acknowledged may have been kept, and is its own duplicate then.
func (p *patient) Append(ctx context.Context, e eventlog.Entry) (eventlog.Appended, error) {
	got, err := retry(func() (eventlog.Appended, error) { return p.Log.Append(ctx, e) })
	if err == nil {
		_, got.Duplicate = p.told.LoadOrStore(e.Source+" "+e.DedupKey, true)
	}
	return got, err
}

func (p *patient) Read(ctx context.Context, seq uint64, n, bytes int) ([]event.Record, error) {
	return retry(func() ([]event.Record, error) { return p.Log.Read(ctx, seq, n, bytes) })
}

func (p *patient) Bounds(ctx context.Context) (eventlog.Bounds, error) {
	return retry(func() (eventlog.Bounds, error) { return p.Log.Bounds(ctx) })
}

func (p *patient) SeqAt(ctx context.Context, at time.Time) (uint64, error) {
	return retry(func() (uint64, error) { return p.Log.SeqAt(ctx, at) })
}

func (p *patient) Tail(ctx context.Context, seq uint64, fn func([]event.Record) error) error {
	_, err := retry(func() (struct{}, error) {
		return struct{}{}, p.Log.Tail(ctx, seq, func(recs []event.Record) error {
			seq = recs[len(recs)-1].Seq + 1
			return fn(recs)
		})
	})
	return err
}
