package hub

import (
	"container/list"
	"context"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/singleflight"

	"github.com/hookstream/hookstream/event"
)

const (
	// chunkEvents is how many positions a chunk spans: chunk n begins at n times
	// as many.
	chunkEvents = 256
	// chunkReadBytes is how much of a chunk is read at once. A chunk of large
	// events comes in several parts.
	chunkReadBytes = 4 << 20
	// prefetchAhead is how many chunks are read before they are asked for.
	prefetchAhead = 2
	// prefetchBehind is the same for who goes backwards.
	prefetchBehind = 4
	// maxPrefetches bounds the reads that nobody waits for yet.
	maxPrefetches = 8
)

// A part is a run of the log: all records from first to before next.
type part struct {
	first, next uint64
	entries     []*entry
}

// chunks reads the log for all streams that are behind the ring. What several
// want is read once, and cached for those who come after.
type chunks struct {
	hub      *Hub
	maxBytes int64
	used     atomic.Int64
	reads    atomic.Int64
	skips    atomic.Int64 // runs of the log that streams passed over
	flight   singleflight.Group
	running  chan struct{} // holds a token for each prefetch that runs
	entered  atomic.Uint64 // the chunk of which somebody last asked for one event
	scans    scans
	// preparing holds a token for each part of which something is made ahead.
	preparing chan struct{}

	// mu guards what follows. It is taken before that of an entry, and is not held
	// while the log is read.
	mu    sync.Mutex
	order *list.List                 // of *part, the latest used first
	parts map[uint64][]*list.Element // by chunk
}

func newChunks(h *Hub, maxBytes int64) *chunks {
	c := &chunks{
		hub: h, maxBytes: maxBytes, order: list.New(),
		parts:     make(map[uint64][]*list.Element),
		running:   make(chan struct{}, maxPrefetches),
		preparing: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	c.entered.Store(math.MaxUint64) // none
	c.scans.log, _ = h.log.(scanner)
	return c
}

// load answers a part that holds pos, or begins where the log does when pos is
// no longer there. It is empty when nothing is there to be read.
func (c *chunks) load(ctx context.Context, pos uint64) (*part, error) {
	p, from, err := c.await(ctx, pos)
	if p != nil || err != nil {
		return p, err
	}
	p, err = c.read(ctx, from)
	if err != nil || pos < p.next || pos == from {
		return p, err
	}
	return c.read(ctx, pos) // the chunk came in parts: ask for the rest
}

// await is find, but waits for a scan that is about to read pos.
func (c *chunks) await(ctx context.Context, pos uint64) (*part, uint64, error) {
	for {
		coming := c.scans.coming(pos)
		p, from := c.find(pos)
		if p != nil || coming == nil {
			return p, from, nil
		}
		select {
		case <-coming:
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}

// find answers the cached part that holds pos, or else where to begin to read:
// at the beginning of the chunk, unless that is there and pos is not in it.
func (c *chunks) find(pos uint64) (*part, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	chunk := pos / chunkEvents
	for _, el := range c.parts[chunk] {
		if p := el.Value.(*part); p.first <= pos && pos < p.next {
			c.order.MoveToFront(el)
			return p, 0
		}
	}
	if len(c.parts[chunk]) > 0 {
		return nil, pos
	}
	return nil, max(chunk*chunkEvents, 1)
}

// read reads the log from a position to the end of its chunk. Callers at the
// same time share one read, which outlives any of them.
func (c *chunks) read(ctx context.Context, from uint64) (*part, error) {
	return c.once(ctx, from, chunkEnd(from))
}

// once reads the log from a position to before another of the same chunk, once for all
// who want the same.
func (c *chunks) once(ctx context.Context, from, end uint64) (*part, error) {
	key := strconv.FormatUint(from, 36) + "-" + strconv.FormatUint(end, 36)
	done := c.flight.DoChan(key, func() (any, error) { return c.fetch(from, end) })
	select {
	case result := <-done:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*part), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *chunks) fetch(from, end uint64) (*part, error) {
	c.reads.Add(1)
	recs, err := c.hub.log.Read(c.hub.ctx, from, int(end-from), chunkReadBytes)
	if err != nil {
		return nil, err
	}
	return c.keep(from, end, recs), nil
}

// keep makes a part of what was read. Only a part without holes is cached: a hole
// may be what retention dropped a moment ago, which everybody must notice.
func (c *chunks) keep(from, end uint64, recs []event.Record) *part {
	p := &part{first: from, next: from, entries: make([]*entry, 0, len(recs))}
	dense := true
	for _, r := range recs {
		if r.Seq >= end {
			p.next = end // nothing else is in this chunk
			break
		}
		dense = dense && r.Seq == p.next
		p.next = r.Seq + 1
	}
	dense = dense && len(recs) > 0 && p.next == from+uint64(len(recs))
	account := &c.used
	if !dense {
		account = nil
	}
	for _, r := range recs {
		if r.Seq < p.next {
			p.entries = append(p.entries, c.hub.newEntry(r, account))
		}
	}
	if dense {
		c.put(p)
	}
	return p
}

func (c *chunks) put(p *part) {
	c.mu.Lock()
	defer c.mu.Unlock()
	chunk := p.first / chunkEvents
	c.parts[chunk] = append(c.parts[chunk], c.order.PushFront(p))
	c.bound()
}

// trim drops what was used longest ago when what was made of the events has
// become too large.
func (c *chunks) trim() {
	if c.used.Load() <= c.maxBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bound()
}

func (c *chunks) bound() {
	for c.used.Load() > c.maxBytes && c.order.Len() > 1 {
		c.drop(c.order.Back())
	}
}

func (c *chunks) drop(el *list.Element) {
	p := c.order.Remove(el).(*part)
	chunk := p.first / chunkEvents
	rest := c.parts[chunk][:0]
	for _, other := range c.parts[chunk] {
		if other != el {
			rest = append(rest, other)
		}
	}
	c.parts[chunk] = rest
	if len(rest) == 0 {
		delete(c.parts, chunk)
	}
	for _, e := range p.entries {
		e.release()
	}
}

// prefetch reads ahead of a stream that goes on at pos, as long as the ring does
// not hold what comes.
func (c *chunks) prefetch(pos uint64) {
	ring, _ := c.hub.ring.span()
	chunk := pos / chunkEvents
	for n := chunk; n < chunk+prefetchAhead; n++ {
		from := max(n*chunkEvents, 1)
		if from+chunkEvents > ring {
			continue
		}
		c.startReading(n)
	}
}

// startReading reads a chunk for those who come, unless too many are being read.
func (c *chunks) startReading(chunk uint64) {
	if c.cached(chunk) {
		return
	}
	select {
	case c.running <- struct{}{}:
		go c.readAhead(max(chunk*chunkEvents, 1))
	default:
	}
}

func (c *chunks) readAhead(from uint64) {
	defer func() { <-c.running }()
	// An error comes again for who needs the chunk.
	_, _ = c.read(c.hub.ctx, from)
}

func (c *chunks) cached(chunk uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.parts[chunk]) > 0
}
