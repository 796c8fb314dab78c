package store

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// rewatchDelay is how long follow waits before it watches again.
const rewatchDelay = time.Second

// follow keeps the items as the bucket has them until ctx ends. The first load's
// outcome is sent to loaded, and when it failed that is all. A watch that breaks
// later is begun anew: an outage of the bucket leaves the resources as they were last
// seen, which is better than none at all.
func (w *Watched[T]) follow(ctx context.Context, loaded chan<- error) {
	defer close(w.done)
	ready, err := w.watch(ctx, func() { loaded <- nil }, w.opts.Strict)
	if !ready {
		loaded <- err
		return
	}
	for ctx.Err() == nil {
		w.opts.Logger.WarnContext(ctx, "a bucket is not followed, trying again", "of", w.opts.Kind, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rewatchDelay):
		}
		_, err = w.watch(ctx, func() {}, false)
	}
}

// watch follows the bucket once, from its present keys on, and answers whether all of
// them were loaded and why it ended. With strict, a value that does not decode before
// that ends it.
func (w *Watched[T]) watch(ctx context.Context, onReady func(), strict bool) (ready bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	present := make(map[string]bool)
	err = w.opts.Bucket.Watch(ctx, func(c eventlog.Change) {
		if !ready {
			present[c.Key] = c.Value != nil
		}
		if err := w.apply(c, nil); err != nil && strict && !ready {
			cancel(err) // the first cause is the one that is kept
		}
		w.heard(c.Revision)
	}, func() {
		if ctx.Err() == nil {
			ready = true
			w.forgetOthers(present)
			onReady()
		}
	})
	// Our own reason to end says more than the bucket's "cancelled".
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return ready, err
}

// apply puts one change of the bucket in force, an item only if the condition holds, when
// there is one. The error is that of Decode: whoever waits for the revision goes on all the
// same.
func (w *Watched[T]) apply(c eventlog.Change, when func() bool) error {
	if w.opts.IsID != nil && !w.opts.IsID(c.Key) {
		w.opts.Other(c)
		w.announce(c.Revision)
		return nil
	}
	// Only after all was told: a change is in force when everyone knows it.
	defer w.announce(c.Revision)
	return w.applyItem(c, when)
}

// applyItem puts a change of an id in force, whoever told of it, unless it is no news, or
// the condition, when there is one, does not hold. The error is that of Decode.
func (w *Watched[T]) applyItem(c eventlog.Change, when func() bool) error {
	var next *Item[T]
	if c.Value != nil {
		value, err := w.decode(c)
		if err != nil {
			w.leaveUnread(c, err)
			return err
		}
		next = &Item[T]{Value: value, Revision: c.Revision}
	}
	w.delivering.Lock()
	defer w.delivering.Unlock()
	if when == nil || when() {
		w.tell(c.Key, next, c.Revision)
		w.bury(c)
	}
	return nil
}

// news is the condition for what somebody else tells of than the watch. Of what is seen
// that has told, and perhaps of what followed: what was deleted since would never be
// taken away again. The revision of a deletion may not be known.
func (w *Watched[T]) news(c eventlog.Change) func() bool {
	return func() bool { return c.Value == nil || w.Seen() < c.Revision }
}

// bury notes a deletion until the watch tells of it, or of what followed.
func (w *Watched[T]) bury(c eventlog.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Value == nil && w.items[c.Key] == nil {
		w.gone[c.Key] = max(w.gone[c.Key], c.Revision)
	}
}

// heard forgets the deletions that the watch has told of.
func (w *Watched[T]) heard(revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, deleted := range w.gone {
		if deleted <= revision {
			delete(w.gone, id)
		}
	}
}

