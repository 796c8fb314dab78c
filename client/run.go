package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// RunOptions say how to consume a subscription. The zero value handles one event
// after another.
type RunOptions struct {
	// Concurrency is how many events are handled at once. Default 1. Events are
	// begun as they come; only a subscription that is ordered by entity keeps the
	// order of an entity's events when it is more than 1, and it does so always.
	Concurrency int
	// MaxOutstanding is how many events are held, handled or waiting here, before
	// the gateway sends more. Default four times Concurrency. More is faster when
	// handlers take less time than an acknowledgement; fewer leaves more to other
	// consumers.
	MaxOutstanding int
	// HandlerTimeout is how long a handler may take. Until then the gateway is
	// asked, again and again, to leave the event to it. After it the handler's
	// context ends, and the event goes to somebody else. It is also how long an
	// event may wait here for a handler before it is given back. Default one hour.
	HandlerTimeout time.Duration
	// Grace is how long handlers may go on when Run is to end. Default ten
	// seconds.
	Grace time.Duration
	// AckDelay is how long an acknowledgement may wait for others, to share a
	// call with them. It waits for nothing when nothing is being handled. Default
	// five milliseconds.
	AckDelay time.Duration
	// Flush makes last what handlers did that have answered: for those that write
	// into a buffer, or whose effects are committed together. It is called before
	// acknowledgements are sent, once for all that share a call, while other
	// handlers may run; it has to end with its context. None is sent after its
	// error: Run gives those events back, which costs no attempt, and ends with it.
	// Nil: what a handler did lasts when it answers.
	Flush func(context.Context) error
	// MustReach ends Run with the error when no stream could be opened at all: for
	// a program beside which somebody sits, who may have mistyped an address.
	MustReach bool
	// View is how much of each event to get. TYPED by default.
	View hookstreamv1.EventView
	// ClientID is a name for this consumer in the subscription's state, with
	// what is parked, and in the gateway's log; at most 128 characters. A name
	// for the process is best.
	ClientID string

	// OnError is told what Run goes on after: a stream that ended and will be
	// opened again, an acknowledgement that has to be repeated, a [*PanicError],
	// a [*SettleError], a [*GapError]. It is not told what handlers answer. It may be called by
	// several goroutines at once.
	OnError func(error)
	// OnFrame is shown every frame that is not a batch: opened, with the
	// subscription's settings, heartbeats, whose phase says whether it is paused
	// or standing by, draining, gap. It may be called by several goroutines at once.
	OnFrame func(*hookstreamv1.SubscribeResponse)
}

func (o RunOptions) withDefaults() RunOptions {
	o.Concurrency = max(o.Concurrency, 1)
	o.MaxOutstanding = min(cmp.Or(o.MaxOutstanding, 4*o.Concurrency), mostOutstanding)
	o.HandlerTimeout = cmp.Or(o.HandlerTimeout, time.Hour)
	o.Grace = cmp.Or(o.Grace, 10*time.Second)
	o.AckDelay = cmp.Or(o.AckDelay, 5*time.Millisecond)
	return o
}

// mostOutstanding is a bound of the API.
const mostOutstanding = 100_000

// Bounds on the end of Run, after Grace.
const (
	// lastWord is how long handlers whose context was ended have to say so.
	lastWord = time.Second
	// lastCall is how long the last acknowledgements may take.
	lastCall = 5 * time.Second
)

// errEnded says that a stream ended with OK that has no stop, or before it began.
var errEnded = errors.New("the gateway ended the stream")

// errStopping ends the handlers' context.
var errStopping = errors.New("client: stopping")

// Run consumes a subscription, `crm` or `subscriptions/crm`, until ctx ends. Any
// number of processes, and calls, share its events.
//
// The handler's answer decides what becomes of an event: nil acknowledges it,
// [Park], [Skip], [RetryAfter] and [Release] say what they say, and any other error, or a
// panic, has it handed out again after the subscription's back-off; after the last
// attempt it is parked. The text of the error is kept by the gateway for whoever
// looks at what was parked: up to 1,024 bytes, so keep secrets out of it.
//
// An event is handed out until its acknowledgement is confirmed: at least once.
// When a stream breaks, the gateway hands out what it had carried anew. A Run
// handles an event once at a time: one that comes back while it is still being
// handled waits for that, and is then handled again. Its handler's answer belongs
// to the delivery it was given for. Only when the answer was nil, and what came is
// certainly the very next delivery of the event, neither after a Seek nor replayed,
// is that acknowledged without being handled a second time; so it is when it comes
// after an acknowledgement that was too late.
//
// What waits longer than HandlerTimeout for a handler is given back, so that others
// can have it; this costs no attempt.
//
// When ctx ends, no event is begun any more, the handlers that run have Grace to
// finish and then find their context ended, acknowledgements are sent, and what
// else was held is given back at once. The handlers' context does not
// end with ctx before that, but has its values. Run returns nil when
// every event that was begun was settled, and an error that says how many were
// not; at the latest about six seconds after Grace, though a handler that ignores
// its context may still run.
//
// Run ends by itself, in the same way, when another attempt cannot mend what is
// wrong: the subscription does not exist or was deleted, the request is refused.
// See [Reason]. A gateway that cannot be reached is tried again for ever, unless
// MustReach says otherwise.
func Run(ctx context.Context, conn grpc.ClientConnInterface, subscription string, handle Handler, o RunOptions) error {
	c := newConsumer(ctx, conn, subscription, handle, o.withDefaults())
	taking, stopTaking := context.WithCancel(ctx)
	defer stopTaking()
	ended := c.start(taking)
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	case <-c.broken:
	}
	stopTaking()
	c.windUp()
	if lost := c.flushError(); lost != nil {
		return lost
	}
	if err == nil || ctx.Err() != nil {
		return c.leftover()
	}
	return err
}

// start sets everything going. The channel answers why there are no more streams.
func (c *consumer) start(taking context.Context) <-chan error {
	ended := make(chan error, 1)
	c.settled.Go(func() { c.settle(c.calls, &c.verdicts) })
	c.settled.Go(func() { c.settle(c.calls, &c.releases) })
	c.helpers.Go(func() { c.keepLeases(c.calls) })
	c.helpers.Go(func() { ended <- c.subscriber().run(taking, c.streams) })
	return ended
}

// windUp ends everything in good order. The streams stay open until the handlers
// have finished and were acknowledged: what an ended stream carried is handed out
// again at once.
func (c *consumer) windUp() {
	quiet := c.stop()
	await(quiet, c.Grace)
	c.endHandlers(errStopping)
	await(quiet, lastWord)
	c.close()
	settled := make(chan struct{})
	c.helpers.Go(func() { c.settled.Wait(); close(settled) })
	await(settled, lastCall)
	c.endCalls()
	c.endStreams()
	c.helpers.Wait()
}

// await waits for done, but not for longer than d.
func await(done <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// leftover answers an error when something that was begun was not settled.
func (c *consumer) leftover() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	unsaid := len(slices.DeleteFunc(slices.Clone(c.verdicts.pending), func(w *work) bool { return w.over }))
	if c.running == 0 && unsaid == 0 {
		return nil
	}
	return fmt.Errorf("client: stopped with %d events still being handled and %d acknowledgements not confirmed", c.running, unsaid)
}

// subscriptionName answers the resource name for it or its id.
func subscriptionName(s string) string {
	return "subscriptions/" + strings.TrimPrefix(s, "subscriptions/")
}
