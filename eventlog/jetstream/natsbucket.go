package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsBucket is the Bucket on a JetStream key-value store.
type natsBucket struct {
	e       *Engine
	name    string // of its stream
	kv      jetstream.KeyValue
	barrier barrier
	sync    chan struct{} // holds one token: a barrier has one user at a time
	closed  bool          // with the token
}

// Bucket opens the bucket of that name, made when missing. The name is
// upper-case letters.
func (e *Engine) Bucket(ctx context.Context, name string) (eventlog.Bucket, error) {
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
	name = "KV_" + bucketPrefix + name
	b, err := e.barrierFor(name, newFSBarrier)
	if err != nil {
		return nil, err
	}
	nb := &natsBucket{e: e, name: name, kv: kv, barrier: b, sync: make(chan struct{}, 1)}
	e.connMu.Lock()
	defer e.connMu.Unlock()
	e.buckets = append(e.buckets, nb)
	return nb, nil
}

// close gives back what the barrier holds, once nobody uses it.
func (b *natsBucket) close() {
	b.sync <- struct{}{}
	defer func() { <-b.sync }()
	b.closed = true
	b.barrier.close()
}

func (b *natsBucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	rev, err := b.kv.Create(ctx, key, value)
	if errors.Is(err, jetstream.ErrKeyExists) {
		rev, err = b.createDeleted(ctx, key, value, err)
	}
	return b.durable(rev, len(value), err)
}

// createDeleted creates a key that the leader knows as deleted: nats.go asks any
// replica, and one may not have heard of a deletion that was confirmed.
func (b *natsBucket) createDeleted(ctx context.Context, key string, value []byte, exists error) (uint64, error) {
	switch c, err := b.Now(ctx, key); {
	case err != nil:
		return 0, err
	case c.Value != nil:
		return 0, exists
	default:
		return b.kv.Update(ctx, key, value, c.Revision)
	}
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
		b.e.storeFailed("bucket", err)
		return 0, bucketError(err)
	}
	b.sync <- struct{}{}
	defer func() { <-b.sync }()
	if b.closed {
		return 0, fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
	}
	if err := b.barrier.sync(int64(wrote)); err != nil {
		b.e.fatal(err)
		return 0, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	return rev, nil
}

func bucketError(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrKeyExists):
		return eventlog.ErrConflict
	// The second, of a change that another overtook on its way to the replicas.
	case errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return eventlog.ErrConflict
	}
	return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
}

func (b *natsBucket) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	w, err := b.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case u, ok := <-w.Updates():
			if !ok {
				return fmt.Errorf("%w: the watch ended", eventlog.ErrUnavailable)
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

// leaderGet asks for the first message from a sequence on, or the last of a
// subject. Only the leader of a stream answers it: reads of nats.go and watches go
// to any replica.
type leaderGet struct {
	Seq     uint64 `json:"seq,omitempty"`
	NextFor string `json:"next_by_subj,omitempty"`
	LastFor string `json:"last_by_subj,omitempty"`
}

type leaderAnswer struct {
	Message *struct {
		Subject string `json:"subject"`
		Seq     uint64 `json:"seq"`
		Header  []byte `json:"hdrs"`
		Data    []byte `json:"data"`
	} `json:"message"`
	Error *jetstream.APIError `json:"error"`
}

func (b *natsBucket) Latest(ctx context.Context, fn func(eventlog.Change)) error {
	for seq := uint64(1); ; {
		c, ok, err := b.get(ctx, leaderGet{Seq: seq, NextFor: ">"})
		if err != nil {
			return fmt.Errorf("%w: read bucket: %w", eventlog.ErrUnavailable, err)
		}
		if !ok {
			return nil
		}
		fn(c)
		seq = c.Revision + 1
	}
}

func (b *natsBucket) Now(ctx context.Context, key string) (eventlog.Change, error) {
	c, ok, err := b.get(ctx, leaderGet{LastFor: b.prefix() + key})
	switch {
	case err != nil:
		return eventlog.Change{}, fmt.Errorf("%w: read bucket: %w", eventlog.ErrUnavailable, err)
	case !ok:
		return eventlog.Change{Key: key}, nil
	}
	return c, nil
}

// prefix of the subjects of the keys.
func (b *natsBucket) prefix() string { return "$KV." + strings.TrimPrefix(b.name, "KV_") + "." }

func (b *natsBucket) get(ctx context.Context, what leaderGet) (c eventlog.Change, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	query, err := json.Marshal(what)
	if err != nil {
		return c, false, err
	}
	m, err := b.e.js.Conn().RequestWithContext(ctx, b.e.API("STREAM.MSG.GET."+b.name), query)
	if err != nil {
		return c, false, err
	}
	var a leaderAnswer
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return c, false, err
	}
	switch {
	case a.Error != nil && a.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return c, false, nil
	case a.Error != nil:
		return c, false, a.Error
	case a.Message == nil:
		return c, false, errors.New("an answer without a message")
	}
	c = eventlog.Change{Key: strings.TrimPrefix(a.Message.Subject, b.prefix()), Revision: a.Message.Seq}
	h, err := nats.DecodeHeadersMsg(a.Message.Header)
	if len(a.Message.Header) > 0 && err != nil {
		return c, false, err
	}
	if h.Get("KV-Operation") == "" { // a deletion says so, or that everything was purged
		c.Value = a.Message.Data
		if c.Value == nil {
			c.Value = []byte{}
		}
	}
	return c, true, nil
}

func change(u jetstream.KeyValueEntry) eventlog.Change {
	c := eventlog.Change{Key: u.Key(), Revision: u.Revision()}
	if u.Operation() == jetstream.KeyValuePut {
		c.Value = u.Value()
	}
	return c
}
