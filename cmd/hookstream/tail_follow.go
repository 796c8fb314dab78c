package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// ahead is how many events of a subscription may wait here to be printed.
	ahead = 256
	// printGrace is how long the last events may take to be printed.
	printGrace = time.Second
)

// A follower prints events: of the log, or of a subscription, whose consumer it is
// then. When a stream breaks it goes on where it was, as [client.Stream] and
// [client.Run] do; what was printed counts, for the place and for acknowledgements,
// once it was written.
type follower struct {
	conn         grpc.ClientConnInterface
	subscription string // empty: the log
	options      client.StreamOptions
	count        int // events to print; 0: no bound
	place        *cursorFile
	printer      deliveryPrinter
	sync         func() error // makes what was written last, before it is confirmed; may be nil
	say          func(format string, args ...any)
	onOpen       func() // called once, when the stream is open for the first time; may be nil

	printed int
	failed  error // what was printed could not be written, or the place not be kept

	mu     sync.Mutex // streams of a subscription may overlap
	opened bool       // ever
	phase  hookstreamv1.SubscriptionPhase
}

// run follows until the stream's stop or the count is reached or ctx ends, nil, or
// an error that another attempt cannot mend. An unreachable gateway is such an error
// until it was reached once: somebody has mistyped its address.
func (f *follower) run(ctx context.Context) error {
	if f.subscription != "" {
		return f.consume(ctx)
	}
	o := f.options
	o.MustReach, o.OnFrame, o.OnError = true, f.tell, f.goOn
	o.Flush = func(context.Context) error { return f.note(f.printer.flush()) }
	if f.place != nil {
		o.Cursors = syncedPlace{f}
	}
	err := client.Stream(ctx, f.conn, o, f.print)
	if f.failed != nil {
		return f.failed
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // that it ended is how people stop following
	}
	return err
}

// print prints an event of the log.
func (f *follower) print(_ context.Context, d *hookstreamv1.Delivery) error {
	if err := f.note(f.printer.print(d)); err != nil {
		return err
	}
	if f.printed++; f.printed == f.count {
		return client.ErrStop
	}
	return nil
}

// note remembers what cannot be written.
func (f *follower) note(err error) error {
	f.failed = cmp.Or(f.failed, err)
	return err
}

// A syncedPlace keeps a place after what was printed lasts.
type syncedPlace struct{ *follower }

func (p syncedPlace) Load(context.Context) (string, error) { return p.place.load() }

func (p syncedPlace) Save(_ context.Context, cursor string) error {
	if err := p.syncOutput(); err != nil {
		return p.note(err)
	}
	return p.note(p.place.save(cursor))
}

func (f *follower) syncOutput() error {
	if f.sync == nil {
		return nil
	}
	return f.sync()
}

// consume prints the events of a subscription and acknowledges them.
func (f *follower) consume(ctx context.Context) error {
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	wanted := ahead
	if f.count > 0 { // what would not be printed is left to other consumers
		wanted = min(f.count, ahead)
	}
	err := client.Run(ctx, f.conn, f.subscription, func(_ context.Context, d *hookstreamv1.Delivery) error {
		return f.printDelivery(d, enough)
	}, client.RunOptions{
		MaxOutstanding: wanted, Grace: printGrace, View: f.options.View, ClientID: f.options.ClientID,
		MustReach: true, OnFrame: f.tell, OnError: f.goOn,
		Flush: func(context.Context) error { return f.syncOutput() },
	})
	return cmp.Or(f.failed, err)
}

// printDelivery prints an event of a subscription. What is not wanted any more, or of
// which nobody knows how much was seen, is given back.
func (f *follower) printDelivery(d *hookstreamv1.Delivery, enough func()) error {
	if f.failed != nil || f.count > 0 && f.printed == f.count {
		return client.Release(errors.New("no more events are printed"))
	}
	err := f.printer.print(d)
	if err == nil {
		err = f.printer.flush()
	}
	if f.note(err) != nil {
		enough()
		return client.Release(err)
	}
	if f.printed++; f.printed == f.count {
		enough()
	}
	return nil
}

// goOn tells of what is gone on after.
func (f *follower) goOn(err error) {
	var uncounted *client.SettleError
	switch {
	case errors.As(err, new(*client.GapError)): // tell does
	case errors.As(err, &uncounted):
		f.say("%s; the gateway hands it out again", oneLine(uncounted.Error()))
	case errors.Unwrap(err) != nil:
		f.say("%s; trying again", oneLine(err.Error())) // a call about deliveries
	default:
		f.say("the stream ended: %s; connecting again", reasonOf(err))
	}
}

func reasonOf(err error) string {
	if st, ok := status.FromError(err); ok {
		return oneLine(plain(st.Message()))
	}
	return err.Error()
}

// tell says what is no event and what people should know.
func (f *follower) tell(frame *hookstreamv1.SubscribeResponse) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case frame.GetOpened() != nil:
		f.tellOpen()
		f.tellPhase(frame.GetOpened().GetPhase())
	case frame.GetFellBehind() != nil:
		f.say("too slow for live events, reading from the log; %d events to look at, none lost", frame.GetFellBehind().GetLagEvents())
	case frame.GetGap() != nil:
		f.say("%s", gapWords(frame.GetGap()))
	case frame.GetHeartbeat() != nil:
		f.tellPhase(frame.GetHeartbeat().GetPhase())
	case frame.GetDraining() != nil:
		f.say("the gateway is going down within %s", frame.GetDraining().GetGracePeriod().AsDuration())
	}
}

// tellOpen says that a stream is open again. f.mu is held.
func (f *follower) tellOpen() {
	switch {
	case f.opened:
		f.say("connected again, going on where it was")
	case f.onOpen != nil:
		f.onOpen()
	}
	f.opened = true
}

// tellPhase says when a subscription begins or ceases to hand out. f.mu is held.
func (f *follower) tellPhase(phase hookstreamv1.SubscriptionPhase) {
	if phase == f.phase {
		return
	}
	before := f.phase
	f.phase = phase
	switch phase {
	case hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_PAUSED:
		f.say("the subscription is paused")
	case hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_STANDING_BY:
		f.say("another gateway hands out; standing by")
	case hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_ACTIVE:
		if before != hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_UNSPECIFIED {
			f.say("the subscription hands out again")
		}
	}
}

// gapWords tell people of events that nobody will see.
func gapWords(gap *hookstreamv1.Gap) string {
	return fmt.Sprintf("GAP: the log dropped %d events before they could be read%s", gap.GetMissedEvents(), resumeOf(gap))
}

func resumeOf(gap *hookstreamv1.Gap) string {
	if gap.GetResumeTime() == nil {
		return ""
	}
	return fmt.Sprintf("; going on at %s", gap.GetResumeTime().AsTime().UTC().Format(time.RFC3339))
}
