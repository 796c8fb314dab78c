// Package source keeps the configured sources: encrypted in a bucket that all
// gateways of a cluster share, and watched into memory, where every request
// that arrives finds its source without asking anybody.
package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/store"
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
	ErrWrongKey = store.ErrWrongKey
	// ErrUnreadable says that a source is kept in a form that this gateway does not
	// know. It wraps eventlog.ErrUnavailable.
	ErrUnreadable = fmt.Errorf("%w: source: kept in a form that this gateway cannot read", eventlog.ErrUnavailable)
	// ErrClosed says that the store no longer follows the bucket.
	ErrClosed = errors.New("source: store is closed")
)

// Store holds all sources in memory, as the bucket has them. All methods may be
// called from many goroutines at once.
//
// A source that Get, List or Subscribe hands out is shared: it must not be
// changed. It holds its credentials; Public makes the form that may be shown.
type Store struct {
	sources   *store.Watched[*hookstreamv1.Source]
	providers *provider.Set
}

// kind is what errors and the log call one.
const kind = "source"

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
	seal, err := store.NewSealer(kind, key.bytes)
	if err != nil {
		return nil, err
	}
	sources, err := store.Open(ctx, store.Options[*hookstreamv1.Source]{
		Bucket: b, Logger: logger, Kind: kind, Name: Name,
		Errors: store.Errors{
			NotFound: ErrNotFound, Exists: ErrExists, EtagMismatch: ErrEtagMismatch, Unreadable: ErrUnreadable, Closed: ErrClosed,
		},
		Encode: encode, Decode: decode, Seal: seal,
		Strict: true,
	})
	if err != nil {
		return nil, err
	}
	return &Store{sources, providers}, nil
}

// Close stops following the bucket and returns when no subscriber will be
// called any more. What was loaded can still be read. It must not be called by
// a subscriber.
func (s *Store) Close() { s.sources.Close() }

// Providers are who looks after the sources' credentials.
func (s *Store) Providers() *provider.Set { return s.providers }

// Get answers the source with the id, or ErrNotFound.
func (s *Store) Get(id string) (*hookstreamv1.Source, error) {
	item, ok := s.sources.Get(id)
	if !ok {
		return nil, ErrNotFound
	}
	return item.Value, nil
}

// Find is Get that asks the bucket before it says that there is none: another gateway
// may have made it a moment ago.
func (s *Store) Find(ctx context.Context, id string) (*hookstreamv1.Source, error) {
	if src, err := s.Get(id); err == nil {
		return src, nil
	}
	if err := s.CatchUp(ctx, func() bool { _, err := s.Get(id); return err == nil }); err != nil {
		return nil, err
	}
	return s.Get(id)
}

// CatchUp puts in force all that was changed on other gateways before the call. However
// many call it, the bucket is asked at most once every 100 ms. Unless news answers true
// then, it waits for proof that the answer is not of a leader that is cut off. The error
// wraps eventlog.ErrUnavailable, ErrClosed, or what ended the context.
func (s *Store) CatchUp(ctx context.Context, news func() bool) error {
	return s.sources.CatchUp(ctx, news)
}

// List answers all sources in the order of their ids.
func (s *Store) List() []*hookstreamv1.Source {
	items := s.sources.List()
	out := make([]*hookstreamv1.Source, len(items))
	for i, item := range items {
		out[i] = item.Value
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
	return s.sources.Subscribe(func(id string, next *store.Item[*hookstreamv1.Source]) {
		if next == nil {
			fn(id, nil)
			return
		}
		fn(id, next.Value)
	})
}