// Refresh puts in force what the bucket holds of an id at this moment: the watch may
// tell of it only later. The error wraps Errors.Unreadable when that cannot be read.
func (w *Watched[T]) Refresh(ctx context.Context, id string) error {
	known := w.revision(id) // before: what is told of meanwhile may be newer than the answer
	c, err := w.opts.Bucket.Now(ctx, id)
	if err != nil {
		return w.err(id, err)
	}
	defer w.announce(0) // others that were changed before may not be in force yet
	c.Key = id
	switch {
	case c.Value == nil && c.Revision == 0 && known == 0:
		return nil // there never was one
	case c.Value == nil:
		c.Revision = max(c.Revision, known+1)
	}
	if w.applyItem(c, w.news(c)) != nil {
		return w.Readable(id)
	}
	return nil
}

// revision answers the latest that is known of an id.
func (w *Watched[T]) revision(id string) uint64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	known := w.unread[id]
	if item := w.items[id]; item != nil {
		known = max(known, item.Revision)
	}
	return known
}

// leaveUnread notes a form that cannot be read. It changes nothing else: it is no
// deletion.
func (w *Watched[T]) leaveUnread(c eventlog.Change, err error) {
	w.mu.Lock()
	known := w.known(c.Key, c.Revision)
	if !known {
		w.unread[c.Key] = c.Revision
	}
	_, readable := w.items[c.Key]
	w.mu.Unlock()
	if !known {
		w.opts.Logger.Error("a stored "+w.opts.Kind+" cannot be read; what was read last stays in force, and nobody can change it here",
			w.opts.Kind, c.Key, "readable", readable, "err", err)
	}
}

// known reports whether a revision of an id is no news: a watch that began anew
// repeats what is known. The caller holds mu.
func (w *Watched[T]) known(id string, revision uint64) bool {
	item := w.items[id]
	return item != nil && revision <= item.Revision || revision <= w.unread[id] || revision <= w.gone[id]
}

// deliver puts next, or its absence, in force, and tells everybody.
func (w *Watched[T]) deliver(id string, next *Item[T], revision uint64) {
	w.delivering.Lock()
	defer w.delivering.Unlock()
	w.tell(id, next, revision)
}

// tell is deliver. The caller holds delivering.
func (w *Watched[T]) tell(id string, next *Item[T], revision uint64) {
	if w.closed {
		return
	}
	if old, changed := w.put(id, next, revision); changed {
		if w.opts.Changed != nil {
			w.opts.Changed(id, old, next)
		}
		for _, fn := range w.subscribers {
			fn(id, next)
		}
	}
}

// put changes the map, and answers what was there and whether that changed anything.
func (w *Watched[T]) put(id string, next *Item[T], revision uint64) (old *Item[T], changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known(id, revision) {
		return nil, false
	}
	delete(w.unread, id)
	old = w.items[id]
	if next == nil {
		delete(w.items, id)
	} else {
		w.items[id] = next
		delete(w.gone, id)
	}
	changed = old != nil || next != nil
	if changed && w.opts.Index != nil {
		w.opts.Index(id, old, next)
	}
	return old, changed
}

// forgetOthers forgets what is no longer in the bucket: it was deleted while nobody
// watched.
func (w *Watched[T]) forgetOthers(present map[string]bool) {
	for id, revision := range w.absent(present) {
		// Whatever revision deleted it is higher than the one that is known.
		w.deliver(id, nil, revision+1)
		w.announce(revision)
	}
}

// absent answers the latest revisions of what is known and not present.
func (w *Watched[T]) absent(present map[string]bool) map[string]uint64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	out := make(map[string]uint64)
	for id, item := range w.items {
		if !present[id] {
			out[id] = max(item.Revision, w.unread[id])
		}
	}
	for id, revision := range w.unread {
		if !present[id] {
			out[id] = max(out[id], revision)
		}
	}
	return out
}

// announce wakes everyone who waits for a revision.
func (w *Watched[T]) announce(revision uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = max(w.seen, revision)
	close(w.changed)
	w.changed = make(chan struct{})
}

// Forget has this gateway know nothing of a resource that there is, until the bucket
// tells of it again. It is for tests of what must not go by what is known here.
func (w *Watched[T]) Forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.items[id]
	delete(w.items, id)
	if old != nil {
		w.seen = min(w.seen, old.Revision-1)
	}
	if w.opts.Index != nil {
		w.opts.Index(id, old, nil)
	}
}
