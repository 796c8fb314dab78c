package source

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// rewatchDelay is how long follow waits before it watches again.
const rewatchDelay = time.Second

// follow keeps the entries as the bucket has them until ctx ends. The first
// load's outcome is sent to loaded, and when it failed that is all. A watch that
// breaks later is begun anew: an outage of the bucket leaves the sources as they
// were last seen, which is better than no source at all.
func (s *Store) follow(ctx context.Context, loaded chan<- error) {
	defer close(s.done)
	ready, err := s.watch(ctx, func() { loaded <- nil }, true)
	if !ready {
		loaded <- err
		return
	}
	for ctx.Err() == nil {
		s.logger.WarnContext(ctx, "sources are not followed, trying again", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rewatchDelay):
		}
		_, err = s.watch(ctx, func() {}, false)
	}
}

// watch follows the bucket once, from its present keys on, and answers whether
// all of them were loaded and why it ended. With strict, a value that does not
// decrypt before that ends it.
func (s *Store) watch(ctx context.Context, onReady func(), strict bool) (ready bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	present := make(map[string]bool)
	err = s.bucket.Watch(ctx, func(c eventlog.Change) {
		if !ready {
			present[c.Key] = c.Value != nil
		}
		switch err := s.take(c); {
		case err == nil:
		case strict && !ready:
			cancel(err) // the first cause is the one that is kept
		default:
			s.logger.ErrorContext(ctx, "a stored source cannot be read", "source", c.Key, "error", err)
		}
	}, func() {
		if ctx.Err() == nil {
			ready = true
			s.forgetOthers(present)
			onReady()
		}
	})
	// Our own reason to end says more than the bucket's "cancelled".
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return ready, err
}

// take applies one change and tells the subscribers.
func (s *Store) take(c eventlog.Change) error {
	src, err := s.read(c)
	if err != nil {
		// Whoever waits for this revision need not wait for ever.
		s.deliver(c.Key, nil, c.Revision, false)
		return err
	}
	s.deliver(c.Key, src, c.Revision, true)
	return nil
}

// read decrypts a change; nil for a deletion.
func (s *Store) read(c eventlog.Change) (*hookstreamv1.Source, error) {
	if c.Value == nil {
		return nil, nil
	}
	src, err := s.seal.open(c.Key, c.Value)
	if err != nil {
		return nil, err
	}
	src.Name = Name(c.Key)
	src.Etag = etag(c.Revision)
	if src.GetUid() == "" {
		src.Uid = uidOf(src)
	}
	return src, nil
}

// deliver puts src, or its absence, in force. With apply false it only counts
// the revision as seen.
func (s *Store) deliver(id string, src *hookstreamv1.Source, revision uint64, apply bool) {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	changed := apply && s.put(id, src, revision)
	if changed {
		for _, fn := range s.subscribers {
			fn(id, src)
		}
	}
	// Only now: a change is in force when everyone who subscribed knows it.
	s.announce(revision)
}

// put changes the map and reports whether that changed anything. A watch that
// began anew repeats what is known.
func (s *Store) put(id string, src *hookstreamv1.Source, revision uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.entries[id]
	switch {
	case ok && revision <= old.revision:
		return false
	case src == nil:
		delete(s.entries, id)
		return ok
	}
	s.entries[id] = entry{source: src, revision: revision}
	return true
}

// forgetOthers removes the sources that are no longer in the bucket: they were
// deleted while it was not watched.
func (s *Store) forgetOthers(present map[string]bool) {
	for _, src := range s.List() {
		if id := ID(src); !present[id] {
			// Whatever revision deleted it is higher than the one that is known.
			s.deliver(id, nil, s.revision(id)+1, true)
		}
	}
}

func (s *Store) revision(id string) uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries[id].revision
}

// announce wakes everyone who waits for a revision.
func (s *Store) announce(revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = max(s.seen, revision)
	close(s.changed)
	s.changed = make(chan struct{})
}

// await returns when cond, called with the store locked, holds.
func (s *Store) await(ctx context.Context, cond func() bool) error {
	for {
		s.mu.RLock()
		ok, changed := cond(), s.changed
		s.mu.RUnlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.done:
			return ErrClosed
		}
	}
}
