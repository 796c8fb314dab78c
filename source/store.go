// Package source keeps the configured sources: encrypted in a bucket that all
// gateways of a cluster share, and watched into memory, where every request
// that arrives finds its source without asking anybody.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// What a caller can act on.
var (
	// ErrNotFound says that there is no such source.
	ErrNotFound = errors.New("source: not found")
	// ErrExists says that the id is taken.
	ErrExists = errors.New("source: exists already")
	// ErrEtagMismatch says that the source changed since the etag was read.
	ErrEtagMismatch = errors.New("source: changed since it was read")
	// ErrWrongKey says that stored sources were encrypted with another key.
	ErrWrongKey = errors.New("source: encrypted with another key")
	// ErrClosed says that the store no longer follows the bucket.
	ErrClosed = errors.New("source: store is closed")
)

// Store holds all sources in memory, as the bucket has them. All methods may be
// called from many goroutines at once.
//
// A source that Get, List or Subscribe hands out is shared: it must not be
// changed. It holds its credentials; Public makes the form that may be shown.
type Store struct {
	bucket    eventlog.Bucket
	seal      *sealer
	providers *provider.Set
	logger    *slog.Logger

	// delivering is held while one change is applied and told to all
	// subscribers, so that each of them sees every change once and in order.
	delivering  sync.Mutex
	subscribers map[int]func(string, *hookstreamv1.Source)
	nextID      int

	mu      sync.RWMutex
	entries map[string]entry
	seen    uint64        // the highest revision that is in force
	changed chan struct{} // closed and replaced with every change

	stop context.CancelFunc
	done chan struct{}
}

// entry is one source and the revision of the bucket that brought it.
type entry struct {
	source   *hookstreamv1.Source
	revision uint64
}

// Any reports whether there are sources in a bucket, whatever they were encrypted
// with.
func Any(ctx context.Context, b eventlog.Bucket) (found bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := false
	err = b.Watch(ctx, func(c eventlog.Change) { found = found || !ready && c.Value != nil }, func() { ready = true; cancel() })
	if ready {
		err = nil
	}
	return found, err
}

// Open loads all sources from b and goes on following it until Close. It
// returns when all sources are loaded; the error wraps ErrWrongKey when one of
// them does not decrypt with key. The providers look after their credentials.
func Open(ctx context.Context, b eventlog.Bucket, key Key, providers *provider.Set, logger *slog.Logger) (*Store, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	seal, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(context.Background())
	s := &Store{
		bucket:      b,
		seal:        seal,
		providers:   providers,
		logger:      logger,
		subscribers: make(map[int]func(string, *hookstreamv1.Source)),
		entries:     make(map[string]entry),
		changed:     make(chan struct{}),
		stop:        stop,
		done:        make(chan struct{}),
	}
	loaded := make(chan error, 1)
	go s.follow(watching, loaded)
	select {
	case err = <-loaded:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("load sources: %w", err)
	}
	return s, nil
}

// Close stops following the bucket and returns when no subscriber will be
// called any more. What was loaded can still be read. It must not be called by
// a subscriber.
func (s *Store) Close() {
	s.stop()
	<-s.done
}

// Providers are who looks after the sources' credentials.
func (s *Store) Providers() *provider.Set { return s.providers }

// Get answers the source with the id, or ErrNotFound.
func (s *Store) Get(id string) (*hookstreamv1.Source, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[id]
	if !ok {
		return nil, ErrNotFound
	}
	return e.source, nil
}

// List answers all sources in the order of their ids.
func (s *Store) List() []*hookstreamv1.Source {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*hookstreamv1.Source, 0, len(s.entries))
	for _, id := range slices.Sorted(maps.Keys(s.entries)) {
		out = append(out, s.entries[id].source)
	}
	return out
}

// Subscribe calls fn for every source there is, then for every change, with nil
// for a source that was deleted. Calls come one at a time and in order; a change
// made through this store was told to fn when the call that made it returns. fn
// must not block for long, and must not change sources itself.
//
// The answered function ends the subscription.
func (s *Store) Subscribe(fn func(id string, src *hookstreamv1.Source)) (cancel func()) {
	s.delivering.Lock()
	defer s.delivering.Unlock()
	for _, src := range s.List() {
		fn(ID(src), src)
	}
	id := s.nextID
	s.nextID++
	s.subscribers[id] = fn
	return func() {
		s.delivering.Lock()
		defer s.delivering.Unlock()
		delete(s.subscribers, id)
	}
}
