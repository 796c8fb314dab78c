package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// natsBucket is the Bucket on a JetStream key-value store.
type natsBucket struct {
	e       *Engine
	kv      jetstream.KeyValue
	barrier barrier
	sync    chan struct{} // holds one token: a barrier has one user at a time
}

// Bucket opens the bucket of that name, made when missing. The name is
// upper-case letters.
func (e *Engine) Bucket(ctx context.Context, name string) (Bucket, error) {
	var kv jetstream.KeyValue
	err := e.patiently(ctx, func() (err error) {
		kv, err = e.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:   bucketPrefix + name,
			History:  1,
			Storage:  jetstream.FileStorage,
			Replicas: e.opts.Replicas,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	b, err := e.barrierFor("KV_"+bucketPrefix+name, newFSBarrier)
	if err != nil {
		return nil, err
	}
	return &natsBucket{e: e, kv: kv, barrier: b, sync: make(chan struct{}, 1)}, nil
}

func (b *natsBucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	rev, err := b.kv.Create(ctx, key, value)
	return b.durable(rev, len(value), err)
}

func (b *natsBucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	rev, err := b.kv.Update(ctx, key, value, revision)
	return b.durable(rev, len(value), err)
}

func (b *natsBucket) Delete(ctx context.Context, key string, revision uint64) error {
	err := b.kv.Delete(ctx, key, jetstream.LastRevision(revision))
	_, err = b.durable(0, 0, err)
	return err
}

// durable syncs a change that was made. A failed sync is as final here as
// anywhere.
func (b *natsBucket) durable(rev uint64, wrote int, err error) (uint64, error) {
	if err != nil {
		return 0, bucketError(err)
	}
	b.sync <- struct{}{}
	defer func() { <-b.sync }()
	if err := b.barrier.sync(int64(wrote)); err != nil {
		b.e.fatal(err)
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return rev, nil
}

func bucketError(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrKeyExists):
		return ErrConflict
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		return ErrConflict
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (b *natsBucket) Watch(ctx context.Context, fn func(Change), ready func()) error {
	w, err := b.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case u, ok := <-w.Updates():
			if !ok {
				return fmt.Errorf("%w: the watch ended", ErrUnavailable)
			}
			if u == nil { // all that there was has been sent
				ready()
				continue
			}
			fn(change(u))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func change(u jetstream.KeyValueEntry) Change {
	c := Change{Key: u.Key(), Revision: u.Revision()}
	if u.Operation() == jetstream.KeyValuePut {
		c.Value = u.Value()
	}
	return c
}
