package store

import (
	"context"
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

// CatchUp puts in force all that the bucket held at some time after the call. However
// many call it, the bucket is asked at most once every 100 ms. Unless news answers true
// then, it waits for proof that the answer is not of a leader that is cut off.
func (w *Watched[T]) CatchUp(ctx context.Context, news func() bool) error {
	proven, err := w.rounds.Get(ctx, struct{}{})
	if err != nil || news() {
		return err
	}
	return proven(ctx)
}

// round asks for all who have come by then.
func (w *Watched[T]) round(_ struct{}, sent func()) (proven func(context.Context) error, err error) {
	select {
	case <-time.After(max(gatherTime, time.Until(w.lastRound.Add(roundTime)))):
	case <-w.done:
		return nil, w.opts.Errors.Closed
	}
	sent()
	w.lastRound = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), roundLimit)
	defer cancel()
	proven = w.opts.Bucket.Proof()
	return proven, w.opts.Bucket.Latest(ctx, w.Seen(), func(c eventlog.Change) { _ = w.apply(c, w.news(c)) })
}
