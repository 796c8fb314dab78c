package client

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A consumer takes deliveries of a subscription, has them handled, and says what
// became of them.
//
// What holds while mu is not held: of an event at most one handler runs (busy),
// and of its deliveries only the newest is in byEvent, the others are over. What
// is in held is to be extended, handled, or told. Each work that came is at its
// end handled and told, released, lost by the gateway's word or by the end of its
// stream, or over; none is dropped for another reason.
type consumer struct {
	RunOptions
	conn    grpc.ClientConnInterface
	service hookstreamv1.SubscriptionServiceClient
	name    string
	handle  Handler
	onError func(error)

	// They have the values of Run's context, and end one after the other.
	handlers, calls, streams context.Context
	endHandlers              context.CancelCauseFunc
	endCalls, endStreams     context.CancelFunc
	// closed ends when nothing is decided any more.
	closed    context.Context
	endClosed context.CancelFunc

	helpers   sync.WaitGroup
	settled   sync.WaitGroup // what has something to say
	lookAgain chan struct{}  // for the leases

	// mu guards what follows. Nobody holds it while a handler runs, a call is under way
	// or OnError is told; no other is taken under it.
	mu          sync.Mutex
	lease       time.Duration    // the subscription's ack deadline
	held        map[*work]bool   // what the gateway leaves to us, and what is not told yet
	byEvent     map[string]*work // of held, the newest delivery of each event
	busy        map[string]*work // what a handler is at, by the event's name
	queue       []*work          // of held, to be begun
	running     int              // handlers
	past        past             // what is held no more
	verdicts    mouth            // of handlers
	releases    mouth            // of what no handler began, or gave back
	telling     int              // mouths that are at a call
	nextLook    time.Time        // at the leases
	leasePauses pauses
	stopping    bool          // nothing is begun any more
	closing     bool          // nothing is decided any more
	quiet       chan struct{} // closed when stopping and no handler runs
	unflushed   error         // of Flush: nothing is acknowledged any more
	broken      chan struct{} // closed with that
}

// defaultLease is assumed until a stream says what the subscription has.
const defaultLease = time.Minute

func newConsumer(ctx context.Context, conn grpc.ClientConnInterface, subscription string, handle Handler, o RunOptions) *consumer {
	c := &consumer{
		RunOptions: o, conn: conn, service: hookstreamv1.NewSubscriptionServiceClient(conn),
		name: subscriptionName(subscription), handle: handle, onError: told(o.OnError),
		lookAgain: make(chan struct{}, 1), quiet: make(chan struct{}), broken: make(chan struct{}),
		lease: defaultLease, held: make(map[*work]bool), byEvent: make(map[string]*work), busy: make(map[string]*work),
		verdicts: newMouth(), releases: newMouth(),
	}
	ctx = context.WithoutCancel(ctx)
	c.handlers, c.endHandlers = context.WithCancelCause(ctx)
	c.calls, c.endCalls = context.WithCancel(ctx)
	c.streams, c.endStreams = context.WithCancel(ctx)
	c.closed, c.endClosed = context.WithCancel(ctx)
	return c
}

func (c *consumer) subscriber() *subscriber {
	return &subscriber{conn: c.conn, reader: c, every: time.Hour, onError: c.onError, overlap: true, endless: true, mustReach: c.MustReach}
}

func (c *consumer) request() *hookstreamv1.SubscribeRequest {
	return &hookstreamv1.SubscribeRequest{
		Subscription: c.name,
		FlowControl:  &hookstreamv1.FlowControl{MaxOutstandingEvents: int32(c.MaxOutstanding)},
		View:         c.View,
		ClientId:     c.ClientID,
	}
}

func (c *consumer) tick() error { return nil }

