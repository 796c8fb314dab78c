package client_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/client"
)

// Nothing is acknowledged before it was flushed, once for all that share a call,
// and a refusal needs no flush.
func TestRunFlushesBeforeItAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, lives(lent(), hand("a1", "b1", "c1", "d1")))
		var mu sync.Mutex
		var buffered, early []string
		flushes := 0
		o := client.RunOptions{Concurrency: 4, Flush: func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			early = append(early, d.heard()...)
			flushes++
			buffered = nil
			return nil
		}}
		r := run(t, d, o, func(_ context.Context, d *delivery) error {
			mu.Lock()
			defer mu.Unlock()
			if d.GetAckToken() == "d1" {
				return errFull
			}
			buffered = append(buffered, d.GetAckToken())
			return nil
		})
		later(time.Second)
		r.stop(t)
		want(t, d.heard(), "ack a1", "ack b1", "ack c1", "retry d1: full")
		if flushes != 1 || len(buffered) > 0 || slices.Contains(early, "ack a1") {
			t.Errorf("flushed %d times, %v left, said before: %v", flushes, buffered, early)
		}
	})
}

// What cannot be flushed is given back and never acknowledged, nor is what is
// handled afterwards; a refusal stands. Run ends with the error.
func TestRunAcknowledgesNothingThatWasNotFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, lives(lent(), hand("a1", "b1", "c1", "d1")))
		fail := errFull
		o := client.RunOptions{Concurrency: 3, Flush: func(context.Context) error {
			defer func() { fail = nil }() // it would work again: what was lost stays lost
			return fail
		}}
		r := run(t, d, o, func(ctx context.Context, d *delivery) error {
			switch d.GetAckToken() {
			case "b1":
				return client.Park(errAway)
			case "c1":
				time.Sleep(3 * time.Second) // within Grace
			}
			return nil
		})
		select {
		case err := <-r.ended:
			if !errors.Is(err, errFull) {
				t.Errorf("ended with %v", err)
			}
		case <-anHour(t).Done():
			t.Fatal("it goes on")
		}
		const why = ": what was done could not be made to last"
		got := d.heard()
		want(t, slices.DeleteFunc(got, func(s string) bool { return s[:6] == "extend" }),
			"park b1: rpc error: code = Unavailable desc = away", "release a1"+why, "release c1"+why, "release d1"+why)
	})
}

// MustReach ends what was never open, and nothing that was.
func TestRunMustReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := client.RunOptions{MustReach: true}
		r := run(t, newDesk(t, sends(errAway)), o, (&seen{}).handle)
		if err := <-r.ended; status.Code(err) != codes.Unavailable {
			t.Errorf("never open: %v", err)
		}
		d := newDesk(t, sends(errAway, lent()), sends(errAway), lives(lent(), hand("a1")))
		r = run(t, d, o, (&seen{}).handle)
		later(time.Minute)
		r.stop(t)
		want(t, d.heard(), "ack a1")
	})
}

// What one of the last calls leaves to another one is said, too: what a handler gave
// back, to a gateway that knows no releases, is an attempt that failed.
func TestStopSaysWhatTheLastCallLeft(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, lives(lent(), hand("a1")))
			d.fail = []error{status.Error(codes.InvalidArgument, "no such action")}
			r := run(t, d, client.RunOptions{}, func(ctx context.Context, _ *delivery) error {
				<-ctx.Done()
				return client.Release(context.Cause(ctx))
			})
			later(time.Second)
			r.stop(t)
			want(t, d.heard(), "retry a1: client: stopping")
		})
	}
}
