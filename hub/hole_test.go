package hub

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
)

// flakyBounds is a log that does not tell its bounds now and then.
type flakyBounds struct {
	*memlog.Log
	bad   atomic.Bool
	asked atomic.Int64 // while it is bad
}

func (f *flakyBounds) Bounds(ctx context.Context) (eventlog.Bounds, error) {
	if f.bad.Load() {
		f.asked.Add(1)
		return eventlog.Bounds{}, eventlog.ErrUnavailable
	}
	return f.Log.Bounds(ctx)
}

// One question that the log does not answer, at a hole, must not end the hub, and
// the process with it, on every gateway at once. It asks again, and shows what
// follows.
func TestFailedQuestionAtAHole(t *testing.T) {
	l := &flakyBounds{Log: memlog.New(memlog.Options{})}
	h, err := New(Options{Log: l})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	<-h.ready
	put(t, l.Log, sample{})
	l.bad.Store(true)
	l.Skip(1)
	put(t, l.Log, sample{})
	go func() {
		for l.asked.Load() < 2 {
			time.Sleep(time.Millisecond)
		}
		l.bad.Store(false)
	}()
	for deadline := time.Now().Add(30 * time.Second); h.ring.get(3) == nil; time.Sleep(time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("the hub ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("what follows the hole is not shown")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the hub ended with %v", err)
	}
}
