package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"

	natsjetstream "github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
)

// What is parked is bounded, and nothing of it is dropped: replays go on, and what
// is forgotten makes room.
func TestParkedIsBounded(t *testing.T) {
	o := jetstream.DefaultOptions()
	o.Dir, o.ParkedMaxBytes = t.TempDir(), 64<<10
	e, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	parked, err := On(e).OpenParked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put := func(n int) error {
		return parked.Put(t.Context(), "uid", fmt.Sprint("once-", n), ParkedEntry{Record: event.Record{Seq: uint64(n), Data: make([]byte, 8<<10)}})
	}
	kept := 0
	for err = put(1); err == nil && kept < 100; err = put(kept + 1) {
		kept++
	}
	if !errors.Is(err, eventlog.ErrFull) || kept < 5 || kept > 8 {
		t.Fatalf("%d entries of 8 KiB went into 64, then %v", kept, err)
	}
	if n, err := parked.Count(t.Context(), "uid"); n != kept || err != nil {
		t.Errorf("%d of %d are there, %v", n, kept, err)
	}
	first, err := parked.Next(t.Context(), "uid", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := parked.Replay(t.Context(), "uid", first); err != nil {
		t.Errorf("a replay needs room: %v", err)
	}
	if err := parked.ForgetAll(t.Context(), "uid", true); err != nil {
		t.Fatal(err)
	}
	if err := put(1000); err != nil {
		t.Errorf("what was forgotten made no room: %v", err)
	}
}

// silent is a stream of which nothing is told.
type silent struct {
	natsjetstream.Stream
	asked chan struct{}
}

func (s silent) Info(ctx context.Context, _ ...natsjetstream.StreamInfoOpt) (*natsjetstream.StreamInfo, error) {
	close(s.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

// Who parks while another one asks a cluster that does not answer goes when its own
// time is over.
func TestParkedWhileAnotherAsks(t *testing.T) {
	e := acksEngine(t, t.TempDir())
	parked, err := On(e).OpenParked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	parked.js = silent{parked.js, asked}
	first := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { first <- parked.Put(ctx, "uid", "one", ParkedEntry{}) }()
	<-asked
	over, end := context.WithCancel(t.Context())
	end()
	if err := parked.Put(over, "uid", "two", ParkedEntry{}); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("the second: %v", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("the first: %v", err)
	}
}
