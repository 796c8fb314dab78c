// Package store keeps resources of one kind, such as sources or subscriptions: in a
// bucket that all gateways share, and watched into memory, where whoever needs one
// finds it without asking anybody.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/internal/question"
)

// Errors are what callers of one kind of resource can act on.
type Errors struct {
	// NotFound: there is no such resource. Exists: the id is taken. EtagMismatch:
	// it changed since the etag was read.
	NotFound, Exists, EtagMismatch error
	// Unreadable: it is kept in a form that cannot be read here.
	Unreadable error
	// Closed: the store no longer follows the bucket.
	Closed error
}

// Options say what a store keeps, and how.
type Options[T any] struct {
	// Bucket is where the resources lie, by id.
	Bucket eventlog.Bucket
	// Kind names one in errors and the log, as in "source".
	Kind string
	// Errors that the methods answer, each wrapped with the name of the resource.
	Errors Errors
	// Name makes the name of a resource of its id.
	Name func(id string) string

	// Encode makes the stored form of a resource, Decode a resource of a stored form
	// and the revision that brought it.
	Encode func(id string, value T) ([]byte, error)
	Decode func(id string, value []byte, revision uint64) (T, error)
	// Seal encrypts stored forms; nil: they are kept as they are.
	Seal *Sealer
	// Strict has Open fail with the error of what does not decode. What comes later
	// and does not is logged, and what was read last stays in force.
	Strict bool

	// IsID tells ids from the other keys of the bucket, whose changes Other is told
	// of; nil: every key is an id.
	IsID  func(key string) bool
	Other func(eventlog.Change)

	// Index is called, when not nil, under the lock of the store with every change:
	// what it notes is in force together with it. It must not call the store.
	Index func(id string, old, next *Item[T])
	// Changed is called, when not nil, with every change, one at a time and in order,
	// before the change counts as in force.
	Changed func(id string, old, next *Item[T])

	Logger *slog.Logger
}

// Item is a resource with the revision of the bucket that brought it. It is shared,
// and its Value must not be changed.
type Item[T any] struct {
	Value    T
	Revision uint64
}

// Etag answers the item's etag.
func (i Item[T]) Etag() string { return Etag(i.Revision) }

// Etag answers the etag of a revision. The bucket's revisions are never used twice, so
// that a resource that was deleted and made again does not match either.
func Etag(revision uint64) string { return strconv.FormatUint(revision, 36) }

// Watched holds all resources of one kind in memory, as the bucket has them. All
// methods may be called from many goroutines at once.
type Watched[T any] struct {
	opts Options[T]

	// delivering is held while one change is applied and told to all subscribers, so
	// that each of them sees every change once and in order. It is taken before mu.
	delivering  sync.Mutex
	closed      bool
	subscribers map[int]func(id string, next *Item[T])
	nextID      int

	// mu guards what follows. Options.Index is called under it.
	mu    sync.RWMutex
	items map[string]*Item[T]
	// unread are the revisions, by id, of forms that cannot be read here. What was
	// read last stays in force.
	unread map[string]uint64
	// gone are the revisions, by id, of deletions that are known and that the watch has
	// not told of yet: what it tells of before is over.
	gone    map[string]uint64
	seen    uint64        // the highest revision up to which all is in force
	changed chan struct{} // closed and replaced with every change

	rounds    question.Shared[struct{}, func(context.Context) error] // of CatchUp
	lastRound time.Time                                              // when one began, its alone

	stop context.CancelFunc
	done chan struct{}
}

// Open loads all resources of the bucket and goes on following it until Close. It
// returns when all are loaded.
func Open[T any](ctx context.Context, o Options[T]) (*Watched[T], error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	watching, stop := context.WithCancel(context.Background()) //nolint:gosec // Close calls it
	w := &Watched[T]{
		opts:        o,
		subscribers: make(map[int]func(string, *Item[T])),
		items:       make(map[string]*Item[T]),
		unread:      make(map[string]uint64),
		gone:        make(map[string]uint64),
		changed:     make(chan struct{}),
		stop:        stop,
		done:        make(chan struct{}),
	}
	w.rounds.Ask = w.round
	loaded := make(chan error, 1)
	go w.follow(watching, loaded)
	var err error
	select {
	case err = <-loaded:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("load %ss: %w", o.Kind, err)
	}
	return w, nil
}

