package subscription

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// consumer is one stream, or one call of Pull.
type consumer struct {
	h     *home
	opts  ConsumerOptions
	since time.Time
	wake  chan struct{}
	left  chan struct{} // closed when it is gone
	// givenUp is closed when it was silent for too long: see giveUpDeaf.
	givenUp chan struct{}

	// Of the home, under its mu.
	box   []*hold // chosen for it and not sent
	held  map[*hold]struct{}
	bytes int64
	pull  bool
	taken int // of a pull: how many it was given

	inHands   int       // of held, how many were handed over
	sole      *hold     // the only one of them, when it was so from the beginning
	sending   []*hold   // handed over in the frame that is on its way
	alone     bool      // it holds a suspect, and gets nothing else
	deaf      bool      // its last delivery expired, and it has settled none since
	stuck     bool      // it did not take what was chosen for it, and gets nothing until it does
	over      bool      // it is given up
	quietFrom time.Time // when it became deaf or stuck, or was heard of since, be it too late
	handed    bool      // it was handed something
	settled   bool      // it settled something
	client    client    // that it is of
	notBefore time.Time // when it is handed something for the first time
}

// What a consumer is given when it does not say.
const (
	defaultBatchEvents = 256
	defaultBatchBytes  = 256 << 10
	defaultHeartbeat   = 15 * time.Second
	defaultPullEvents  = 100
)

func (h *home) join(o ConsumerOptions, pull bool) (*consumer, error) {
	if err := h.m.enter(); err != nil {
		return nil, err
	}
	o.BatchEvents = cmp.Or(o.BatchEvents, defaultBatchEvents)
	o.BatchBytes = cmp.Or(o.BatchBytes, defaultBatchBytes)
	o.Heartbeat = cmp.Or(o.Heartbeat, defaultHeartbeat)
	c := &consumer{
		h: h, opts: o, since: time.Now(), pull: pull,
		wake: make(chan struct{}, 1), left: make(chan struct{}), givenUp: make(chan struct{}), held: make(map[*hold]struct{}),
	}
	if !pull {
		c.client = clientOf(h.uid, o)
		c.notBefore, c.deaf = h.m.flaps.notBefore(c.client, c.since), h.m.flaps.deaf(c.client)
	}
	h.mu.Lock()
	h.consumers = append(h.consumers, c)
	if c.deaf {
		h.deafAt = c.since
	}
	h.mu.Unlock()
	h.poke()
	return c, nil
}

// leave takes the consumer out. What it holds is given back, what was handed out
// by a pull excepted. How tells what its end says of what it had in hands: lost,
// or released when the gateway ended it.
func (h *home) leave(c *consumer, how ending) {
	h.mu.Lock()
	h.consumers = slices.DeleteFunc(h.consumers, func(other *consumer) bool { return other == c })
	for _, hd := range slices.Clone(c.box) {
		if hd.stage == boxed {
			h.unbox(hd)
		}
	}
	c.box = nil
	held := slices.SortedFunc(maps.Keys(c.held), inLogOrder)
	c.held = nil
	for _, hd := range held {
		switch {
		case hd.stage == settling: // it decides itself
			hd.consumer, hd.left = nil, how
		case c.pull:
			hd.consumer, hd.pulled = nil, true
		case slices.Contains(c.sending, hd): // it never left
			h.released.Add(1)
			h.fail(hd, released, "")
		default:
			h.released.Add(1)
			h.fail(hd, how, "the stream of the last attempt was gone")
		}
	}
	c.sending, c.sole = nil, nil
	h.remember(c, how)
	if c.pull && h.lanes != nil {
		h.pulledAt = time.Now()
	}
	if h.idle() {
		h.standDown()
	}
	h.mu.Unlock()
	h.poke()
	h.m.leave()
	close(c.left)
}

// remember notes what the end of a stream says of its client, for when it comes
// again.
func (h *home) remember(c *consumer, how ending) {
	if c.pull {
		return
	}
	now := time.Now()
	if how == lost && c.handed && !c.settled {
		h.m.flaps.ended(c.client, now)
	}
	if c.deaf || c.stuck {
		h.m.flaps.deafened(c.client, now)
	}
}

