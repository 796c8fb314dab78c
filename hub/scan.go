package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/event"
)

// scanner is a log that answers a long run at less cost than piece by piece.
type scanner interface {
	// Scan calls fn with the records from seq on, in order, as Read answers them,
	// and returns when there are no more, with fn's error, or when it cannot go on:
	// Read may answer then. It reads ahead of fn a little at most.
	Scan(ctx context.Context, seq uint64, fn func([]event.Record) error) error
}

const (
	// maxScans bounds the scans at a time. Streams that none of them serves read
	// chunk by chunk.
	maxScans = 4
	// scanAfter is how many chunks in a row a stream reads before a scan begins
	// for it, and scanWorth how much there must be for it to read.
	scanAfter, scanWorth = 1, 4 * chunkEvents
	// minScanWindow and maxScanWindow are how far a scan goes ahead of its
	// streams: farther each time that they ask.
	minScanWindow, maxScanWindow = 2 * chunkEvents, 32 * chunkEvents
	// scanIdle is how long a scan waits for a stream that wants more.
	scanIdle = 5 * time.Second
)

// A scan reads a run of the log ahead of the streams that go through it, and
// puts what it reads among the chunks.
type scan struct {
	chunks *chunks
	asked  chan struct{} // holds a token when want has moved
	// request is that of the stream that asked last, nil for none: what will be
	// sent is made ahead as well.
	request atomic.Pointer[Request]

	// Guarded by scans.mu.
	at     uint64 // everything before it has been read
	want   uint64 // it reads on while at is before it
	window uint64
	moved  chan struct{} // closed when at moves, and at the end

	// Used by take alone.
	recs        []event.Record // from at on, not yet a part
	bytes       int            // of recs
	total, seen int            // bytes and records so far
}

// scans are those that run.
type scans struct {
	log scanner // nil: the log cannot

	// mu guards running, and of each scan what says so. No other is taken under it.
	mu      sync.Mutex
	running []*scan
}

// ahead reads on for a stream that has read a number of chunks in a row and goes
// on at pos, as long as the ring does not hold what comes.
func (c *chunks) ahead(pos uint64, inRow int, req *Request) {
	if c.scans.log == nil || !c.scanAhead(pos, inRow, req) {
		c.prefetch(pos)
	}
}

// goesOn reads on for somebody who reads by position and may do so in order: so
// it seems when the chunk before has been read, too. Who searches goes backwards.
func (c *chunks) goesOn(pos uint64) {
	chunk := pos / chunkEvents
	switch c.entered.Swap(chunk) {
	case chunk:
		return
	case chunk + 1:
		for n := uint64(1); n <= min(chunk, prefetchBehind); n++ {
			c.startReading(chunk - n)
		}
		c.trim()
		return
	}
	inRow := 0
	if chunk > 0 && c.cached(chunk-1) {
		inRow = scanAfter
	}
	c.ahead(pos, inRow, nil)
	c.trim()
}

// scanAhead reports whether a scan serves the stream, as from now maybe.
func (c *chunks) scanAhead(pos uint64, inRow int, req *Request) bool {
	ring, _ := c.hub.ring.span()
	from := c.missing(pos)
	c.scans.mu.Lock()
	defer c.scans.mu.Unlock()
	for _, s := range c.scans.running {
		if s.serves(pos, from > pos) {
			s.ask(pos, ring, req)
			return true
		}
	}
	if inRow < scanAfter || from+scanWorth > ring || len(c.scans.running) == maxScans {
		return false
	}
	s := &scan{chunks: c, asked: make(chan struct{}, 1), at: from, want: from, window: minScanWindow, moved: make(chan struct{})}
	s.ask(from, ring, req)
	c.scans.running = append(c.scans.running, s)
	go s.run()
	return true
}

// missing answers the first position from pos on that is not cached, as far as
// that matters.
func (c *chunks) missing(pos uint64) uint64 {
	for range maxScanWindow / chunkEvents {
		if !c.cached(pos / chunkEvents) {
			break
		}
		pos = chunkEnd(pos)
	}
	return pos
}

// serves reports whether pos is where the scan reads, or what it has just read
// and is still cached. The caller holds scans.mu, as for ask.
func (s *scan) serves(pos uint64, cached bool) bool {
	return s.at <= pos && pos <= s.want || cached && pos < s.at && s.at <= pos+maxScanWindow
}