// onFrame begins what a frame brings, as far as handlers are free.
func (c *consumer) onFrame(s *stream, f *frame) error {
	now := time.Now()
	if f.GetBatch() == nil && c.OnFrame != nil {
		c.OnFrame(f)
	}
	if gap := f.GetGap(); gap != nil {
		c.onError(&GapError{Gap: gap})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if lease := f.GetOpened().GetSubscription().GetAckDeadline(); lease.AsDuration() > 0 {
		c.lease = lease.AsDuration()
	}
	s.clock.hear(f.GetHeartbeat().GetSendTime(), now)
	if d := f.GetDraining(); d != nil {
		c.leave(s, now.Add(d.GetGracePeriod().AsDuration()/2))
	}
	for _, d := range f.GetBatch().GetDeliveries() {
		c.receive(s, d, now)
	}
	c.dispatch()
	return nil
}

// leave gives back what of a stream is not begun at a time: the stream will end,
// and then nobody could tell what a handler was at and what merely lay here. c.mu
// is held.
func (c *consumer) leave(s *stream, at time.Time) {
	if !at.After(time.Now()) {
		return // it was not said how long the stream stays
	}
	s.leaveTime = at
	for w := range c.held {
		if w.stream == s && w.phase == waiting {
			w.lastTime = soonest(w.lastTime, at)
			c.look(w)
		}
	}
}

// receive takes one delivery over. c.mu is held.
func (c *consumer) receive(s *stream, d *hookstreamv1.Delivery, now time.Time) {
	if c.closing {
		return // goes back when the stream is closed
	}
	w := c.newWork(s, d, now)
	if old := c.byEvent[w.event]; old != nil {
		c.replace(old, w)
		return
	}
	last, known := c.past.last(w.event)
	switch {
	case known && w.numbered(last.identity) && w.same(last.identity): // said twice
	case known && w.before(last.identity):
		c.decline(w)
	default:
		c.hold(w)
		if known && last.covers(w.identity, now) {
			c.decide(w, verdict{})
			return
		}
		c.admit(w)
	}
}

func (c *consumer) newWork(s *stream, d *hookstreamv1.Delivery, now time.Time) *work {
	left := s.clock.left(d.GetAckDeadline(), now, c.lease)
	w := &work{
		identity: identityOf(d), stream: s, token: d.GetAckToken(), delivery: d,
		lease: c.lease, deadline: now.Add(left), extendTime: now.Add(left / 2), lastTime: now.Add(c.HandlerTimeout),
	}
	if left > 0 { // else nobody knows
		w.lease = min(max(left, shortestLease), longestLease)
	}
	if !s.leaveTime.IsZero() {
		w.lastTime = soonest(w.lastTime, s.leaveTime)
	}
	return w
}

// replace takes a delivery of an event of which another is here. When it is newer
// the other is over, whatever its handler says: nothing is told about it any more,
// and the newer one is handled when the handler of the other has ended. Only an
// acknowledgement goes over to the newer delivery, and only when that is certainly
// the next one, so that neither a Seek nor a replay wants the event handled again
// and nobody refused it in between. A refusal never goes over. c.mu is held.
func (c *consumer) replace(old, w *work) {
	switch {
	case w.same(old.identity):
		return // said twice
	case w.before(old.identity):
		c.decline(w)
		return
	}
	handled := old.phase == decided && old.verdict.nack == nil && w.follows(old.identity)
	old.over = true
	c.forget(old)
	c.hold(w)
	if handled {
		old.verdict.moved = true
		c.decide(w, verdict{})
		return
	}
	c.admit(w)
}

// hold takes a work over. c.mu is held.
func (c *consumer) hold(w *work) {
	c.held[w], c.byEvent[w.event] = true, w
	c.look(w)
}

// admit has a work begun when its turn comes, unless another delivery of the event
// is being handled: then when that has ended. c.mu is held.
func (c *consumer) admit(w *work) {
	if c.busy[w.event] == nil {
		w.queued = true
		c.queue = append(c.queue, w)
	}
}

// decline gives back a delivery that is not taken over, because a newer one was
// here before it: it is over, or else the gateway counts anew. c.mu is held.
func (c *consumer) decline(w *work) {
	c.release(w, "a later delivery of the event had come before it")
}

// ended forgets what was not begun of a stream: the gateway hands it out again.
// What is being handled goes on; its acknowledgement may still be in time.
func (c *consumer) ended(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.held {
		if w.stream == s && w.phase == waiting {
			c.forget(w)
		}
	}
}

// forget ends our part in a work. c.mu is held.
func (c *consumer) forget(w *work) {
	if w.queued {
		w.queued = false
		c.queue = slices.DeleteFunc(c.queue, func(q *work) bool { return q == w })
	}
	delete(c.held, w)
	if c.byEvent[w.event] == w {
		delete(c.byEvent, w.event)
		c.past.add(w.identity, false, time.Now())
	}
}

// dispatch begins what it can. A delivery whose deadline may have passed is not
// begun: it may be with somebody else by now. It is queued again when the gateway
// says that it is ours. c.mu is held.
func (c *consumer) dispatch() {
	now := time.Now()
	for !c.stopping && c.running < c.Concurrency && len(c.queue) > 0 {
		w := c.queue[0]
		c.queue = c.queue[1:]
		w.queued = false
		if !now.Before(w.deadline) {
			w.extendTime = soonest(w.extendTime, now)
			c.look(w)
			continue
		}
		w.phase, w.lastTime = running, now.Add(c.HandlerTimeout)
		c.busy[w.event] = w
		c.running++
		go c.run(w, w.delivery)
	}
}

// run has an event handled, on a goroutine of its own: a handler may end that.
func (c *consumer) run(w *work, d *hookstreamv1.Delivery) {
	var v verdict
	defer func() { c.finish(w, v) }()
	ctx, cancel := context.WithTimeout(c.handlers, c.HandlerTimeout)
	defer cancel()
	returned := false
	defer func() {
		if returned {
			return
		}
		p := &PanicError{Delivery: d, Value: recover(), Stack: debug.Stack()}
		v = verdictOf(p)
		c.onError(p)
	}()
	v = verdictOf(c.handle(ctx, d))
	returned = true
}

// finish takes a handler's verdict and lets the next begin.
func (c *consumer) finish(w *work, v verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running--
	delete(c.busy, w.event)
	if next := c.byEvent[w.event]; next != nil && next != w && next.phase == waiting {
		if v.nack == nil && next.follows(w.identity) {
			v.moved = true
			c.decide(next, verdict{})
		} else {
			c.admit(next)
		}
	}
	c.decide(w, v)
	c.dispatch()
	c.hush()
}

// decide has the gateway told. c.mu is held.
func (c *consumer) decide(w *work, v verdict) {
	w.phase, w.verdict = decided, v
	if w.releasing() {
		c.releases.add(w)
		return
	}
	c.verdicts.add(w)
}

// release has a work given back that was not begun. c.mu is held.
func (c *consumer) release(w *work, reason string) {
	if w.queued {
		w.queued = false
		c.queue = slices.DeleteFunc(c.queue, func(q *work) bool { return q == w })
	}
	c.decide(w, verdict{nack: &nack{action: hookstreamv1.Settlement_VERDICT_RELEASE, reason: reason}})
	w.verdict.unbegun = true
}

// stop begins nothing any more, gives back what was not begun, and answers a
// channel that is closed when no handler runs. What comes from now on is kept until
// close: given back at once it would only come again.
func (c *consumer) stop() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	c.giveBack()
	c.hush()
	c.verdicts.rouse()
	return c.quiet
}

// giveBack releases everything that was not begun. c.mu is held.
func (c *consumer) giveBack() {
	for w := range c.held {
		if w.phase == waiting && !w.kept {
			c.release(w, "the consumer stops")
		}
	}
}

// hush says that no handler runs when that is so for good. c.mu is held.
func (c *consumer) hush() {
	if !c.stopping || c.running > 0 {
		return
	}
	select {
	case <-c.quiet:
	default:
		close(c.quiet)
	}
}

// close has the settlers end when they have said everything.
func (c *consumer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.giveBack()
	c.closing = true
	c.endClosed()
	c.verdicts.rouse()
	c.releases.rouse()
}

// signal has whoever waits for a channel look, once.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// A GapError is told to OnError of [Run] when the log dropped events before the
// subscription could hand them out. They do not come any more; each gap is told to
// one of the subscription's consumers.
type GapError struct {
	// Gap as the gateway told it.
	Gap *hookstreamv1.Gap
}

func (e *GapError) Error() string {
	return fmt.Sprintf("the log dropped %d events before the subscription could look at them", e.Gap.GetMissedEvents())
}
