package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// firstBackoff and lastBackoff bound the wait before connecting again.
	firstBackoff = 250 * time.Millisecond
	lastBackoff  = 15 * time.Second
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

// errSilent says that a stream stood still although heartbeats were promised.
var errSilent = errors.New("nothing heard for too long")

// A follower prints a stream of events and, when it breaks, goes on where it
// was.
type follower struct {
	client  hookstreamv1.EventServiceClient
	acks    hookstreamv1.SubscriptionServiceClient // for a request with a subscription
	request *hookstreamv1.SubscribeRequest
	count   int // events still to print; 0: no bound
	place   cursorFile
	printer deliveryPrinter
	say     func(format string, args ...any)
	onOpen  func() // called once, when the stream is open for the first time; may be nil

	printed  int
	cursor   string // after all that was printed
	keptTime time.Time
	kept     string
	opened   bool // ever
	attempt  int  // since the last frame
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
		case ctx.Err() != nil:
			return ctx.Err()
		case !f.opened || !mendable(err):
			return err
		}
		wait := backoff(f.attempt)
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
// cursor on.
func mendable(err error) bool {
	if errors.Is(err, errSilent) {
		return true
	}
	st := status.Convert(err)
	return st.Code() == codes.Unavailable || reason(st) == "SLOW_CONSUMER"
}

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
	watchdog := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	stream, err := f.client.Subscribe(ctx, f.request)
	if err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if errors.Is(context.Cause(ctx), errSilent) {
				return errSilent
			}
			return err
		}
		if beat := frame.GetOpened().GetHeartbeatInterval(); beat != nil {
			silence = silentBeats * beat.AsDuration()
		}
		// Printing may take its time (a pager, a pipe): that is not silence.
		watchdog.Stop()
		done, err := f.take(frame)
		if err = errors.Join(err, f.ack(ctx)); done || err != nil {
			return err
		}
		watchdog.Reset(silence)
	}
}

// take handles one frame and reports whether the count is reached.
func (f *follower) take(frame *hookstreamv1.SubscribeResponse) (done bool, err error) {
	f.attempt = 0
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
		for _, delivery := range frame.GetBatch().GetDeliveries() {
			if done, err := f.print(delivery); done || err != nil {
				return done, errors.Join(err, f.printer.flush())
			}
		}
		if err := f.printer.flush(); err != nil {
			return false, err
		}
	default:
		f.tell(frame)
	}
	f.cursor = frame.GetCursor()
	if time.Since(f.keptTime) < keepEvery {
		return false, nil
	}
	return false, f.keepPlace()
}

// print prints one event. The cursor follows each: a count may end in the middle
// of a batch.
func (f *follower) print(delivery *hookstreamv1.Delivery) (done bool, err error) {
	if err := f.printer.print(delivery); err != nil {
		return false, err
	}
	f.cursor = delivery.GetCursor()
	f.printed++
	if token := delivery.GetAckToken(); token != "" {
		f.unacked = append(f.unacked, token)
	}
	return f.count > 0 && f.printed >= f.count, nil
}

// tell says what is no event and what people should know.
func (f *follower) tell(frame *hookstreamv1.SubscribeResponse) {
	switch {
	case frame.GetFellBehind() != nil:
		f.say("too slow for live events, reading from the log; %d events to look at, none lost", frame.GetFellBehind().GetLagEvents())
	case frame.GetGap() != nil:
		f.say("GAP: the log dropped %d events before they could be read%s", frame.GetGap().GetMissedEvents(), resumeOf(frame.GetGap()))
	case frame.GetHeartbeat() != nil:
		f.tellPhase(frame.GetHeartbeat().GetPhase())
	case frame.GetDraining() != nil:
		f.say("the gateway is going down within %s", frame.GetDraining().GetGracePeriod().AsDuration())
	}
}

func resumeOf(gap *hookstreamv1.Gap) string {
	if gap.GetResumeTime() == nil {
		return ""
	}
	return fmt.Sprintf("; going on at %s", gap.GetResumeTime().AsTime().UTC().Format(time.RFC3339))
}

// keepPlace keeps the position after all that was printed.
func (f *follower) keepPlace() error {
	if f.cursor == f.kept {
		return nil
	}
	if err := f.place.save(f.cursor); err != nil {
		return err
	}
	f.kept, f.keptTime = f.cursor, time.Now()
	return nil
}
