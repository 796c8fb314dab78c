package client

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A consumer takes deliveries of a subscription, has them handled, and says what
// became of them.
type consumer struct {
	RunOptions
	conn    grpc.ClientConnInterface
	name    string
	handle  Handler
	onError func(error)

	// They have the values of Run's context, and end one after the other.
	handlers, calls, streams context.Context
	endHandlers              context.CancelCauseFunc
	endCalls, endStreams     context.CancelFunc

	helpers sync.WaitGroup
	wake    chan struct{} // something changed for the settler
	settled chan struct{} // closed when the settler has ended

	mu       sync.Mutex
	lease    time.Duration    // the subscription's ack deadline
	held     map[*work]bool   // what the gateway leaves to us
	byEvent  map[string]*work // of held, by the event's name
	queue    []*work          // of held, not begun yet
	running  int              // handlers
	late     lateVerdicts     // decided, but not in time
	pending  []say            // to be told to the gateway
	stopping bool             // nothing is begun any more
	closing  bool             // nothing is decided any more
	quiet    chan struct{}    // closed when stopping and no handler runs
}

// A work is one delivery, or several of one event: when it is handed out anew
// while it is being handled here, only the token changes.
type work struct {
	stream   *stream
	event    string
	token    string
	attempt  int32
	replayed bool
	delivery *hookstreamv1.Delivery // the handler's own once it is begun
	phase    phase
	verdict  verdict // when decided

	extendTime time.Time // when to ask for more time
	lastTime   time.Time // after which no more is asked for
	extending  bool      // asked, not answered
	lost       bool      // the gateway leaves it to us no more
}

type phase int

const (
	waiting phase = iota
	running
	decided
)

// defaultLease is assumed until a stream says what the subscription has.
const defaultLease = time.Minute

func newConsumer(ctx context.Context, conn grpc.ClientConnInterface, subscription string, handle Handler, o RunOptions) *consumer {
	c := &consumer{
		RunOptions: o, conn: conn, name: subscriptionName(subscription), handle: handle, onError: told(o.OnError),
		wake: make(chan struct{}, 1), settled: make(chan struct{}), quiet: make(chan struct{}),
		lease: defaultLease, held: make(map[*work]bool), byEvent: make(map[string]*work),
	}
	ctx = context.WithoutCancel(ctx)
	c.handlers, c.endHandlers = context.WithCancelCause(ctx)
	c.calls, c.endCalls = context.WithCancel(ctx)
	c.streams, c.endStreams = context.WithCancel(ctx)
	return c
}

func (c *consumer) subscriber() *subscriber {
	return &subscriber{conn: c.conn, reader: c, every: time.Hour, onError: c.onError, overlap: true, endless: true}
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

// take begins what a frame brings, as far as handlers are free.
func (c *consumer) take(s *stream, f *frame) error {
	if f.GetBatch() == nil && c.OnFrame != nil {
		c.OnFrame(f)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if lease := f.GetOpened().GetSubscription().GetAckDeadline(); lease.AsDuration() > 0 {
		c.lease = lease.AsDuration()
	}
	now := time.Now()
	for _, d := range f.GetBatch().GetDeliveries() {
		c.receive(s, d, now)
	}
	c.dispatch()
	return nil
}

// receive takes one delivery over. c.mu is held.
func (c *consumer) receive(s *stream, d *hookstreamv1.Delivery, now time.Time) {
	w := &work{
		stream: s, event: d.GetEvent().GetName(), token: d.GetAckToken(), attempt: d.GetAttempt(), replayed: d.GetReplayed(), delivery: d,
		extendTime: now.Add(c.lease / 2), lastTime: now.Add(c.HandlerTimeout),
	}
	old := c.byEvent[w.event]
	switch {
	case old != nil && old.token == w.token:
		return // said twice
	case old != nil && w.attempt > old.attempt && w.replayed == old.replayed:
		old.adopt(w)
		return
	}
	v, late := c.late.take(w, now)
	if c.closing || c.stopping && !late {
		return // goes back when the stream is closed
	}
	c.held[w], c.byEvent[w.event] = true, w
	if late {
		c.decide(w, v)
		return
	}
	c.queue = append(c.queue, w)
}

// adopt goes on under the token of another delivery of the same event. Not after
// a Seek or a replay, which count attempts anew: those want it handled again.
func (w *work) adopt(next *work) {
	w.stream, w.token, w.attempt = next.stream, next.token, next.attempt
	w.extendTime, w.extending, w.lost = next.extendTime, false, false
	if w.phase == waiting {
		w.delivery = next.delivery
	}
}

// ended forgets what was not begun of a stream: the gateway hands it out again.
// What is being handled goes on; its acknowledgement may still be in time.
func (c *consumer) ended(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = slices.DeleteFunc(c.queue, func(w *work) bool {
		if w.stream == s {
			c.forget(w)
		}
		return w.stream == s
	})
}

// forget ends our part in a work that is neither running nor queued. c.mu is
// held.
func (c *consumer) forget(w *work) {
	delete(c.held, w)
	if c.byEvent[w.event] == w {
		delete(c.byEvent, w.event)
	}
}

// dispatch begins what it can; after stop nothing is queued. c.mu is held.
func (c *consumer) dispatch() {
	for c.running < c.Concurrency && len(c.queue) > 0 {
		w := c.queue[0]
		c.queue = c.queue[1:]
		w.phase = running
		w.lastTime = time.Now().Add(c.HandlerTimeout)
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
	c.decide(w, v)
	c.dispatch()
	c.hush()
}

// decide has the gateway told. c.mu is held.
func (c *consumer) decide(w *work, v verdict) {
	w.phase, w.verdict = decided, v
	c.pending = append(c.pending, say{work: w})
	c.rouse()
}

// rouse has the settler look.
func (c *consumer) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// stop begins nothing any more, and answers a channel that is closed when no
// handler runs.
func (c *consumer) stop() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopping = true
	for _, w := range c.queue {
		c.forget(w)
	}
	c.queue = nil
	c.hush()
	c.rouse()
	return c.quiet
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

// close has the settler end when it has said everything.
func (c *consumer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	c.rouse()
}
