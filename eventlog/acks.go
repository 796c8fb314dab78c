package eventlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Acks remembers what was settled in an embedded engine. JetStream writes the
// state of a queue down ten times a second and does not sync it, so that a crash
// would bring back what was settled a moment before. Here it is written like an
// event, and forgotten when JetStream has long had it on the disk.
//
// On a cluster a quorum confirms: there is no Acks.
type Acks struct {
	e       *Engine
	js      jetstream.Stream
	commit  *committer
	barrier barrier
	dirty   atomic.Bool

	mu      sync.Mutex
	waiting []*keeping
	wake    chan struct{}
	wg      sync.WaitGroup
}

// Ack is one settled message of a queue.
type Ack struct {
	Queue string
	Seq   uint64
}

// keeping is one caller's settled messages.
type keeping struct {
	acks []Ack
	err  error
	done chan struct{}
}

const (
	// acksAge is how long what was settled is remembered. JetStream's own state is
	// on the disk after acksSync.
	acksAge  = 5 * time.Minute
	acksSync = 5 * time.Second
)

// OpenAcks opens the memory of an embedded engine, and calls fn with all that is
// in it. It answers nil for an engine that has none.
func (e *Engine) OpenAcks(ctx context.Context, fn func([]Ack)) (*Acks, error) {
	if e.node == nil {
		return nil, nil
	}
	js, err := e.ensureStream(ctx, jetstream.StreamConfig{
		Name:        streamAcks,
		Description: "Hookstream: what was settled in the last minutes",
		Subjects:    []string{subjectAcks},
		MaxAge:      acksAge,
		MaxBytes:    -1,
	})
	if err != nil {
		return nil, err
	}
	a := &Acks{e: e, js: js, wake: make(chan struct{}, 1)}
	if err := a.read(ctx, fn); err != nil {
		return nil, fmt.Errorf("read what was settled: %w", err)
	}
	if a.commit, err = e.committerFor(streamAcks, js.CachedInfo().State.LastSeq, func() {}); err != nil {
		return nil, err
	}
	if a.barrier, err = e.barrierFor(streamAcks, newFSBarrier); err != nil {
		return nil, err
	}
	a.wg.Go(a.write)
	a.wg.Go(a.syncStates)
	e.queues.atClose(a.close)
	return a, nil
}

// read calls fn with everything that is in the stream.
func (a *Acks) read(ctx context.Context, fn func([]Ack)) error {
	last := a.js.CachedInfo().State.LastSeq
	if a.js.CachedInfo().State.Msgs == 0 {
		return nil
	}
	cons, err := a.js.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(1024))
	if err != nil {
		return err
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		md, err := m.Metadata()
		if err != nil {
			return err
		}
		acks, err := parseAcks(m.Data())
		if err != nil {
			return err
		}
		fn(acks)
		if md.Sequence.Stream >= last || md.NumPending == 0 {
			return nil
		}
	}
}

// Keep returns when the acks are as durable as an event. Callers at the same
// time share one write.
func (a *Acks) Keep(ctx context.Context, acks []Ack) error {
	k := &keeping{acks: acks, done: make(chan struct{})}
	a.mu.Lock()
	a.waiting = append(a.waiting, k)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
	select {
	case <-k.done:
		return k.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.e.ctx.Done():
		return fmt.Errorf("%w: closed", ErrUnavailable)
	}
}

// maxAcks bounds one message: ten bytes each at most.
const maxAcks = 20_000

// write keeps what has come meanwhile, again and again.
func (a *Acks) write() {
	for {
		select {
		case <-a.wake:
		case <-a.e.ctx.Done():
			return
		}
		for {
			group := a.group()
			if len(group) == 0 {
				break
			}
			a.keep(group)
		}
	}
}

func (a *Acks) group() []*keeping {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, acks := 0, 0
	for n < len(a.waiting) && (n == 0 || acks+len(a.waiting[n].acks) <= maxAcks) {
		acks += len(a.waiting[n].acks)
		n++
	}
	group := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	return group
}

func (a *Acks) keep(group []*keeping) {
	var all []Ack
	for _, k := range group {
		all = append(all, k.acks...)
	}
	_, err := a.commit.commit(a.e.ctx, &nats.Msg{Subject: subjectAcks, Data: appendAcks(nil, all)})
	a.dirty.Store(true)
	for _, k := range group {
		k.err = err
		close(k.done)
	}
}

// syncStates has JetStream's own state of the queues on the disk some seconds
// after it changed, which is long before it is forgotten here.
func (a *Acks) syncStates() {
	t := time.NewTicker(acksSync)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-a.e.ctx.Done():
			return
		}
		if !a.dirty.Swap(false) {
			continue
		}
		if err := a.barrier.sync(0); err != nil {
			a.e.fatal(fmt.Errorf("sync of the queues' state: %w", err))
			return
		}
	}
}

func (a *Acks) close() {
	a.wg.Wait()
	a.commit.close()
	a.barrier.close()
}

// The form of acks: runs of one queue, its name and sequences, each as the
// difference to the one before.

func appendAcks(b []byte, acks []Ack) []byte {
	for len(acks) > 0 {
		n := 1
		for n < len(acks) && acks[n].Queue == acks[0].Queue {
			n++
		}
		b = binary.AppendUvarint(b, uint64(len(acks[0].Queue)))
		b = append(b, acks[0].Queue...)
		b = binary.AppendUvarint(b, uint64(n))
		var last int64
		for _, a := range acks[:n] {
			b = binary.AppendVarint(b, int64(a.Seq)-last)
			last = int64(a.Seq)
		}
		acks = acks[n:]
	}
	return b
}

var errAcks = errors.New("what was settled cannot be read")

func parseAcks(b []byte) (out []Ack, err error) {
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errAcks
		}
		queue := string(b[n : n+int(size)])
		b = b[n+int(size):]
		count, n := binary.Uvarint(b)
		if n <= 0 || count > uint64(len(b)) {
			return nil, errAcks
		}
		b = b[n:]
		var seq int64
		for range count {
			d, n := binary.Varint(b)
			if n <= 0 {
				return nil, errAcks
			}
			b = b[n:]
			seq += d
			out = append(out, Ack{queue, uint64(seq)})
		}
	}
	return out, nil
}
