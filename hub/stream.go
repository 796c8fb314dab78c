package hub

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// stream is one reader: a loop over a position. It keeps nothing but the batch
// that it is filling, so that a slow one costs nobody anything.
type stream struct {
	hub  *Hub
	req  Request
	send func(Frame) error

	pos    uint64        // what it looks at next
	at     atomic.Uint64 // the same, for who looks at the stream
	cursor event.Cursor  // after what it looked at last
	head   uint64        // the last event when it opened
	hole   uint64        // events before pos that the log has lost and nobody was told of
	// floating: it asked for what the log holds, so that what was dropped before
	// it looked at anything is no loss.
	floating bool
	// caughtUp: it has said so, and has not fallen behind since.
	caughtUp bool

	interest *interest
	memo     map[*route]*routeMemo
	pages    uint64
	inRow    int // chunks of the log that it has read one after the other
	skipping skipping
	batch    batch
	sentAt   time.Time
	sentPos  uint64 // position of the last frame's cursor

	timer   *time.Timer
	timerAt time.Time

	draining bool
	endAt    time.Time // when draining
}

// pageEvents is how many events are taken from the ring at once.
const pageEvents = 1000

// errStop ends a stream as it asked.
var errStop = errors.New("hub: the stop is reached")

// Stream calls send with the frames of a stream, one at a time, until its stop
// is reached; it answers nil then. Otherwise it answers ctx's error, that of
// send, that of the log (eventlog.ErrUnavailable), ErrDraining,
// ErrTooManyStreams, ErrCursorExpired, ErrCursorUnknown or a *WithheldError.
func (h *Hub) Stream(ctx context.Context, req Request, send func(Frame) error) error {
	s := &stream{hub: h, req: req, send: send, memo: make(map[*route]*routeMemo), skipping: h.skipper(req.Selector)}
	if err := h.checkView(req.View, req.Selector); err != nil {
		return err
	}
	if err := h.streams.enter(s); err != nil {
		return err
	}
	defer h.streams.leave(s)
	if err := h.waitReady(ctx); err != nil {
		return err
	}
	s.interest = h.ring.interest(req.Selector)
	defer h.ring.forget(s.interest)
	if err := s.run(ctx); !errors.Is(err, errStop) {
		return err
	}
	return s.close()
}

