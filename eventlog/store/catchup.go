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
// many call it, the bucket is asked at most once every 100 ms.
func (w *Watched[T]) CatchUp(ctx context.Context) error {
	_, err := w.rounds.Get(ctx, struct{}{})
	return err
}

// round asks for all who have come by then.
func (w *Watched[T]) round(_ struct{}, sent func()) (none struct{}, err error) {
	select {
	case <-time.After(max(gatherTime, time.Until(w.lastRound.Add(roundTime)))):
	case <-w.done:
		return none, w.opts.Errors.Closed
	}
	sent()
	w.lastRound = time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), roundLimit)
	defer cancel()
	return none, w.opts.Bucket.Latest(ctx, w.Seen(), func(c eventlog.Change) { _ = w.apply(c) })
}