// endOf answers what the end of a stream says of what its consumer had in hands.
func (s *streaming) endOf(err error) ending {
	if s.h.m.draining() != nil || s.h.ctx.Err() != nil || errors.Is(err, ErrDraining) {
		return released
	}
	return lost
}

// heard notes that the consumer of a delivery said something about it. The caller
// holds mu.
func (h *home) heard(hd *hold) {
	c := hd.consumer
	if c == nil {
		return
	}
	c.deaf, c.quietFrom = false, time.Time{}
	if !c.settled && !c.pull {
		c.settled = true
		h.m.flaps.settled(c.client)
	}
}

func (c *consumer) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// maxEvents is how many the consumer may hold.
func (c *consumer) maxEvents(s *Subscription) int {
	if c.opts.MaxEvents <= 0 {
		return s.MaxOutstandingEvents
	}
	return min(c.opts.MaxEvents, s.MaxOutstandingEvents)
}

// due answers when something is to be done about it though nothing is heard; zero:
// never.
func (c *consumer) due(peerTimeout time.Duration) time.Time {
	switch {
	case c.waits():
		return c.notBefore
	case c.over || c.pull || c.quietFrom.IsZero() || c.inHands > 0:
		return time.Time{}
	}
	return c.quietFrom.Add(peerTimeout)
}

// waits reports whether it is not handed anything yet.
func (c *consumer) waits() bool { return !c.notBefore.IsZero() && time.Now().Before(c.notBefore) }

func (c *consumer) room(s *Subscription) int {
	switch {
	case c.alone, c.unread(), c.waits():
		return 0
	case c.deaf:
		return max(1-len(c.held), 0)
	}
	if c.opts.MaxBytes > 0 && c.bytes >= c.opts.MaxBytes {
		return 0
	}
	return max(c.maxEvents(s)-len(c.held)-c.taken, 0)
}

func (c *consumer) hasRoom(s *Subscription, size int64) bool {
	switch {
	case c.room(s) == 0:
		return false
	case len(c.held) == 0: // one event is always handed out
		return true
	}
	return c.opts.MaxBytes <= 0 || c.bytes+size <= c.opts.MaxBytes
}

func (c *consumer) assign(hd *hold) {
	c.box = append(c.box, hd)
	c.held[hd] = struct{}{}
	c.bytes += hd.size
	c.poke()
}

// release takes a hold out of the consumer's hands.
func (c *consumer) release(hd *hold) {
	if _, ok := c.held[hd]; !ok {
		return
	}
	delete(c.held, hd)
	c.bytes -= hd.size
	if hd.stage == boxed {
		c.box = slices.DeleteFunc(c.box, func(other *hold) bool { return other == hd })
	} else {
		c.inHands--
	}
	if c.sole == hd {
		c.sole = nil
	}
	c.alone = c.alone && len(c.held) > 0
}

// clear forgets everything: the generation is over.
func (c *consumer) clear() {
	c.box, c.bytes, c.inHands, c.sole, c.sending, c.alone = nil, 0, 0, nil, nil, false
	if c.held != nil {
		c.held = make(map[*hold]struct{})
	}
	c.poke()
}

// handOver answers the next frame's deliveries, which are in force from then on.
func (h *home) handOver(c *consumer, events, bytes int) []Delivery {
	h.mu.Lock()
	if c.stuck {
		c.stuck = false
		if !c.deaf {
			c.quietFrom = time.Time{}
		}
		h.poke()
	}
	out := make([]Delivery, 0, min(len(c.box), events))
	tokens := make([]token, 0, cap(out))
	now := time.Now()
	latest := now.Add(h.sub.AckDeadline) // it may have been shortened meanwhile
	size := 0
	n := 0
	c.sending = c.sending[:0]
	for _, hd := range c.box {
		if len(out) == events || len(out) > 0 && size+int(hd.size) > bytes {
			break
		}
		n++
		// The process may have stood still since it was chosen.
		if hd.stage != boxed || hd.consumer != c || !hd.deadline.After(now) {
			continue
		}
		size += int(hd.size)
		h.give(hd, now, latest)
		out = append(out, Delivery{Attempt: hd.attempt(), HandOut: hd.HandOut, Deadline: hd.deadline, Replayed: hd.replay, Replay: hd.replayOf(h.sub), Event: hd.event})
		tokens = append(tokens, h.tokenOf(hd))
	}
	clear(c.box[:n])
	c.box = c.box[n:]
	if len(c.box) == 0 {
		c.box = nil
	}
	h.mu.Unlock()
	for i := range out {
		out[i].Token = h.m.signer.sign(tokens[i])
	}
	return out
}