// waitReady waits for Run.
func (h *Hub) waitReady(ctx context.Context) error {
	select {
	case <-h.ready:
		return nil
	case <-h.ctx.Done():
		return h.ring.read(0, nil, nil).ended
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *stream) run(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	s.at.Store(s.pos)
	if err := s.frame(s.req.Opened); err != nil {
		return err
	}
	defer s.stopTimer()
	for {
		if err := s.step(ctx); err != nil {
			return err
		}
		s.at.Store(s.pos)
	}
}

// step looks at what comes next, wherever it is, or waits for it.
func (s *stream) step(ctx context.Context) error {
	if err := s.duties(ctx); err != nil {
		return err
	}
	scratch := s.hub.scratch.Get().(*[]*entry)
	page := s.hub.ring.read(s.pos, *scratch, s.awaited())
	found := page.next > s.pos
	var err error
	if found {
		err = s.look(ctx, page.entries, page.next)
		s.inRow = 0
		s.hub.ring.trim()
	}
	clear(page.entries) // do not keep events alive
	s.hub.scratch.Put(scratch)
	switch {
	case found:
		return err
	case page.ended != nil:
		return errors.Join(s.flush(), page.ended)
	case page.behind:
		return s.readLog(ctx)
	}
	if err := s.tellHole(time.Time{}); err != nil {
		return err
	}
	return s.idle(ctx, page)
}

// look goes through events: all there are from pos on to before next.
func (s *stream) look(ctx context.Context, es []*entry, next uint64) error {
	s.pages++
	for _, e := range es {
		s.passHole(e.seq)
		s.floating = false
		if s.past(e.seq) || s.req.Stop.Until != nil && e.time.After(*s.req.Stop.Until) {
			return errStop
		}
		if e.route == nil { // lost, or of no known form: a hole of one
			s.passHole(e.seq + 1)
			continue
		}
		if err := s.tellHole(e.time); err != nil {
			return err
		}
		if err := s.lookAt(ctx, e); err != nil {
			return err
		}
	}
	s.passHole(next)
	s.floating = false
	if s.past(s.pos) {
		return errStop
	}
	return s.flushDue()
}

// passHole goes to a position before which nothing is, and counts what was there:
// every number of the log is an event's.
func (s *stream) passHole(to uint64) {
	if s.req.Stop.AtHead {
		to = min(to, s.head+1)
	}
	if to <= s.pos {
		return
	}
	s.hole += to - s.pos
	s.pos = to
	if s.hole == 0 { // a cursor must not lie after what nobody was told of
		s.moveCursor()
	}
}

// moveCursor puts the cursor before what is looked at next.
func (s *stream) moveCursor() {
	s.cursor = event.Cursor{Incarnation: s.hub.inc, Seq: s.pos - 1}
}

// tellHole tells of events that the log has lost, when there is more to show, or no
// more for now. resume is the time of what comes next.
func (s *stream) tellHole(resume time.Time) error {
	if s.hole == 0 {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.moveCursor()
	gap := &hookstreamv1.Gap{MissedEvents: int64(s.hole)}
	if !resume.IsZero() {
		gap.ResumeTime = timestamppb.New(resume)
	}
	s.hole = 0
	s.hub.gaps.Add(1)
	return s.frame(gap)
}

// past reports whether seq lies after the last event that is asked for.
func (s *stream) past(seq uint64) bool { return s.req.Stop.AtHead && seq > s.head }

func (s *stream) lookAt(ctx context.Context, e *entry) error {
	if shown, ok := s.wants(ctx, e); ok {
		b := s.hub.framed(e, formOf(s.req.View, shown))
		if s.batch.wouldExceed(b.Len(), s.req.BatchBytes) {
			if err := s.flush(); err != nil {
				return err
			}
		}
		s.batch.add(b)
	}
	s.pos, s.cursor = e.seq+1, event.Cursor{Incarnation: s.hub.inc, Seq: e.seq, Time: e.time}
	if s.batch.full(s.req.BatchEvents, s.req.BatchBytes) {
		return s.flush()
	}
	return nil
}

// routeMemo is what was found out about a route.
type routeMemo struct {
	verdict verdict
	shown   event.Kinds // sensitive fields that its source includes
	page    uint64      // as of this page
}

// maxMemo bounds what a stream remembers.
const maxMemo = 1024

// wants reports whether the event is to be sent, and with which sensitive fields.
// What its route decides is decided once; which its source includes is asked again
// for every page.
func (s *stream) wants(ctx context.Context, e *entry) (shown event.Kinds, ok bool) {
	m := s.memo[e.route]
	if m == nil {
		if len(s.memo) >= maxMemo {
			clear(s.memo)
		}
		m = &routeMemo{verdict: s.req.Selector.onRoute(e.route)}
		s.memo[e.route] = m
	}
	if m.verdict == miss {
		return 0, false
	}
	if m.page != s.pages {
		m.shown, m.page = s.hub.opts.Sensitive(e.route.source), s.pages
	}
	return m.shown, m.verdict == hit || s.hub.onEvent(ctx, s.req.Selector, e, m.shown)
}

// readLog looks at the chunk of the log that holds pos.
func (s *stream) readLog(ctx context.Context) error {
	if s.caughtUp {
		s.caughtUp = false
		s.hub.fellBehind.Add(1)
		if err := s.frame(&hookstreamv1.FellBehind{LagEvents: s.lag()}); err != nil {
			return err
		}
	}
	skipped := s.skip(ctx)
	load := s.hub.chunks.load
	if skipped {
		load = s.hub.chunks.few
	}
	p, err := load(ctx, s.pos)
	if err != nil {
		return err
	}
	es := p.entries
	for len(es) > 0 && es[0].seq < s.pos {
		es = es[1:]
	}
	if len(es) == 0 || es[0].seq > s.pos {
		if moved, err := s.mindGap(ctx, es); moved || err != nil {
			return err
		}
	}
	if p.next <= s.pos { // a replica that lags: what we want is further on
		return s.wait(ctx, nil, time.Now().Add(10*time.Millisecond))
	}
	defer s.hub.chunks.trim()
	if err := s.look(ctx, es, p.next); err != nil {
		return err // nobody goes on
	}
	if skipped {
		s.inRow = 0
		return nil
	}
	s.inRow++
	s.hub.chunks.ahead(s.pos, s.inRow, &s.req)
	return nil
}

// mindGap finds out why nothing is at pos. When the log dropped it, the stream
// is told and moves to what is left, or ends.
func (s *stream) mindGap(ctx context.Context, rest []*entry) (moved bool, err error) {
	b, err := s.hub.bounds.Get(ctx, struct{}{})
	if err != nil || b.First <= s.pos {
		return false, err
	}
	to := b.First
	if len(rest) > 0 {
		to = min(to, rest[0].seq)
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	missed := to - s.pos + s.hole
	if !s.floating && !s.req.SkipExpired {
		return false, ErrCursorExpired
	}
	s.pos, s.cursor = to, event.Cursor{Incarnation: s.hub.inc, Seq: to - 1}
	if s.floating {
		return true, nil
	}
	s.hole = 0
	s.hub.gaps.Add(1)
	gap := &hookstreamv1.Gap{MissedEvents: int64(missed)}
	if after, err := s.hub.cursorAt(ctx, to); err == nil && !after.Time.IsZero() {
		gap.ResumeTime = timestamppb.New(after.Time)
	}
	return true, s.frame(gap)
}

// lag is how many positions of the log it has still to look at.
func (s *stream) lag() int64 {
	_, next := s.hub.ring.span()
	return max(0, int64(next)-int64(s.pos))
}

// duties are what is due whether events come or not.
func (s *stream) duties(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now := time.Now()
	if !s.draining && s.hub.streams.isDraining() {
		s.draining, s.endAt = true, s.hub.streams.drainedAt()
		if err := s.frame(&hookstreamv1.Draining{GracePeriod: durationpb.New(max(0, s.endAt.Sub(now)))}); err != nil {
			return err
		}
	}
	if s.draining && !now.Before(s.endAt) {
		if err := s.flush(); err != nil {
			return err
		}
		return ErrDraining
	}
	switch {
	case now.Before(s.sentAt.Add(s.req.Heartbeat)):
		return nil
	case !s.batch.empty():
		return s.flush() // better than a frame that says nothing
	}
	return s.heartbeat()
}

func (s *stream) heartbeat() error {
	return s.frame(&hookstreamv1.Heartbeat{SendTime: timestamppb.Now(), LagEvents: s.lag()})
}

// close sends what is left when the stop is reached, so that the last cursor is
// that of the stop.
func (s *stream) close() error {
	if err := errors.Join(s.flush(), s.tellHole(time.Time{})); err != nil {
		return err
	}
	switch {
	case s.req.Stop.AtHead && !s.caughtUp:
		return s.frame(&hookstreamv1.CaughtUp{SendTime: timestamppb.Now()})
	case s.sentPos != s.pos:
		return s.heartbeat()
	}
	return nil
}

// frame sends a message, after what was batched before it.
func (s *stream) frame(m proto.Message) error {
	if err := s.flush(); err != nil {
		return err
	}
	return s.emit(Frame{Message: m})
}

func (s *stream) flush() error {
	if s.batch.empty() {
		return nil
	}
	events, bytes := len(s.batch.deliveries), s.batch.bytes
	err := s.emit(Frame{Deliveries: s.batch.deliveries})
	s.batch.reset()
	if err == nil {
		s.hub.deliveries.Add(int64(events))
		s.hub.deliveredBytes.Add(int64(bytes))
	}
	return err
}

func (s *stream) emit(f Frame) error {
	f.Cursor = s.cursor
	if err := s.send(f); err != nil {
		return err
	}
	s.hub.frames.Add(1)
	s.sentAt, s.sentPos = time.Now(), s.pos
	return nil
}
