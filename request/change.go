package request

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// Promoted notes which event a request became. The error wraps ErrNotFound when it is kept
// no more: the event is there all the same.
func (s *Store) Promoted(ctx context.Context, id, event string, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	for range keepTries {
		err := s.promoted(ctx, id, event, at)
		if !errors.Is(err, eventlog.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: others change it", eventlog.ErrUnavailable)
}

func (s *Store) promoted(ctx context.Context, id, event string, at time.Time) error {
	e, r, revision, err := s.read(ctx, id)
	if err != nil {
		return err
	}
	r.Event, r.PromoteTime = event, at
	value, err := encode(r)
	if err != nil {
		return err
	}
	k := groupKey{e.Source, e.Cause}
	key := k.key(e.slot)
	if revision, err = s.o.Bucket.Update(ctx, key, value, revision); err != nil {
		return errors.Join(err, s.lookAgain(ctx, key, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group(k)
	if now := g.slots[e.slot]; now == nil || now.revision < revision {
		s.put(g, newEntry(r, e.slot, revision, len(value)))
	}
	return nil
}

// sweep removes what is too old, and what is of no source any more.
func (s *Store) sweep(ctx context.Context) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return
	}
	tick := time.NewTicker(s.o.SweepEvery)
	defer tick.Stop()
	for {
		if err := s.sweepOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("old refused requests cannot be removed, trying again", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Store) sweepOnce(ctx context.Context, now time.Time) error {
	var old []*entry
	s.mu.Lock()
	for _, e := range s.byID {
		old = append(old, e)
	}
	s.mu.Unlock()
	for _, e := range old {
		if now.Sub(e.LastTime) <= s.o.KeepAge && !s.o.Gone(&e.Request) {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, writeTime)
		err := s.remove(ctx, e)
		cancel()
		if err != nil && !errors.Is(err, eventlog.ErrConflict) { // it came again meanwhile
			return err
		}
	}
	return nil
}