// Close stops following the bucket and returns when nobody will be told of anything
// any more. What was loaded can still be read. A subscriber must not call it.
func (w *Watched[T]) Close() {
	w.stop()
	<-w.done
	w.delivering.Lock()
	defer w.delivering.Unlock()
	w.closed = true
}

// Get answers the resource with the id, as it is known here.
func (w *Watched[T]) Get(id string) (Item[T], bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	item, ok := w.items[id]
	if !ok {
		return Item[T]{}, false
	}
	return *item, true
}

// List answers all resources in the order of their ids.
func (w *Watched[T]) List() []Item[T] {
	w.mu.RLock()
	defer w.mu.RUnlock()
	out := make([]Item[T], 0, len(w.items))
	for _, id := range slices.Sorted(maps.Keys(w.items)) {
		out = append(out, *w.items[id])
	}
	return out
}

// Readable answers an error for an id whose stored form cannot be read here.
func (w *Watched[T]) Readable(id string) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.readable(id)
}

// readable is Readable. The caller holds mu.
func (w *Watched[T]) readable(id string) error {
	if w.unread[id] > 0 {
		return w.err(id, w.opts.Errors.Unreadable)
	}
	return nil
}

// AllReadable reports whether everything in the bucket can be read here.
func (w *Watched[T]) AllReadable() bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return len(w.unread) == 0
}

// At answers the resource, when it has the etag; an empty one stands for any.
func (w *Watched[T]) At(id, etag string) (Item[T], error) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if err := w.readable(id); err != nil {
		return Item[T]{}, err
	}
	item, ok := w.items[id]
	switch {
	case !ok:
		return Item[T]{}, w.err(id, w.opts.Errors.NotFound)
	case etag != "" && etag != item.Etag():
		return Item[T]{}, w.err(id, w.opts.Errors.EtagMismatch)
	}
	return *item, nil
}

// Look is At that asks the bucket before it refuses: what is known here may be old, and
// the caller may come from where it was changed a moment ago.
func (w *Watched[T]) Look(ctx context.Context, id, etag string) (Item[T], error) {
	item, err := w.At(id, etag)
	if !w.refused(err) {
		return item, err
	}
	proven := w.opts.Bucket.Proof()
	if err := w.Refresh(ctx, id); err != nil {
		return Item[T]{}, err
	}
	if item, err = w.At(id, etag); w.refused(err) {
		err = w.sure(ctx, id, proven, err)
	}
	return item, err
}

// refused reports whether an error refuses for what the bucket holds.
func (w *Watched[T]) refused(err error) bool {
	return errors.Is(err, w.opts.Errors.NotFound) || errors.Is(err, w.opts.Errors.EtagMismatch)
}

// sure answers the refusal once it is proven that it is not the word of a leader that is
// cut off, and else that nothing is known.
func (w *Watched[T]) sure(ctx context.Context, id string, proven func(context.Context) error, refusal error) error {
	if err := proven(ctx); err != nil {
		return w.err(id, err)
	}
	return refusal
}

// err is an error about one resource.
func (w *Watched[T]) err(id string, err error) error {
	return fmt.Errorf("%s: %w", w.opts.Name(id), err)
}

// Subscribe calls fn for every resource there is, then for every change, with nil for
// one that was deleted. Calls come one at a time and in order; a change made through
// this store was told to fn when the call that made it returns. fn must not block for
// long, and must not change resources itself.
//
// The answered function ends the subscription.
func (w *Watched[T]) Subscribe(fn func(id string, next *Item[T])) (cancel func()) {
	w.delivering.Lock()
	defer w.delivering.Unlock()
	w.mu.RLock()
	items := maps.Clone(w.items)
	w.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(items)) {
		fn(id, items[id])
	}
	number := w.nextID
	w.nextID++
	w.subscribers[number] = fn
	return func() {
		w.delivering.Lock()
		defer w.delivering.Unlock()
		delete(w.subscribers, number)
	}
}

// Seen answers the highest revision that is in force here.
func (w *Watched[T]) Seen() uint64 {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.seen
}

// Await returns when ok answers true, which it is asked with every change, or with
// Errors.Closed or the context's cause.
func (w *Watched[T]) Await(ctx context.Context, ok func() bool) error {
	for {
		w.mu.RLock()
		changed := w.changed
		w.mu.RUnlock()
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-w.done:
			return w.opts.Errors.Closed
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// errConflict is the engine's: somebody else was faster.
func errConflict(err error) bool { return errors.Is(err, eventlog.ErrConflict) }
