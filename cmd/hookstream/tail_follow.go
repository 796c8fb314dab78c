package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// firstBackoff and lastBackoff bound the wait before connecting again.
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 15 * time.Second
	// longestAsked is how long a gateway can make us wait.
	longestAsked = time.Minute
	// silentBeats is how many heartbeats may be missing before a stream that says
	// nothing is taken for dead.
	silentBeats = 3
	// openWait is how long the first frame may take.
	openWait = 20 * time.Second
	// keepEvery is how often the position is kept while events come quickly; each
	// time costs an fsync. A process that is killed prints the events since then
	// once more.
	keepEvery = time.Second
)

// errEnded says that a stream ended without a word, and without a stop that was
// asked for: something between here and the gateway did that.
var errEnded = errors.New("it ended without a reason")

// A stopped error is no matter of the connection: another stream would not help.
type stopped struct{ error }

func (s stopped) Unwrap() error { return s.error }

// A follower prints a stream of events and, when it breaks, goes on where it
// was.
type follower struct {
	events  hookstreamv1.EventServiceClient
	acks    hookstreamv1.SubscriptionServiceClient // for a request with a subscription
	request *hookstreamv1.SubscribeRequest
	count   int // events still to print; 0: no bound
	place   *cursorFile
	printer deliveryPrinter
	sync    func() error // makes what was printed last, before it is confirmed; may be nil
	say     func(format string, args ...any)
	onOpen  func() // called once, when the stream is open for the first time; may be nil

	printed  int
	cursor   string // after all that was printed
	keptTime time.Time
	kept     string
	opened   bool // ever
	attempt  int  // since a stream was of use
	unacked  []string
	phase    hookstreamv1.SubscriptionPhase
}

// run follows until the stream's stop or the count is reached, nil, or an error
// that another attempt cannot mend. An unreachable gateway is such an error until
// it was reached once: somebody has mistyped its address.
func (f *follower) run(ctx context.Context) error {
	for {
		err := f.stream(ctx)
		switch {
		case err == nil:
			return nil
		case errors.As(err, new(stopped)):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !f.opened || !mendable(err):
			return err
		}
		wait := max(backoff(f.attempt), min(client.RetryDelay(err), longestAsked))
		f.attempt++
		f.say("the stream ended: %s; connecting again in %s", reasonOf(err), wait.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// mendable reports whether the same request may succeed later, from the last
// cursor on: where a service of the client library goes on.
func mendable(err error) bool { return errors.Is(err, errEnded) || client.Mendable(err) }

func reasonOf(err error) string {
	if st, ok := status.FromError(err); ok {
		return oneLine(plain(st.Message()))
	}
	return err.Error()
}

// backoff grows to lastBackoff and is spread, so that many followers do not come
// back to a restarted gateway at once.
func backoff(attempt int) time.Duration {
	wait := min(firstBackoff<<min(attempt, 10), lastBackoff)
	return wait/2 + rand.N(wait/2)
}

// stream opens one stream, from the last cursor on, and prints it to its end.
func (f *follower) stream(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	f.unacked = nil // the gateway took back what an earlier stream held
	if f.cursor != "" && f.request.GetSubscription() == "" {
		f.request.Start = &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: f.cursor}
	}
	// The watchdog ends a stream whose gateway is gone without a word, which TCP
	// alone notices after many minutes.
	silence := openWait
	watchdog := time.AfterFunc(silence, func() { cancel(client.ErrSilent) })
	defer watchdog.Stop()
	stream, err := f.events.Subscribe(ctx, f.request)
	if err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) && f.request.GetStop() == nil {
			return errEnded
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if errors.Is(context.Cause(ctx), client.ErrSilent) {
				return client.ErrSilent
			}
			return err
		}
		if beat := frame.GetOpened().GetHeartbeatInterval(); beat != nil {
			silence = silentBeats * beat.AsDuration()
		}
		// Printing may take its time (a pager, a pipe): that is not silence.
		watchdog.Stop()
		done, err := f.take(frame)
		if err != nil {
			return stopped{err}
		}
		if err = f.ack(ctx); err != nil && done {
			return stopped{err} // nothing more would be printed
		}
		if done || err != nil {
			return err
		}
		watchdog.Reset(silence)
	}
}

// take handles one frame and reports whether the count is reached.
func (f *follower) take(frame *hookstreamv1.SubscribeResponse) (done bool, err error) {
	switch frame.GetFrame().(type) {
	case *hookstreamv1.SubscribeResponse_Opened:
		switch {
		case f.opened:
			f.say("connected again, going on where it was")
		case f.onOpen != nil:
			f.onOpen()
		}
		f.opened = true
		f.tellPhase(frame.GetOpened().GetPhase())
	case *hookstreamv1.SubscribeResponse_Batch:
		f.attempt = 0
		if done, err := f.print(frame.GetBatch().GetDeliveries()); done || err != nil {
			return done, err
		}
	case *hookstreamv1.SubscribeResponse_Heartbeat:
		// A stream that lasts. One that is opened and ended at once is not of use,
		// however often.
		f.attempt = 0
		f.tell(frame)
	default:
		f.tell(frame)
	}
	f.cursor = frame.GetCursor()
	if time.Since(f.keptTime) < keepEvery {
		return false, nil
	}
	return false, f.keepPlace()
}

// print prints events, and reports whether the count is reached, perhaps in the
// middle of them. They count as printed, for the cursor and for acknowledgements,
// once all of them are written: of a write that failed nobody knows how much was
// seen.
func (f *follower) print(deliveries []*hookstreamv1.Delivery) (done bool, err error) {
	if f.count > 0 {
		deliveries = deliveries[:min(len(deliveries), f.count-f.printed)]
	}
	for _, d := range deliveries {
		if err := f.printer.print(d); err != nil {
			return false, err
		}
	}
	if err := f.printer.flush(); err != nil {
		return false, err
	}
	for _, d := range deliveries {
		f.cursor = d.GetCursor()
		f.printed++
		if token := d.GetAckToken(); token != "" {
			f.unacked = append(f.unacked, token)
		}
	}
	return f.count > 0 && f.printed >= f.count, nil
}

// tell says what is no event and what people should know.
func (f *follower) tell(frame *hookstreamv1.SubscribeResponse) {
	switch {
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

// keepPlace keeps the position after all that was printed.
func (f *follower) keepPlace() error {
	if f.cursor == f.kept || f.place == nil {
		return nil
	}
	if err := f.syncOutput(); err != nil {
		return err
	}
	if err := f.place.save(f.cursor); err != nil {
		return err
	}
	f.kept, f.keptTime = f.cursor, time.Now()
	return nil
}

func (f *follower) syncOutput() error {
	if f.sync == nil {
		return nil
	}
	return f.sync()
}
