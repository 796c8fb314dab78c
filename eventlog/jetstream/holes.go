package jetstream

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/hookstream/hookstream/eventlog"

	"github.com/nats-io/nats.go/jetstream"
)

// holes are what JetStream has no messages for behind its first, as of the last time
// that it was asked.
type holes struct {
	// mu guards runs, and is held while JetStream is asked for them.
	mu   sync.Mutex
	runs []eventlog.Missing
}

// Holes answers the runs of numbers from the first of the log on, see Bounds, that it
// has no events for, in order and none beside another: what it has lost, and what
// somebody removed.
func (e *Engine) Holes(ctx context.Context) ([]eventlog.Missing, error) {
	runs, first, err := e.events.removed(ctx)
	if err != nil {
		return nil, err
	}
	return joinRuns(since(append(slices.Clone(runs), e.MissingRuns()...), e.files.missing.begins(first))), nil
}

// removed answers what JetStream knows to be gone. Which they are is much to be
// told, and is asked only when they are not as many as before.
func (s *stream) removed(ctx context.Context) (runs []eventlog.Missing, first uint64, err error) {
	s.holes.mu.Lock()
	defer s.holes.mu.Unlock()
	info, err := s.js.Info(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	runs = since(s.holes.runs, info.State.FirstSeq)
	if events(runs) != uint64(max(info.State.NumDeleted, 0)) {
		if info, err = s.js.Info(ctx, jetstream.WithDeletedDetails(true)); err != nil {
			return nil, 0, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
		}
		runs = runsOf(info.State.Deleted)
	}
	s.holes.runs = runs
	return runs, info.State.FirstSeq, nil
}

// since answers the runs, and parts of them, from a sequence on.
func since(runs []eventlog.Missing, first uint64) (out []eventlog.Missing) {
	for _, r := range runs {
		if r.From = max(r.From, first); r.From <= r.To {
			out = append(out, r)
		}
	}
	return out
}

func events(runs []eventlog.Missing) (n uint64) {
	for _, r := range runs {
		n += r.Events()
	}
	return n
}

// runsOf answers the runs that sequences are, which are in order.
func runsOf(seqs []uint64) (runs []eventlog.Missing) {
	for _, seq := range seqs {
		if n := len(runs); n > 0 && runs[n-1].To+1 == seq {
			runs[n-1].To = seq
			continue
		}
		runs = append(runs, eventlog.Missing{From: seq, To: seq})
	}
	return runs
}

// joinRuns puts runs in order, and makes one of those that overlap or lie side by
// side.
func joinRuns(runs []eventlog.Missing) (out []eventlog.Missing) {
	slices.SortFunc(runs, func(a, b eventlog.Missing) int { return cmp.Compare(a.From, b.From) })
	for _, r := range runs {
		if n := len(out); n > 0 && r.From <= out[n-1].To+1 {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, eventlog.Missing{From: r.From, To: r.To})
	}
	return out
}
