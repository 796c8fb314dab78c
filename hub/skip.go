package hub

import (
	"context"
	"math"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// An Index answers where the events may be that are wanted by what they have in common:
// a function that answers, for a position of the log, the first from there on at which
// one may be. Everything before it is an event that is not wanted: the function stops
// at holes, and at what it does not know. It is called by one goroutine.
type Index func(wanted func(event.Parts) bool) (next func(from uint64) uint64)

const (
	// worthSkip is how many positions must be passed over at once: fewer are read.
	worthSkip = 128
	// sureFor is how long it is believed what the log holds: a stream that reads has
	// read ahead for as long.
	sureFor = time.Second
	// fewEvents are read where one may be wanted, with the one before it.
	fewEvents = 2
)

// whole is what the log held at some moment.
type whole struct {
	first uint64
	holes []eventlog.Missing
}

// before answers up to where there is an event at every position from one on.
func (w whole) before(from uint64) uint64 {
	if from < w.first {
		return from
	}
	for _, h := range w.holes {
		if h.To >= from {
			return max(h.From, from)
		}
	}
	return math.MaxUint64
}

func (h *Hub) askWhole(_ struct{}, sent func()) (w whole, err error) {
	sent()
	b, err := h.log.Bounds(h.ctx)
	if err != nil {
		return w, err
	}
	holes, err := h.opts.Holes(h.ctx)
	return whole{b.First, holes}, err
}

// skipping is what a stream passes over.
type skipping struct {
	next  func(uint64) uint64 // nil: it reads everything
	until uint64              // the first position after the time to stop at; 0: not known
	whole whole
	sure  time.Time // since when
}

// skipper answers how a selector's stream passes over what it does not want.
func (h *Hub) skipper(s *Selector) (out skipping) {
	if h.opts.Index == nil || s.routes() {
		return out
	}
	out.next = h.opts.Index(func(p event.Parts) bool { return s.onRoute(newRoute(p)) != miss })
	return out
}

// routes reports whether the selector wants events of every route.
func (s *Selector) routes() bool {
	return s.sources == nil && s.environments == nil && s.types.Empty() && s.providers == nil
}

// skip goes past events that the index knows and the selector does not want, up to the
// last of them: it is looked at, so that the cursor knows its time. It reports whether it
// went past any: when the log does not say what is missing, everything is read.
func (s *stream) skip(ctx context.Context) bool {
	if s.skipping.next == nil || s.hole > 0 {
		return false
	}
	ring, _ := s.hub.ring.span()
	end, err := s.skipEnd(ctx, ring)
	if err != nil || end < s.pos+worthSkip {
		return false
	}
	to := min(s.skipping.next(s.pos), end)
	if to < s.pos+worthSkip {
		return false
	}
	if time.Since(s.skipping.sure) > sureFor {
		now := time.Now()
		if s.skipping.whole, err = s.hub.whole.Get(ctx, struct{}{}); err != nil {
			return false
		}
		s.skipping.sure = now
	}
	if to = min(to, s.skipping.whole.before(s.pos)); to < s.pos+worthSkip {
		return false
	}
	s.hub.chunks.skips.Add(1)
	s.pos, s.floating = to-1, false
	s.moveCursor()
	return true
}

// skipEnd answers where the stream ends, or the ring begins, which is looked at.
func (s *stream) skipEnd(ctx context.Context, ring uint64) (uint64, error) {
	end := ring
	if s.req.Stop.AtHead {
		end = min(end, s.head+1)
	}
	until := s.req.Stop.Until
	switch {
	case until == nil:
		return end, nil
	case s.skipping.until == 0 && time.Now().Before(until.Add(settle)):
		return 0, nil
	case s.skipping.until == 0:
		seq, err := s.hub.log.SeqAt(ctx, until.Add(1))
		if err != nil {
			return 0, err
		}
		s.skipping.until = seq
	}
	return min(end, s.skipping.until), nil
}

// few answers a part that begins at a position, or where the log does: of one event or
// two, unless more is cached.
func (c *chunks) few(ctx context.Context, pos uint64) (*part, error) {
	if p, _ := c.find(pos); p != nil {
		return p, nil
	}
	return c.once(ctx, pos, min(pos+fewEvents, chunkEnd(pos)))
}
