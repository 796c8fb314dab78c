package store

import (
	"context"
	"fmt"

	"github.com/hookstream/hookstream/eventlog"
)

// Create keeps a new resource. It is in force when the call returns.
func (w *Watched[T]) Create(ctx context.Context, id string, value T) (Item[T], error) {
	data, err := w.encode(id, value)
	if err != nil {
		return Item[T]{}, err
	}
	proven := w.opts.Bucket.Proof()
	revision, err := w.opts.Bucket.Create(ctx, id, data)
	switch {
	case errConflict(err):
		_ = w.Refresh(ctx, id) // who is told that it exists looks for it next
		return Item[T]{}, w.sure(ctx, id, proven, w.err(id, w.opts.Errors.Exists))
	case err != nil:
		return Item[T]{}, fmt.Errorf("create %s: %w", w.opts.Name(id), err)
	}
	return Item[T]{value, revision}, w.inForce(id, eventlog.Change{Key: id, Value: data, Revision: revision})
}

// inForce has everyone on this gateway know of a change that was made here: the watch
// may tell of it only later.
func (w *Watched[T]) inForce(id string, c eventlog.Change) error {
	_ = w.applyItem(c, w.news(c))
	w.announce(0)
	w.delivering.Lock()
	defer w.delivering.Unlock()
	if w.closed {
		return w.err(id, w.opts.Errors.Closed)
	}
	return nil
}

// Update changes the resource with the id to what change makes of it, and answers it
// as kept. It is in force when the call returns. With an etag the error wraps
// Errors.EtagMismatch when the resource has another one; without, change may be called
// again with what somebody else made of it meanwhile. An error of change is answered as
// it is and nothing is kept; so is nothing when change says not to write, and what is
// answered then is what the bucket holds at this moment.
func (w *Watched[T]) Update(ctx context.Context, id, etag string, change func(T) (next T, write bool, err error)) (Item[T], error) {
	for {
		item, err := w.Look(ctx, id, etag)
		if err != nil {
			return item, err
		}
		next, write, err := change(item.Value)
		if err != nil {
			return Item[T]{}, err
		}
		proven := w.opts.Bucket.Proof()
		now, err := w.replace(ctx, id, next, item.Revision, write)
		switch {
		case err == nil && !write:
			return item, w.sure(ctx, id, proven, nil)
		case err == nil:
			return Item[T]{next, now.Revision}, w.inForce(id, now)
		}
		if err := w.again(ctx, id, etag, item.Revision, proven, err); err != nil {
			return Item[T]{}, err
		}
	}
}

// replace writes a value over a revision, or only looks whether that is the present
// one: what is known here may be old.
func (w *Watched[T]) replace(ctx context.Context, id string, value T, revision uint64, write bool) (now eventlog.Change, err error) {
	if !write {
		now, err := w.opts.Bucket.Now(ctx, id)
		if err == nil && now.Revision != revision {
			err = eventlog.ErrConflict
		}
		return now, err
	}
	now.Key = id
	if now.Value, err = w.encode(id, value); err != nil {
		return now, err
	}
	now.Revision, err = w.opts.Bucket.Update(ctx, id, now.Value, revision)
	return now, err
}

// Delete removes the resource with the id, and answers it as it was. It is gone when
// the call returns. With an etag the error wraps Errors.EtagMismatch when the resource
// has another one.
func (w *Watched[T]) Delete(ctx context.Context, id, etag string) (Item[T], error) {
	for {
		item, err := w.Look(ctx, id, etag)
		if err != nil {
			return item, err
		}
		proven := w.opts.Bucket.Proof()
		if err = w.opts.Bucket.Delete(ctx, id, item.Revision); err == nil {
			// Whatever the revision of the deletion, it is higher, and nothing else of
			// this id lies between them.
			return item, w.inForce(id, eventlog.Change{Key: id, Revision: item.Revision + 1})
		}
		if err := w.again(ctx, id, etag, item.Revision, proven, err); err != nil {
			return Item[T]{}, err
		}
	}
}

// moved reports whether another revision of an id is known than the given one.
func (w *Watched[T]) moved(id string, revision uint64) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	item := w.items[id]
	return item == nil || item.Revision != revision || w.unread[id] > revision
}

// again answers nil when a change may be tried again: somebody was faster, and what
// they made of the resource is known here now.
func (w *Watched[T]) again(ctx context.Context, id, etag string, revision uint64, proven func(context.Context) error, err error) error {
	switch {
	case !errConflict(err):
		return w.err(id, err)
	case etag != "":
		return w.sure(ctx, id, proven, w.err(id, w.opts.Errors.EtagMismatch))
	}
	if err := w.Refresh(ctx, id); err != nil {
		return err
	}
	return w.Await(ctx, func() bool { return w.moved(id, revision) })
}

// encode makes the stored form of a value.
func (w *Watched[T]) encode(id string, value T) ([]byte, error) {
	data, err := w.opts.Encode(id, value)
	if err == nil && w.opts.Seal != nil {
		data = w.opts.Seal.Seal(id, data)
	}
	return data, err
}

// decode reads a stored form.
func (w *Watched[T]) decode(c eventlog.Change) (value T, err error) {
	data := c.Value
	if w.opts.Seal != nil {
		if data, err = w.opts.Seal.Open(c.Key, data); err != nil {
			return value, err
		}
	}
	return w.opts.Decode(c.Key, data, c.Revision)
}