// give puts a hold into the hands of the consumer it was chosen for.
func (h *home) give(hd *hold, now, latest time.Time) {
	c := hd.consumer
	if latest.Before(hd.deadline) {
		hd.deadline = latest
		h.clock.set(hd.deadline, hd)
	}
	if hd.HandOut > 0 || hd.Failed > 0 || hd.Deaths > 0 {
		h.redelivered.Add(1)
	}
	hd.stage = given
	h.nextHandOut(hd)
	if hd.Suspect {
		hd.Begun++
		h.note(hd) // its gateway may be what it is lost with
	}
	c.sending = append(c.sending, hd)
	c.handed = true
	if c.pull {
		c.taken++
	}
	if c.inHands++; c.inHands == 1 {
		c.sole = hd
	} else {
		hd.shared = true
		if c.sole != nil {
			c.sole.shared, c.sole = true, nil
		}
	}
	h.delivered.Add(1)
}

// sent notes that the frame that was on its way has been taken.
func (c *consumer) sent() {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	c.sending = c.sending[:0]
}

func (h *home) tokenOf(hd *hold) token {
	return token{
		uid: h.uid, generation: h.sub.Generation, replay: hd.replay, seq: hd.seq, turn: hd.turn,
		attempt: hd.queued, hand: uint64(hd.HandOut), home: h.m.gateway, deadline: h.m.toAll(hd.deadline),
	}
}

// Attach hands deliveries of the subscription to send, one frame at a time,
// until ctx ends, send fails, or the subscription or the gateway does. The first
// frame comes at once and may be empty. What was handed over and is not settled
// when it returns is given back at once: its tokens are expired.
//
// It ends with ErrUnresponsive when nobody seems to be at the other end: see
// Options.PeerTimeout. Then, and only then, a call of send may be under way that
// the peer never takes: it is for the caller to end it.
func (m *Manager) Attach(ctx context.Context, id string, o ConsumerOptions, send func(Frame) error) error {
	h, err := m.home(ctx, id)
	if err != nil {
		return err
	}
	c, err := h.join(o, false)
	if err != nil {
		return err
	}
	s := &streaming{consumer: c, send: send, phase: -1}
	how := lost // when send panics
	defer func() { h.leave(c, how) }()
	err = s.untilGivenUp(ctx)
	how = s.endOf(err)
	return err
}

// streaming is the loop of one stream.
type streaming struct {
	*consumer
	send     func(Frame) error
	phase    Phase
	sentAt   time.Time
	draining bool
	endAt    time.Time
	first    time.Time // when the batch that is filling began
}

func (s *streaming) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case s.h.ctx.Err() != nil:
			return context.Cause(s.h.ctx)
		}
		next, err := s.step(ctx)
		if err != nil {
			return err
		}
		timer.Reset(time.Until(next))
		select {
		case <-s.wake:
		case <-timer.C:
		case <-ctx.Done():
		case <-s.h.ctx.Done():
		}
	}
}

// step sends what there is to be sent and answers when to look again at the
// latest.
func (s *streaming) step(ctx context.Context) (time.Time, error) {
	if err := s.tell(ctx); err != nil {
		return time.Time{}, err
	}
	for {
		if at := s.fillUntil(); !at.IsZero() {
			return at, nil
		}
		some := s.h.handOver(s.consumer, s.opts.BatchEvents, s.opts.BatchBytes)
		if len(some) == 0 {
			break
		}
		if err := s.frame(Frame{Deliveries: some}); err != nil {
			return time.Time{}, err
		}
		s.sent()
	}
	next := s.sentAt.Add(s.opts.Heartbeat)
	if s.draining && s.endAt.Before(next) {
		next = s.endAt
	}
	return next, nil
}

