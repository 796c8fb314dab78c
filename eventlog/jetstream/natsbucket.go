package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/internal/question"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsBucket is the Bucket on a JetStream key-value store.
type natsBucket struct {
	e       *Engine
	name    string // of its stream
	kv      jetstream.KeyValue
	barrier barrier
	loose   bool
	quorum  question.Shared[struct{}, time.Time] // when the bucket had one
	sync    chan struct{}                        // holds one token: a barrier has one user at a time
	closed  bool                                 // with the token
}

// Bucket opens the bucket of that name, made when missing. The name is
// upper-case letters.
func (e *Engine) Bucket(ctx context.Context, name string) (eventlog.Bucket, error) {
	return e.bucket(ctx, name, false)
}

// LooseBucket opens a bucket of what can be done without. A change waits for no disk, so
// that one of the last seconds may be gone after a power cut; it is refused with ErrFull
// while the disk has less than twice the room that the log wants, and whatever befalls the
// bucket, the engine goes on.
func (e *Engine) LooseBucket(ctx context.Context, name string) (eventlog.Bucket, error) {
	return e.bucket(ctx, loosePrefix+name, true)
}

func (e *Engine) bucket(ctx context.Context, name string, loose bool) (eventlog.Bucket, error) {
	var kv jetstream.KeyValue
	wait := e.patiently
	if loose { // nobody waits for it
		wait = func(_ context.Context, do func() error) error { return do() }
	}
	err := wait(ctx, func() (err error) {
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
	var b barrier = noBarrier{}
	if !loose {
		e.knows(ctx, name)
		if b, err = e.barrierFor(name, newFSBarrier); err != nil {
			return nil, err
		}
	}
	nb := &natsBucket{e: e, name: name, kv: kv, barrier: b, loose: loose, sync: make(chan struct{}, 1)}
	nb.quorum.Ask = func(_ struct{}, sent func()) (time.Time, error) {
		sent()
		return nb.reachQuorum(time.Now())
	}
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
	if err := b.room(); err != nil {
		return 0, err
	}
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
	if err := b.room(); err != nil {
		return 0, err
	}
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
		if !b.loose {
			b.e.storeFailed("bucket", err)
		}
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

// room answers why a loose bucket takes nothing more: what can be done without is the
// first to go when the disk fills.
func (b *natsBucket) room() error {
	if !b.loose || b.e.node == nil || b.e.opts.MinFreeBytes == 0 {
		return nil
	}
	if free, err := freeBytes(streamsDir(b.e.opts.Dir)); err == nil && free/2 < b.e.opts.MinFreeBytes {
		return fmt.Errorf("%w: %d bytes left on the file system", eventlog.ErrFull, free)
	}
	return nil
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

// Watch follows the stream of the bucket, which has the latest of each key and no
// more: from its beginning on, that is what there is, and what changes then.
func (b *natsBucket) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	return b.e.KeepFollowing(ctx, Following{
		Stream: b.name,
		Take: func(m jetstream.Msg, md *jetstream.MsgMetadata) {
			fn(b.change(m.Subject(), md.Sequence.Stream, m.Headers(), m.Data()))
		},
		Present: ready,
	})
}

func (b *natsBucket) Latest(ctx context.Context, after uint64, fn func(eventlog.Change)) error {
	for seq := after + 1; ; {
		c, ok, err := b.get(ctx, leaderGet{Seq: seq, NextFor: everything})
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

// proofTime bounds the wait for a quorum, and proofEvery is how often it is looked for.
const (
	proofTime  = 5 * time.Second
	proofEvery = 50 * time.Millisecond
)

// Proof implements eventlog.Bucket. A quorum is proof only over the connection that was
// asked over: another may lead to other nodes.
func (b *natsBucket) Proof() func(context.Context) error {
	if b.e.node != nil {
		return func(context.Context) error { return nil }
	}
	nc := b.e.js.Conn()
	asked, over := time.Now(), nc.Stats().Reconnects
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, proofTime)
		defer cancel()
		for {
			at, err := b.quorum.Get(ctx, struct{}{})
			if nc.Stats().Reconnects != over {
				return fmt.Errorf("%w: bucket: the connection was lost that it was asked over", eventlog.ErrUnavailable)
			}
			if err == nil && !at.Before(asked) {
				return nil
			}
			select {
			case <-time.After(proofEvery):
			case <-ctx.Done():
				return fmt.Errorf("%w: bucket: it is not proven that its leader has a quorum: %w", eventlog.ErrUnavailable, cmp.Or(err, context.Cause(ctx)))
			}
		}
	}
}

// askedKey is of no value, ever. That it is deleted changes nothing, and needs a quorum.
const askedKey = "_asked"

// reachQuorum answers a time at which the bucket had a quorum: at since or later, unless
// somebody else leads it now. A leader that has nothing to replicate hears from its
// followers about once a second, which is longer than senders wait; so it is given something.
func (b *natsBucket) reachQuorum(since time.Time) (time.Time, error) {
	at, _, err := b.e.quorum(b.e.js.Conn(), b.name)
	if err != nil || !at.Before(since) {
		return at, err
	}
	ctx, cancel := context.WithTimeout(b.e.ctx, answerTime)
	defer cancel()
	if err := b.kv.Delete(ctx, askedKey); err != nil {
		return time.Time{}, err
	}
	time.Sleep(time.Millisecond) // a follower that was heard just now is told apart from one that never was
	at, _, err = b.e.quorum(b.e.js.Conn(), b.name)
	return at, err
}

// prefix of the subjects of the keys.
func (b *natsBucket) prefix() string { return "$KV." + strings.TrimPrefix(b.name, "KV_") + "." }

func (b *natsBucket) get(ctx context.Context, what leaderGet) (c eventlog.Change, ok bool, err error) {
	m, err := b.e.askLeader(ctx, b.name, what)
	if m == nil || err != nil {
		return c, false, err
	}
	h, err := m.header()
	if err != nil {
		return c, false, err
	}
	return b.change(m.Subject, m.Seq, h, m.Data), true, nil
}

// change answers what a message of the bucket says. A deletion says so, or that
// everything was purged, and so does JetStream of what it removed itself.
func (b *natsBucket) change(subject string, seq uint64, h nats.Header, value []byte) eventlog.Change {
	c := eventlog.Change{Key: strings.TrimPrefix(subject, b.prefix()), Revision: seq}
	if h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != "" {
		return c
	}
	if c.Value = value; c.Value == nil {
		c.Value = []byte{}
	}
	return c
}