// ask has the scan read on ahead of pos, up to where the ring begins.
func (s *scan) ask(pos, ring uint64, req *Request) {
	if req != nil {
		s.request.Store(req)
	}
	want := min(pos+s.window, ring)
	if want <= s.want {
		return
	}
	s.want, s.window = want, min(2*s.window, maxScanWindow)
	select {
	case s.asked <- struct{}{}:
	default:
	}
}

// coming answers what is closed when a scan that will read pos has moved; nil
// when none will.
func (sc *scans) coming(pos uint64) <-chan struct{} {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	for _, s := range sc.running {
		if s.at <= pos && pos < s.want {
			return s.moved
		}
	}
	return nil
}

func (s *scan) run() {
	// Whatever ended it, who needs more reads by itself and is told.
	_ = s.chunks.scans.log.Scan(s.chunks.hub.ctx, s.at, s.receive)
	all := &s.chunks.scans
	all.mu.Lock()
	defer all.mu.Unlock()
	all.running = slices.DeleteFunc(all.running, func(other *scan) bool { return other == s })
	close(s.moved)
}

// errUnwanted ends a scan.
var errUnwanted = errors.New("hub: nobody wants more")

// receive makes parts of what comes.
func (s *scan) receive(recs []event.Record) error {
	for _, r := range recs {
		if end := chunkEnd(s.at); r.Seq >= end {
			// A hole. What is before it is left to those who come there: they must
			// notice.
			if err := s.move(max(end, r.Seq-r.Seq%chunkEvents)); err != nil {
				return err
			}
		}
		s.recs = append(s.recs, r)
		s.bytes += len(r.Data)
		if r.Seq+1 == chunkEnd(s.at) || s.bytes >= chunkReadBytes {
			if err := s.part(r.Seq + 1); err != nil {
				return err
			}
		}
	}
	return nil
}

func chunkEnd(pos uint64) uint64 { return (pos/chunkEvents + 1) * chunkEvents }

// part makes a part of all that was read before next, unless there is a hole,
// which nobody would be helped by preparing: it is not cached.
func (s *scan) part(next uint64) error {
	c := s.chunks
	s.total, s.seen = s.total+s.bytes, s.seen+len(s.recs)
	if s.at+uint64(len(s.recs)) == next {
		c.reads.Add(1)
		c.prepare(c.keep(s.at, chunkEnd(s.at), s.recs), s.request.Load())
	}
	return s.move(next)
}

// move goes to a position, and waits until a stream wants what comes there.
func (s *scan) move(to uint64) error {
	s.recs, s.bytes = s.recs[:0], 0
	all := &s.chunks.scans
	all.mu.Lock()
	s.at = to
	close(s.moved)
	s.moved = make(chan struct{})
	s.window = min(s.window, s.affordable())
	idle := s.at >= s.want
	all.mu.Unlock()
	if !idle {
		return nil
	}
	return s.wait()
}

// affordable is how far the scan may go ahead for what it reads to stay among
// the chunks until it is used, all forms included.
func (s *scan) affordable() uint64 {
	if s.seen == 0 {
		return minScanWindow
	}
	each := int64(s.total/s.seen + entryOverhead)
	return uint64(max(1, s.chunks.maxBytes/(4*maxScans)/each))
}

func (s *scan) wait() error {
	if ring, _ := s.chunks.hub.ring.span(); s.at >= ring {
		return errUnwanted
	}
	timer := time.NewTimer(scanIdle)
	defer timer.Stop()
	for {
		select {
		case <-s.asked:
		case <-timer.C:
			return errUnwanted
		case <-s.chunks.hub.ctx.Done():
			return errUnwanted
		}
		if s.wanted() {
			return nil
		}
	}
}

func (s *scan) wanted() bool {
	s.chunks.scans.mu.Lock()
	defer s.chunks.scans.mu.Unlock()
	return s.at < s.want
}

// prepare makes what will be sent of a part ahead of the stream, on another
// processor: decoding costs more than all the rest.
func (c *chunks) prepare(p *part, req *Request) {
	if req == nil || !formOf(req.View, event.AllKinds).typed() {
		return
	}
	select {
	case c.preparing <- struct{}{}:
		go func() {
			defer func() { <-c.preparing }()
			c.hub.prepare(p.entries, req)
		}()
	default:
	}
}

func (h *Hub) prepare(es []*entry, req *Request) {
	verdicts := make(map[*route]verdict)
	for _, e := range es {
		if e.route == nil {
			continue
		}
		v, ok := verdicts[e.route]
		if !ok {
			v = req.Selector.onRoute(e.route)
			verdicts[e.route] = v
		}
		if v == hit {
			h.framed(e, formOf(req.View, h.opts.Sensitive(e.route.source)))
		}
	}
}
