package history

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// Log is what is followed.
type Log interface {
	Bounds(ctx context.Context) (eventlog.Bounds, error)
	Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error)
	Tail(ctx context.Context, seq uint64, fn func([]event.Record) error) error
}

// scanner is a log that answers a long run at less cost than piece by piece.
type scanner interface {
	Scan(ctx context.Context, seq uint64, fn func([]event.Record) error) error
}

const (
	// readEvents and readBytes are how much of the log is read at once.
	readEvents, readBytes = 1000, 4 << 20
	// worthScan is how far behind it must be for a scan.
	worthScan = 10 * readEvents
	// queueBatches and queueBytes bound what has come and is not applied yet. Beyond
	// them it is read from the log again: nobody waits for the history.
	queueBatches, queueBytes = 256, 16 << 20
	// boundsEvery is how often is asked what retention has dropped.
	boundsEvery = time.Minute
	// againAfter is the pause after something failed.
	againAfter = time.Second
)

// errBehind ends a tail that brings more than is applied.
var errBehind = errors.New("history: behind")

// Follow keeps up with a log until ctx ends. What fails is tried again.
func (s *Store) Follow(ctx context.Context, log Log) {
	for failing := false; ctx.Err() == nil; {
		err := s.follow(ctx, log)
		if ctx.Err() != nil || err == nil || errors.Is(err, errBehind) || errors.Is(err, ErrElsewhere) {
			failing = false
			continue
		}
		if !failing {
			s.logger.Warn("the history cannot follow the log, trying again", "err", err)
		}
		failing = true
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
		}
	}
}

// follow reads what is there, then what comes, for a while.
func (s *Store) follow(ctx context.Context, log Log) error {
	b, err := log.Bounds(ctx)
	if err != nil {
		return err
	}
	if err := s.Drop(b.First); err != nil {
		s.logger.Warn("a part of the history that is over cannot be removed", "err", err)
	}
	s.head.Store(b.Last)
	for s.Applied() < b.Last {
		if err := s.catchUp(ctx, log, b); err != nil {
			return err
		}
	}
	return s.tail(ctx, log)
}

// catchUp reads some of what the log held at one moment.
func (s *Store) catchUp(ctx context.Context, log Log, b eventlog.Bounds) error {
	from := s.Applied() + 1
	if scan, ok := log.(scanner); ok && b.Last-from >= worthScan {
		before := from
		var failed error
		err := scan.Scan(ctx, from, func(recs []event.Record) error {
			if len(recs) == 0 {
				return nil
			}
			last := recs[len(recs)-1].Seq
			failed = s.Apply(from, recs, last)
			from = last + 1
			return failed
		})
		if failed != nil {
			return failed
		}
		if ctx.Err() != nil || from > before {
			return context.Cause(ctx)
		}
		if err != nil {
			s.logger.Debug("a scan of the log ended", "err", err) // Read may answer
		}
	}
	recs, err := log.Read(ctx, from, readEvents, readBytes)
	if err != nil {
		return err
	}
	through := b.Last // nothing is there any more
	if len(recs) > 0 {
		through = recs[len(recs)-1].Seq
	}
	return s.Apply(from, recs, through)
}

// tail applies what comes, until it is time to ask for the bounds, or more comes than
// can be applied.
func (s *Store) tail(ctx context.Context, log Log) error {
	ctx, cancel := context.WithTimeoutCause(ctx, boundsEvery, nil)
	defer cancel()
	q := &queue{batches: make(chan []event.Record, queueBatches)}
	ended := make(chan error, 1)
	from := s.Applied() + 1
	go func(from uint64) {
		defer close(ended)
		ended <- log.Tail(ctx, from, q.put)
	}(from)
	for {
		select {
		case recs := <-q.batches:
			q.bytes.Add(-sizeOf(recs))
			last := recs[len(recs)-1].Seq
			s.head.Store(max(s.head.Load(), last))
			if err := s.Apply(from, recs, last); err != nil {
				cancel()
				for range ended {
				}
				return err
			}
			from = last + 1
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// Lag is how many of the newest events are not known yet, as far as is known.
func (s *Store) Lag() uint64 {
	head, applied := s.head.Load(), s.Applied()
	return head - min(head, applied)
}

// queue is between a tail, which must never wait, and who applies.
type queue struct {
	batches chan []event.Record
	bytes   atomic.Int64 // of what is in it
}

// put copies the records, not their data, which nobody changes.
func (q *queue) put(recs []event.Record) error {
	if len(recs) == 0 {
		return nil
	}
	if q.bytes.Add(sizeOf(recs)) > queueBytes {
		return errBehind
	}
	select {
	case q.batches <- slices.Clone(recs):
		return nil
	default:
		return errBehind
	}
}

func sizeOf(recs []event.Record) (n int64) {
	for _, r := range recs {
		n += int64(len(r.Data))
	}
	return n
}
