package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/natstest"
)

// attemptsOf answers how many goroutines are in the code of Attempts, and of what it
// reads with.
func attemptsOf() int {
	stacks := make([]byte, 1<<22)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "(*Attempts)") || strings.Contains(stack, "(*orderedConsumer)") || strings.Contains(stack, "(*pullSubscription)") {
			n++
		}
	}
	return n
}

// noneLeft waits until nothing of Attempts runs.
func noneLeft(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		n := attemptsOf()
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are left", n)
		}
	}
}

// ends fails when something does not end.
func ends(t *testing.T, what string, f func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() { f(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatalf("%s hangs", what)
	}
}

// refusedFor puts a value, and wants to be told that it is not kept.
func refusedFor(t *testing.T, a *Attempts) {
	t.Helper()
	told := make(chan error, 1)
	a.Put([]Attempted{{"late", 1, []byte("x")}}, func(err error) { told <- err })
	ends(t, "Put", func() {
		if err := <-told; !errors.Is(err, eventlog.ErrUnavailable) {
			t.Errorf("what cannot be kept: %v", err)
		}
	})
}

// Close writes what was put before, answers everybody who waits, tells nobody
// anything afterwards, and leaves nothing behind: whoever opens it anew finds all.
func TestAttemptsAreClosed(t *testing.T) {
	e := acksEngine(t, t.TempDir())
	for round := range 3 {
		var closed atomic.Bool
		a, err := On(e).OpenAttempts(t.Context(), func(Attempted) {
			if closed.Load() {
				t.Error("something is told after Close")
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		const some = 3000 // more than are written at a time
		var answered atomic.Int64
		for n := range some {
			a.Put([]Attempted{{fmt.Sprint("queue-", round), uint64(n + 1), []byte("x")}}, func(err error) {
				if err != nil {
					t.Errorf("what was put before Close: %v", err)
				}
				answered.Add(1)
			})
		}
		ends(t, "Close", a.Close)
		closed.Store(true)
		if n := answered.Load(); n != some {
			t.Errorf("Close did not wait for %d of %d that were put before", some-n, some)
		}
		noneLeft(t)
		refusedFor(t, a)
		ends(t, "Close, again", a.Close)

		kept := 0
		again, err := On(e).OpenAttempts(t.Context(), func(v Attempted) {
			if v.Queue == fmt.Sprint("queue-", round) {
				kept++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		ends(t, "Close", again.Close)
		if kept != some {
			t.Errorf("%d of %d are kept", kept, some)
		}
	}
}

// Whoever puts while Close is under way is answered, one way or the other.
func TestAttemptsArePutWhileClosing(t *testing.T) {
	e := acksEngine(t, t.TempDir())
	for range 5 {
		a, err := On(e).OpenAttempts(t.Context(), func(Attempted) {})
		if err != nil {
			t.Fatal(err)
		}
		var putting sync.WaitGroup
		answered := make(chan struct{})
		var answers atomic.Int64
		for worker := range 4 {
			putting.Go(func() {
				for n := range 200 {
					a.Put([]Attempted{{"queue", uint64(worker*1000 + n + 1), []byte("x")}}, func(error) {
						if answers.Add(1) == 800 {
							close(answered)
						}
					})
				}
			})
		}
		ends(t, "Close", a.Close)
		putting.Wait()
		ends(t, "an answer", func() { <-answered })
		noneLeft(t)
	}
}

// A cluster that answers nothing keeps nobody from closing, nor from being told so.
func TestAttemptsAreClosedWhileNobodyAnswers(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		l := linked(t, natstest.StartInside(t))
		e, err := jetstream.Open(t.Context(), l.Options)
		if err != nil {
			t.Fatal(err)
		}
		a, err := On(e).OpenAttempts(t.Context(), func(Attempted) {})
		if err != nil {
			t.Fatal(err)
		}
		go l.cutOff(true, 5*time.Minute)
		stuck := &Attempts{e: On(e), js: a.js, wake: make(chan struct{}, 1)}
		stuck.ctx, stuck.stop = context.WithCancel(context.Background())
		loaded := make(chan error, 1)
		stuck.wg.Go(func() { stuck.follow(func(Attempted) {}, loaded) })
		stuck.wg.Go(stuck.write)
		time.Sleep(time.Minute)
		ends(t, "Close", stuck.Close)
		if err := <-loaded; err == nil { // it has one place
			t.Error("what could not be read is taken for read")
		}
		ends(t, "Close", a.Close)
		noneLeft(t)
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Minute)
	})
}

// An engine that has gone keeps nobody from closing either: what is left cannot be
// written, and whoever waits is told so.
func TestAttemptsAreClosedAfterTheirEngine(t *testing.T) {
	o := jetstream.DefaultOptions()
	o.Dir = t.TempDir()
	e, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	a, err := On(e).OpenAttempts(t.Context(), func(Attempted) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	refusedFor(t, a)
	ends(t, "Close", a.Close)
	refusedFor(t, a)
	noneLeft(t)
}
