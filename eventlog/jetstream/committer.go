package jetstream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/index"
)

// pending is an entry on its way to the disk.
type pending struct {
	msg  *nats.Msg // nil: nothing to publish, only to sync
	got  eventlog.Appended
	err  error
	done chan struct{} // closed when got and err are final

	// Of an event in an embedded log.
	key, content index.Hash
	nanos        int64  // its time
	imported     int64  // the time that another log gave it; 0: it is new
	group        uint64 // it was sent with
}

func (r *pending) size() int {
	if r.msg == nil {
		return 0
	}
	return len(r.msg.Data)
}

// committer makes entries of one stream durable in groups: whoever comes while
// one group is being synced makes up the next, and when these become many, the
// next is published meanwhile. There is no timer, and nothing waits when there is
// one caller.
type committer struct {
	name    string
	pub     publisher
	barrier barrier
	opts    Options
	fatal   func(error)

	// mu guards what follows, to closed. It is not held while anything is published,
	// synced or told.
	mu     sync.Mutex
	queue  []*pending
	bytes  int
	inSync int // entries that are published and not durable yet
	closed bool
	wake   chan struct{} // holds one token when the queue is not empty

	published chan group       // unbuffered: one group in the sync, one published
	watermark atomic.Uint64    // no sequence up to this one is lost by a power cut
	advanced  func()           // called after the watermark has moved
	landed    func([]*pending) // called with each group before its callers know; may be nil

	wg sync.WaitGroup
}

// publisher sends groups of entries and fills in what became of each. It is used
// by one goroutine.
type publisher interface{ publish([]*pending) }

// group is a published group with what its sync must cover.
type group struct {
	entries []*pending
	bytes   int64
	last    uint64
	took    time.Duration
}

// Queue bounds: past them entries are refused, which is better than answering
// them too late.
const (
	maxQueue      = 16 << 10
	maxQueueBytes = 64 << 20
)

var errQueueFull = fmt.Errorf("%w: too many entries are waiting to be written", eventlog.ErrUnavailable)

func newCommitter(name string, pub publisher, b barrier, o Options, watermark uint64, advanced func(), landed func([]*pending), fatal func(error)) *committer {
	c := &committer{
		name: name, pub: pub, barrier: b, opts: o, fatal: fatal, advanced: advanced, landed: landed,
		wake: make(chan struct{}, 1), published: make(chan group),
	}
	c.watermark.Store(watermark)
	c.wg.Go(c.publishLoop)
	c.wg.Go(c.syncLoop)
	return c
}

// commit returns when the message is durable, or the context ends, or it cannot
// be done. The message belongs to the committer from then on.
func (c *committer) commit(ctx context.Context, msg *nats.Msg) (eventlog.Appended, error) {
	r := &pending{msg: msg, done: make(chan struct{})}
	if err := c.enqueue(r); err != nil {
		return eventlog.Appended{}, err
	}
	return r.wait(ctx)
}

// wait answers what became of the entry, or the context's error: it goes its
// way all the same.
func (r *pending) wait(ctx context.Context) (eventlog.Appended, error) {
	select {
	case <-r.done:
		return r.got, r.err
	case <-ctx.Done():
		return eventlog.Appended{}, context.Cause(ctx)
	}
}

func (c *committer) enqueue(r *pending) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
	case len(c.queue) >= maxQueue || c.bytes >= maxQueueBytes:
		return errQueueFull
	}
	c.queue = append(c.queue, r)
	c.bytes += r.size()
	c.signal()
	return nil
}

func (c *committer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// drain answers the next group, none when nothing waits, and whether nothing
// more will come.
func (c *committer) drain() ([]*pending, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tooFew() && !c.closed {
		return nil, false
	}
	n, size := 0, 0
	for n < len(c.queue) && n < maxGroup && (n == 0 || size+c.queue[n].size() <= maxGroupBytes) {
		size += c.queue[n].size()
		n++
	}
	g := c.queue[:n:n]
	c.queue, c.bytes = c.queue[n:], c.bytes-size
	if len(c.queue) == 0 {
		c.queue = nil // the array goes with the last group that lies in it
	} else {
		c.signal()
	}
	return g, c.closed
}

// tooFew reports whether more are worth waiting for, until the sync ends that is
// under way: a sync costs about the same for few as for many.
func (c *committer) tooFew() bool {
	return len(c.queue) < min(2*c.inSync, maxGroup) && c.bytes < maxGroupBytes
}

func (c *committer) publishLoop() {
	defer close(c.published)
	for {
		entries, closed := c.drain()
		if len(entries) == 0 {
			if closed {
				return
			}
			<-c.wake
			continue
		}
		start := time.Now()
		c.pub.publish(entries)
		g := group{entries: entries, took: time.Since(start)}
		for _, r := range entries {
			if r.err != nil {
				continue
			}
			g.last = max(g.last, r.got.Seq)
			if !r.got.Duplicate {
				g.bytes += int64(r.size())
			}
		}
		c.syncing(len(entries))
		c.published <- g
	}
}

// syncing counts what is in the sync: n more, or less.
func (c *committer) syncing(n int) {
	c.mu.Lock()
	c.inSync += n
	c.mu.Unlock()
	if n < 0 {
		c.signal()
	}
}

func (c *committer) syncLoop() {
	for g := range c.published {
		start := time.Now()
		if err := c.barrier.sync(g.bytes); err != nil {
			c.fail(g, err)
			return
		}
		c.syncing(-len(g.entries))
		if g.last > c.watermark.Load() {
			c.watermark.Store(g.last)
			c.advanced()
		}
		if c.landed != nil {
			c.landed(g.entries)
		}
		for _, r := range g.entries {
			close(r.done)
		}
		if c.opts.OnCommit != nil {
			c.opts.OnCommit(c.name, len(g.entries), g.took, time.Since(start))
		}
	}
}

// fail refuses this group and all that come: after a failed fsync nobody knows
// what is on the disk, and trying again may report success for pages that the
// kernel has dropped.
func (c *committer) fail(g group, cause error) {
	err := fmt.Errorf("%w: the disk failed: %w", eventlog.ErrUnavailable, cause)
	end := func(entries []*pending) {
		refuse(entries, err)
		for _, r := range entries {
			close(r.done)
		}
	}
	end(g.entries)
	c.mu.Lock()
	c.closed = true
	c.signal()
	c.mu.Unlock()
	c.fatal(fmt.Errorf("stream %s: %w", c.name, cause))
	for g := range c.published {
		end(g.entries)
	}
}

// nudge makes sure that the watermark passes seq, which the stream shows: its
// acknowledgement came too late, or went to another process.
func (c *committer) nudge(seq uint64) {
	_ = c.enqueue(&pending{got: eventlog.Appended{Seq: seq}, done: make(chan struct{})})
}

// close makes durable what is queued, and ends.
func (c *committer) close() {
	c.mu.Lock()
	c.closed = true
	c.signal()
	c.mu.Unlock()
	c.wg.Wait()
	c.barrier.close()
}
