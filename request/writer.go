package request

import (
	"context"
	"errors"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// writeTime bounds one write.
const writeTime = 5 * time.Second

// write is the one that writes on this gateway.
func (s *Store) write(ctx context.Context) {
	select {
	case <-s.ready: // what there is room for is known
	case <-ctx.Done():
		return
	}
	failing := false
	for ctx.Err() == nil {
		r, wait := s.queue.take(time.Now())
		if r == nil {
			s.rest(ctx, wait)
			continue
		}
		err := s.keep(ctx, r)
		if err != nil {
			s.mu.Lock()
			s.lost++
			s.mu.Unlock()
		}
		if failed := err != nil && ctx.Err() == nil; failed != failing {
			failing = failed
			s.o.Logger.Warn("keeping refused requests", "failing", failing, "err", err)
		}
	}
}

// rest returns when there may be something to take; wait is 0 for no time to come.
func (s *Store) rest(ctx context.Context, wait time.Duration) {
	if wait == 0 {
		select {
		case <-s.queue.wake:
		case <-ctx.Done():
		}
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// keepTries is how often a place is looked for that no other gateway takes meanwhile.
const keepTries = 10

// keep writes a request where there is room, or is made.
func (s *Store) keep(ctx context.Context, r *Request) error {
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	k := groupKey{r.Source, r.Cause}
	var err error
	for range keepTries {
		if err = s.try(ctx, k, r); !errors.Is(err, eventlog.ErrConflict) {
			return err
		}
	}
	return err
}

// try writes once. After a conflict it is known what is there.
func (s *Store) try(ctx context.Context, k groupKey, r *Request) error {
	p, value, err := s.makeRoom(ctx, k, r)
	if err != nil {
		return err
	}
	key := k.key(p.slot)
	var revision uint64
	if p.old != nil {
		revision, err = s.o.Bucket.Update(ctx, key, value, p.old.revision)
	} else {
		revision, err = s.o.Bucket.Create(ctx, key, value)
	}
	if err != nil {
		return errors.Join(err, s.lookAgain(ctx, key, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group(k)
	if e := g.slots[p.slot]; e == nil || e.revision < revision {
		s.put(g, newEntry(&p.next, p.slot, revision, len(value)))
	}
	return nil
}

// makeRoom answers where a request goes, and what is to be written there, once there are
// bytes for it.
func (s *Store) makeRoom(ctx context.Context, k groupKey, r *Request) (place, []byte, error) {
	for {
		p := s.place(k, r)
		value, err := encode(&p.next)
		if err != nil {
			return p, nil, err
		}
		gone := s.tooMuch(k, p, int64(len(value)))
		if gone == nil {
			return p, value, nil
		}
		if err := s.remove(ctx, gone); err != nil {
			return p, nil, err
		}
	}
}

// A place is where a request is to be written, and what as.
type place struct {
	slot int
	old  *entry // nil: the slot is free
	next Request
}

// place finds where a request goes: onto its equal, into a free slot, or in the place of
// what must go.
func (s *Store) place(k groupKey, r *Request) place {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group(k)
	p := place{next: *r}
	if old := g.byClass[r.Class]; old != nil {
		p.slot, p.old = old.slot, old
		p.next.ID, p.next.Ordinal = old.ID, old.Ordinal
		p.next.FirstTime, p.next.Count = old.FirstTime, old.Count+r.Count
		p.next.Event, p.next.PromoteTime = old.Event, old.PromoteTime
		return p
	}
	p.next.Ordinal = g.ordinal(r.sender())
	var free bool
	if p.slot, free = g.free(s.o.Slots); !free {
		p.old = g.victim(s.o.Age, r.LastTime)
		p.slot = p.old.slot
	}
	return p
}

// tooMuch answers what must go before so many bytes are written to a place; nil: nothing.
func (s *Store) tooMuch(k groupKey, p place, bytes int64) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.old != nil {
		bytes -= p.old.bytes
	}
	now, g := p.next.LastTime, s.group(k)
	if g.bytes+bytes > s.o.Bytes {
		return g.victim(s.o.Age, now)
	}
	if s.bytes+bytes <= s.o.TotalBytes {
		return nil
	}
	for _, other := range s.groups {
		if other.bytes > g.bytes {
			g = other
		}
	}
	return g.victim(s.o.Age, now)
}

// remove gives up what is kept in a slot.
func (s *Store) remove(ctx context.Context, e *entry) error {
	k := groupKey{e.Source, e.Cause}
	key := k.key(e.slot)
	if err := s.o.Bucket.Delete(ctx, key, e.revision); err != nil {
		return errors.Join(err, s.lookAgain(ctx, key, err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.group(k); g.slots[e.slot] == e {
		s.drop(g, e.slot)
	}
	return nil
}

// lookAgain notes what another gateway has written to a slot.
func (s *Store) lookAgain(ctx context.Context, key string, err error) error {
	if !errors.Is(err, eventlog.ErrConflict) {
		return nil
	}
	c, err := s.o.Bucket.Now(ctx, key)
	if err != nil {
		return err
	}
	if c.Value != nil {
		s.apply(c)
		return nil
	}
	k, slot, _ := parseKey(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(s.group(k), slot)
	return nil
}
