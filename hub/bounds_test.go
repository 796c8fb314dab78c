package hub

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// However many streams open at once, the log is asked a few times, and nobody is
// answered what was asked before it came.
func TestBoundsAreAskedForOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := uint64(0)
		shared := sharedBounds{ask: func() (eventlog.Bounds, error) {
			asked++
			now := asked
			time.Sleep(time.Second)
			return eventlog.Bounds{Last: now}, nil
		}}
		answers := make(chan uint64)
		ask := func() {
			b, err := shared.get(t.Context())
			if err != nil {
				t.Error(err)
			}
			answers <- b.Last
		}
		go ask()
		synctest.Wait()
		for range 1000 {
			go ask()
		}
		if first := <-answers; first != 1 {
			t.Errorf("who asked first was answered the question %d", first)
		}
		for range 1000 {
			if got := <-answers; got != 2 {
				t.Fatalf("who came while the first question was asked was answered the question %d", got)
			}
		}
		go ask()
		if got := <-answers; got != 3 {
			t.Errorf("who came later was answered the question %d", got)
		}
	})
}

// Who goes does not take the answer from others, and an error is that of all who
// waited, not of those who come after.
func TestBoundsOfOneWhoGoesAndOfAFailedQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("ick")
		fail := failed
		shared := sharedBounds{ask: func() (eventlog.Bounds, error) {
			time.Sleep(time.Second)
			return eventlog.Bounds{Last: 7}, fail
		}}
		ctx, leave := context.WithCancel(t.Context())
		left, stayed := make(chan error), make(chan error)
		go func() { _, err := shared.get(ctx); left <- err }()
		synctest.Wait()
		go func() { _, err := shared.get(t.Context()); stayed <- err }()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who goes is answered %v", err)
		}
		if err := <-stayed; !errors.Is(err, failed) {
			t.Errorf("who stays is answered %v", err)
		}
		fail = nil
		if b, err := shared.get(t.Context()); err != nil || b.Last != 7 {
			t.Errorf("%v, %v", b, err)
		}
	})
}