// fillUntil answers until when the batch may wait to be filled, zero when it is
// to be sent, or empty.
func (s *streaming) fillUntil() time.Time {
	s.h.mu.Lock()
	n := len(s.box)
	s.h.mu.Unlock()
	switch {
	case n == 0 || n >= s.opts.BatchEvents || s.opts.BatchWait <= 0:
		s.first = time.Time{}
		return s.first
	case s.first.IsZero():
		s.first = time.Now()
	}
	if until := s.first.Add(s.opts.BatchWait); time.Now().Before(until) {
		return until
	}
	s.first = time.Time{}
	return s.first
}

// tell sends what is due whether there are deliveries or not.
func (s *streaming) tell(ctx context.Context) error {
	s.h.mu.Lock()
	phase := s.h.phase()
	s.h.mu.Unlock()
	if d := s.h.m.draining(); d != nil {
		if !s.draining {
			s.draining, s.endAt = true, d.endOfOne()
			if err := s.frame(Frame{Draining: max(time.Until(s.endAt), time.Millisecond)}); err != nil {
				return err
			}
		}
		if !time.Now().Before(s.endAt) {
			return ErrDraining
		}
	}
	if g := s.h.m.UntoldGap(ctx, s.h.id()); g.Missed > 0 {
		if err := s.frame(Frame{Gap: g}); err != nil {
			return err
		}
	}
	if phase != s.phase || !time.Now().Before(s.sentAt.Add(s.opts.Heartbeat)) {
		s.phase = phase
		return s.frame(Frame{})
	}
	return nil
}

func (s *streaming) frame(f Frame) error {
	f.Phase = s.phase
	s.sentAt = time.Now()
	return s.send(f)
}

// Pull answers up to o.MaxEvents deliveries (100 when 0) of up to o.BatchBytes
// (MaxPullBytes when 0, and at most), counted as they are kept, one at least, as soon as there are any, and none when there are none within wait. What it answered stays in force
// until its deadline. When ctx ends first, what was found is given back.
func (m *Manager) Pull(ctx context.Context, id string, o ConsumerOptions, wait time.Duration) ([]Delivery, error) {
	h, err := m.home(ctx, id)
	if err != nil {
		return nil, err
	}
	h.pulls.Add(1)
	o.MaxEvents = cmp.Or(o.MaxEvents, defaultPullEvents)
	c, err := h.join(o, true)
	if err != nil {
		return nil, err
	}
	defer h.leave(c, released)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		h.mu.Lock()
		paused, there := h.sub.Paused, len(c.box) > 0
		h.mu.Unlock()
		switch {
		case paused:
			return nil, ErrPaused
		case m.draining() != nil:
			return nil, ErrDraining
		case there:
			c.gather(ctx)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return h.handOver(c, o.MaxEvents, min(cmp.Or(o.BatchBytes, MaxPullBytes), MaxPullBytes)), nil
		}
		select {
		case <-c.wake:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-h.ctx.Done():
			return nil, context.Cause(h.ctx)
		}
	}
}

const (
	// MaxPullBytes bounds the answer to a Pull: clients refuse a message of 4 MiB.
	MaxPullBytes = 3 << 20
	// gatherTime is how long a Pull that has something waits for more: what comes
	// together is handed out together.
	gatherTime = 2 * time.Millisecond
)

// gather waits until nothing more comes for a moment, or there is enough.
func (c *consumer) gather(ctx context.Context) {
	t := time.NewTimer(gatherTime)
	defer t.Stop()
	for {
		c.h.mu.Lock()
		full := c.room(c.h.sub) == 0
		c.h.mu.Unlock()
		if full {
			return
		}
		select {
		case <-c.wake:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
