package store

import (
	"context"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// What is known here may be old, and strangers may ask for what there never was. So
// many that ask share one question, which names none of them: what has changed since?

const (
	// gatherTime is how long a round waits for others that want one.
	gatherTime = 20 * time.Millisecond
	// roundTime is the least time from the beginning of a round to that of the next.
	roundTime = 100 * time.Millisecond
	// roundLimit is how long one may take.
	roundLimit = 2 * time.Second
)

// rounds are questions to the bucket, one at a time.
type rounds struct {
	turn sync.Mutex // held by the round that asks, or waits to ask
	last time.Time  // when one began, guarded by turn

	mu   sync.Mutex
	next *round // nil: nobody waits for one
}

// round is one question. What follows done may be read when that is closed.
type round struct {
	done chan struct{}
	err  error
}

// CatchUp puts in force all that the bucket held at some time after the call. However
// many call it, the bucket is asked at most once every 100 ms.
func (w *Watched[T]) CatchUp(ctx context.Context) error {
	r := w.joinRound()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *Watched[T]) joinRound() *round {
	w.rounds.mu.Lock()
	defer w.rounds.mu.Unlock()
	if w.rounds.next == nil {
		w.rounds.next = &round{done: make(chan struct{})}
		go w.ask(w.rounds.next)
	}
	return w.rounds.next
}

// ask asks for all that have joined a round.
func (w *Watched[T]) ask(r *round) {
	defer close(r.done)
	w.rounds.turn.Lock()
	defer w.rounds.turn.Unlock()
	select {
	case <-time.After(max(gatherTime, time.Until(w.rounds.last.Add(roundTime)))):
	case <-w.done:
		r.err = w.opts.Errors.Closed
	}
	w.rounds.mu.Lock()
	w.rounds.next = nil // what changes from now on, the answer may not know
	w.rounds.mu.Unlock()
	if r.err != nil {
		return
	}
	w.rounds.last = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), roundLimit)
	defer cancel()
	r.err = w.opts.Bucket.Latest(ctx, w.Seen(), func(c eventlog.Change) { _ = w.apply(c) })
}
