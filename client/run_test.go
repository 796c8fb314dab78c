package client_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	done        = hookstreamv1.AckOutcome_ACK_OUTCOME_DONE
	expired     = hookstreamv1.AckOutcome_ACK_OUTCOME_EXPIRED
	unavailable = hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE
)

// A desk is a scripted gateway with one subscription: it hands out what it is
// told to, and remembers what was said about it.
type desk struct {
	hookstreamv1.UnimplementedSubscriptionServiceServer
	scripted
	conn *grpc.ClientConn
	// answer decides about a token; nil: done. err fails calls, one each.
	answer func(token string) hookstreamv1.AckOutcome

	mu    sync.Mutex
	fail  []error
	calls []*hookstreamv1.AcknowledgeRequest
	said  []string // of calls that were answered: "ack a", "retry b: reason", "extend c"
	open  int      // streams
	// alone are says that came while no stream was open.
	alone []string
}

func newDesk(t *testing.T, streams ...script) *desk {
	t.Helper()
	d := &desk{scripted: scripted{t: t, streams: make(chan script, 100)}}
	for _, s := range streams {
		d.streams <- s
	}
	d.conn = dialServer(t, func(server *grpc.Server) {
		hookstreamv1.RegisterEventServiceServer(server, d)
		hookstreamv1.RegisterSubscriptionServiceServer(server, d)
	})
	return d
}

func (d *desk) Subscribe(req *request, stream outgoing) error {
	if req.GetSubscription() != "subscriptions/crm" || req.GetStart() != nil || req.GetSelector() != nil {
		d.t.Errorf("asked for %v", req)
	}
	d.mu.Lock()
	d.open++
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		d.open--
		d.mu.Unlock()
	}()
	return d.scripted.Subscribe(req, stream)
}

func (d *desk) Acknowledge(_ context.Context, req *hookstreamv1.AcknowledgeRequest) (*hookstreamv1.AcknowledgeResponse, error) {
	if err := d.failure(req); err != nil {
		return nil, err
	}
	resp := &hookstreamv1.AcknowledgeResponse{}
	for _, s := range req.GetSettlements() {
		result := d.settle(words(s), s.GetAckToken())
		if s.GetVerdict() == hookstreamv1.Settlement_VERDICT_EXTEND {
			result.NewAckToken = s.GetAckToken() + "'"
		}
		resp.Results = append(resp.Results, result)
	}
	return resp, nil
}

// words are what is said of a delivery: "ack a", "retry after 1s b: reason",
// "extend c".
func words(s *hookstreamv1.Settlement) string {
	what := strings.ToLower(strings.TrimPrefix(s.GetVerdict().String(), "VERDICT_"))
	if s.GetDelay() != nil {
		what += " after " + s.GetDelay().AsDuration().String()
	}
	what += " " + s.GetAckToken()
	switch s.GetVerdict() {
	case hookstreamv1.Settlement_VERDICT_ACK, hookstreamv1.Settlement_VERDICT_EXTEND:
		return what
	}
	return what + ": " + s.GetReason()
}

// failure answers the error with which this call is to fail.
func (d *desk) failure(req *hookstreamv1.AcknowledgeRequest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, req)
	if len(d.fail) == 0 {
		return nil
	}
	err := d.fail[0]
	d.fail = d.fail[1:]
	return err
}

func (d *desk) settle(what, token string) *hookstreamv1.AckResult {
	outcome := done
	if d.answer != nil {
		outcome = d.answer(token)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, what)
	if d.open == 0 {
		d.alone = append(d.alone, what)
	}
	return &hookstreamv1.AckResult{AckToken: token, Outcome: outcome}
}

// heard answers what was said until now.
func (d *desk) heard() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.said)
}

// lent is the first frame of a subscription's stream.
func lent() *frame {
	f := opened()
	f.Cursor = ""
	f.GetOpened().Subscription = &hookstreamv1.Subscription{Name: "subscriptions/crm", AckDeadline: durationpb.New(time.Minute)}
	return f
}

// lives sends frames and then heartbeats until the client goes.
func lives(frames ...*frame) script {
	return func(req *request, s outgoing) error {
		_ = sends(nil, frames...)(req, s)
		for {
			select {
			case <-s.Context().Done():
				return s.Context().Err()
			case <-time.After(15 * time.Second):
				_ = s.Send(heartbeat(""))
			}
		}
	}
}

// hand holds one delivery for each token: event and attempt, as in a1, b1, a2.
func hand(tokens ...string) *frame {
	b := &hookstreamv1.DeliveryBatch{}
	for _, token := range tokens {
		b.Deliveries = append(b.Deliveries, &delivery{
			AckToken: token, Attempt: int32(token[1] - '0'), Event: &hookstreamv1.Event{Name: "events/" + token[:1]},
		})
	}
	return &frame{Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: b}}
}

// errors that were told.
type complaints struct {
	mu   sync.Mutex
	errs []error
}

func (c *complaints) add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

// running is a Run in the background.
type running struct {
	complaints
	cancel context.CancelFunc
	ended  chan error
}

func run(t *testing.T, d *desk, o client.RunOptions, handle client.Handler) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{cancel: cancel, ended: make(chan error, 1)}
	o.OnError = r.add
	go func() { r.ended <- client.Run(ctx, d.conn, "crm", handle, o) }()
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
}

// later runs for a while of the bubble's time.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	got = slices.Clone(got)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got: %s", diff)
	}
}

// Each answer of a handler becomes what it says, and a handler that panics, or
// ends its goroutine, takes nothing along.
func TestAnswersOfAHandler(t *testing.T) { synctest.Test(t, testAnswersOfAHandler) }

func testAnswersOfAHandler(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1", "b1", "c1", "d1", "e1", "f1", "g1", "h1")))
	answers := map[string]func() error{
		"events/a": func() error { return nil },
		"events/b": func() error { return errFull },
		"events/c": func() error { return client.Park(errFull) },
		"events/d": func() error { return client.Skip("ours") },
		"events/e": func() error { return fmt.Errorf("crm: %w", client.RetryAfter(3*time.Second, errFull)) },
		"events/f": func() error { panic("ouch") },
		"events/g": func() error { runtime.Goexit(); return nil },
		"events/h": func() error { return errors.New(strings.Repeat("é", 600) + "\xff") },
	}
	r := run(t, d, client.RunOptions{}, func(_ context.Context, d *delivery) error { return answers[d.GetEvent().GetName()]() })
	later(time.Second)
	r.stop(t)
	want(t, d.said,
		"ack a1", "park c1: full",
		"retry after 3s e1: crm: retry: full", "retry b1: full",
		"retry f1: the handler panicked: ouch", "retry g1: the handler ended its goroutine",
		"retry h1: "+strings.Repeat("é", 512), "skip d1: ours")
	var panicked *client.PanicError
	if len(r.errs) != 2 || !errors.As(r.errs[0], &panicked) {
		t.Fatalf("told %v", r.errs)
	}
	if panicked.Value != "ouch" || panicked.Delivery.GetAckToken() != "f1" || !strings.Contains(string(panicked.Stack), "testAnswersOfAHandler") {
		t.Errorf("told %v, %s", panicked, panicked.Stack)
	}
}

// As many handlers run at once as was said, and the gateway is told how much may
// be held.
func TestConcurrency(t *testing.T) { synctest.Test(t, testConcurrency) }

func testConcurrency(t *testing.T) {
	var req *request
	d := newDesk(t, asked(&req, lives(lent(), hand("a1", "b1", "c1", "d1", "e1", "f1", "g1"))))
	var mu sync.Mutex
	now, most := 0, 0
	r := run(t, d, client.RunOptions{Concurrency: 3}, func(context.Context, *delivery) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(time.Second)
		mu.Lock()
		now--
		mu.Unlock()
		return nil
	})
	later(3500 * time.Millisecond)
	if most != 3 || len(d.heard()) != 7 || req.GetFlowControl().GetMaxOutstandingEvents() != 12 {
		t.Errorf("%d at once, said %v, asked %v", most, d.heard(), req)
	}
	r.stop(t)
}

// What is decided about the same time shares a call; what is alone waits for
// nothing.
func TestAcknowledgementsShareCalls(t *testing.T) { synctest.Test(t, testAcknowledgementsShareCalls) }

func testAcknowledgementsShareCalls(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1", "b1", "c1", "d1")))
	r := run(t, d, client.RunOptions{Concurrency: 4, AckDelay: 10 * time.Second}, func(_ context.Context, d *delivery) error {
		time.Sleep(time.Duration(d.GetAckToken()[0]-'a') * time.Second)
		return nil
	})
	later(3500 * time.Millisecond)
	if len(d.calls) != 1 || len(d.heard()) != 4 {
		t.Errorf("%d calls said %v", len(d.calls), d.said)
	}
	r.stop(t)
}

// While other handlers run an acknowledgement waits for AckDelay, not for them.
func TestAcknowledgementsDoNotWaitForHandlers(t *testing.T) {
	synctest.Test(t, testAcknowledgementsDoNotWaitForHandlers)
}

func testAcknowledgementsDoNotWaitForHandlers(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1", "b1")))
	r := run(t, d, client.RunOptions{Concurrency: 2}, func(_ context.Context, d *delivery) error {
		if d.GetAckToken() == "b1" {
			time.Sleep(20 * time.Second)
		}
		return nil
	})
	later(6 * time.Millisecond)
	want(t, d.heard(), "ack a1")
	later(time.Minute)
	r.stop(t)
}

// A handler that takes longer than the deadline keeps its event, under the newest
// token; so does what waits behind it. Past its own bound it is told to end, and
// nothing is asked for any more.
func TestDeadlinesAreExtended(t *testing.T) { synctest.Test(t, testDeadlinesAreExtended) }

func testDeadlinesAreExtended(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1", "b1")))
	r := run(t, d, client.RunOptions{HandlerTimeout: 10 * time.Minute}, func(ctx context.Context, d *delivery) error {
		if d.GetAckToken() == "a1" {
			time.Sleep(100 * time.Second)
			return nil
		}
		<-ctx.Done()
		time.Sleep(10 * time.Minute)
		return ctx.Err()
	})
	later(99 * time.Second)
	want(t, d.heard(), "extend a1", "extend a1'", "extend a1''", "extend b1", "extend b1'", "extend b1''")
	later(30 * time.Minute)
	said := d.heard()
	if !slices.Contains(said, "ack a1'''") || !strings.HasPrefix(said[len(said)-1], "retry b1'") {
		t.Errorf("said %v", said)
	}
	if n := len(said); n < 20 || n > 30 {
		t.Errorf("said %d things: %v", n, said)
	}
	r.stop(t)
}

// While the gateway cannot be reached, what is to be extended is not piled up.
func TestExtensionsDoNotPileUp(t *testing.T) { synctest.Test(t, testExtensionsDoNotPileUp) }

func testExtensionsDoNotPileUp(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1")))
	d.fail = slices.Repeat([]error{errAway}, 8)
	r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error {
		time.Sleep(80 * time.Second)
		return nil
	})
	later(75 * time.Second)
	for _, call := range d.calls {
		if s := call.GetSettlements(); len(s) != 1 || s[0].GetVerdict() != hookstreamv1.Settlement_VERDICT_EXTEND {
			t.Errorf("asked for %v", call)
		}
	}
	want(t, d.heard(), "extend a1")
	later(time.Minute)
	r.stop(t)
}

// When ctx ends, what runs is finished and acknowledged before its stream is
// closed, because that would hand it out again; what waits is given back.
func TestStop(t *testing.T) { synctest.Test(t, testStop) }

func testStop(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1", "b1")))
	var begun []string
	r := run(t, d, client.RunOptions{}, func(ctx context.Context, d *delivery) error {
		begun = append(begun, d.GetAckToken())
		select {
		case <-time.After(5 * time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	later(time.Second)
	before := time.Now()
	r.stop(t)
	want(t, begun, "a1")
	want(t, d.said, "ack a1", "release b1: the consumer stops")
	if took := time.Since(before); took != 4*time.Second || len(d.alone) > 0 {
		t.Errorf("took %s; said without a stream: %v", took, d.alone)
	}
}

// Handlers that take too long find their context ended; one that ignores even
// that does not keep Run.
func TestStopHasABound(t *testing.T) { synctest.Test(t, testStopHasABound) }

func testStopHasABound(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1", "b1")))
	release := make(chan struct{})
	r := run(t, d, client.RunOptions{Concurrency: 2, Grace: 3 * time.Second}, func(ctx context.Context, d *delivery) error {
		<-ctx.Done()
		if d.GetAckToken() == "b1" {
			<-release
		}
		return context.Cause(ctx)
	})
	later(time.Second)
	before := time.Now()
	r.cancel()
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "1 events still being handled") {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(before); took < 3*time.Second || took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	want(t, d.said, "retry a1: client: stopping")
	close(release)
}

// Acknowledgements that cannot be delivered do not keep Run either, and are not
// passed over in silence.
func TestStopWithoutAGateway(t *testing.T) { synctest.Test(t, testStopWithoutAGateway) }

func testStopWithoutAGateway(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1")))
	d.fail = slices.Repeat([]error{errAway}, 1000)
	r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error { return nil })
	later(time.Second)
	before := time.Now()
	r.cancel()
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "1 acknowledgements not confirmed") {
		t.Errorf("ended with %v", err)
	}
	if took := time.Since(before); took > 7*time.Second {
		t.Errorf("took %s", took)
	}
}

// An acknowledgement is repeated until it is answered: the call that failed may
// have been lost before or after the gateway took it.
func TestAcknowledgementsAreRepeated(t *testing.T) { synctest.Test(t, testAcknowledgementsAreRepeated) }

func testAcknowledgementsAreRepeated(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1", "b1")))
	d.fail = []error{errAway, status.Error(codes.DeadlineExceeded, "slow")}
	refusals := 3
	d.answer = func(token string) hookstreamv1.AckOutcome {
		if token == "b1" && refusals > 0 {
			refusals--
			return unavailable
		}
		return done
	}
	r := run(t, d, client.RunOptions{Concurrency: 2}, func(context.Context, *delivery) error { return nil })
	later(time.Minute)
	want(t, d.heard(), "ack a1", "ack b1", "ack b1", "ack b1", "ack b1")
	if len(r.errs) != 2 || status.Code(r.errs[0]) != codes.Unavailable {
		t.Errorf("told %v", r.errs)
	}
	r.stop(t)
}

// What the gateway will never take is told and let go.
func TestAcknowledgementsThatAreRefused(t *testing.T) {
	synctest.Test(t, testAcknowledgementsThatAreRefused)
}

func testAcknowledgementsThatAreRefused(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1")))
	d.fail = []error{status.Error(codes.PermissionDenied, "not you")}
	r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error { return nil })
	later(time.Hour)
	r.stop(t)
	var lost *client.SettleError
	if len(d.calls) != 1 || len(r.errs) != 1 || !errors.As(r.errs[0], &lost) || status.Code(lost) != codes.PermissionDenied {
		t.Errorf("%d calls, told %v", len(d.calls), r.errs)
	}
}

// An event that was handled, but acknowledged too late, is acknowledged when it
// comes back, and not handled twice; after a Seek, which counts attempts anew, it
// is.
func TestALateAcknowledgementIsSaidAgain(t *testing.T) {
	synctest.Test(t, testALateAcknowledgementIsSaidAgain)
}

func testALateAcknowledgementIsSaidAgain(t *testing.T) {
	more := make(chan *frame)
	d := newDesk(t, func(_ *request, s outgoing) error {
		_ = s.Send(lent())
		for f := range more {
			_ = s.Send(f)
		}
		return errAway
	}, lives(lent()))
	d.answer = func(token string) hookstreamv1.AckOutcome {
		if token == "a1" {
			return expired
		}
		return done
	}
	var handled []string
	r := run(t, d, client.RunOptions{}, func(_ context.Context, d *delivery) error {
		handled = append(handled, d.GetAckToken())
		return nil
	})
	more <- hand("a1")
	later(time.Second)
	var lost *client.SettleError
	if len(r.errs) != 1 || !errors.As(r.errs[0], &lost) || lost.Outcome != expired {
		t.Errorf("told %v", r.errs)
	}
	more <- hand("a2")
	later(time.Second)
	want(t, handled, "a1")
	want(t, d.heard(), "ack a1", "ack a2")
	more <- hand("a1")
	later(time.Second)
	more <- hand("a1")
	later(time.Second)
	want(t, handled, "a1", "a1", "a1")
	close(more)
	later(time.Second)
	r.stop(t)
}

// What was decided is not remembered for ever, nor against an operator who has an
// event handed out again.
func TestALateAcknowledgementIsForgotten(t *testing.T) {
	synctest.Test(t, testALateAcknowledgementIsForgotten)
}

func testALateAcknowledgementIsForgotten(t *testing.T) {
	again := hand("b2")
	again.GetBatch().GetDeliveries()[0].Replayed = true
	d := newDesk(t, func(_ *request, s outgoing) error {
		_ = s.Send(lent())
		_ = s.Send(hand("a1", "b1"))
		time.Sleep(time.Second)
		_ = s.Send(again)
		return errAway
	}, func(_ *request, s outgoing) error {
		time.Sleep(15 * time.Second)
		_ = s.Send(lent())
		for range 60 {
			time.Sleep(10 * time.Second)
			_ = s.Send(heartbeat(""))
		}
		return lives(hand("a2"))(nil, s)
	})
	d.answer = func(token string) hookstreamv1.AckOutcome {
		if token[1] == '1' {
			return expired
		}
		return done
	}
	var handled []string
	r := run(t, d, client.RunOptions{}, func(_ context.Context, d *delivery) error {
		handled = append(handled, d.GetAckToken())
		return nil
	})
	later(11 * time.Minute)
	want(t, handled, "a1", "a2", "b1", "b2")
	r.stop(t)
}

// An event that comes back while it is being handled is not handled twice at
// once: it is acknowledged under its newest token. A batch that is sent twice
// changes nothing.
func TestAnEventIsHandledOnceAtATime(t *testing.T) { synctest.Test(t, testAnEventIsHandledOnceAtATime) }

func testAnEventIsHandledOnceAtATime(t *testing.T) {
	d := newDesk(t,
		sends(errAway, lent(), hand("a1", "b1"), hand("a1", "b1")),
		lives(lent(), hand("a2")),
	)
	var handled []string
	r := run(t, d, client.RunOptions{}, func(_ context.Context, d *delivery) error {
		handled = append(handled, d.GetAckToken())
		time.Sleep(10 * time.Second)
		return nil
	})
	later(time.Minute)
	// b was held and went back with its stream.
	want(t, handled, "a1")
	want(t, d.heard(), "ack a2")
	r.stop(t)
}

// What a replay hands out is an event of its own: one that comes while the same event is
// being handled takes no verdict from it, nor it from that of another replay.
func TestReplaysOfAnEventAreAcknowledgedEach(t *testing.T) {
	synctest.Test(t, testReplaysOfAnEventAreAcknowledgedEach)
}

func testReplaysOfAnEventAreAcknowledgedEach(t *testing.T) {
	frames := []*frame{lent()}
	for n, replay := range []string{"", "subscriptions/crm/replays/one", "subscriptions/crm/replays/two"} {
		f := hand(fmt.Sprintf("a%d", n+1))
		d := f.GetBatch().GetDeliveries()[0]
		d.Attempt, d.HandOut, d.Replayed, d.Replay = 1, int64(n+1), replay != "", replay
		frames = append(frames, f)
	}
	d := newDesk(t, lives(frames...))
	r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error {
		time.Sleep(5 * time.Second)
		return nil
	})
	later(time.Minute)
	want(t, d.heard(), "ack a1", "ack a2", "ack a3")
	r.stop(t)
}

// The same when it comes back between the verdict and the answer to it.
func TestAnEventThatComesBackWhileItIsAcknowledged(t *testing.T) {
	synctest.Test(t, testAnEventThatComesBackWhileItIsAcknowledged)
}

func testAnEventThatComesBackWhileItIsAcknowledged(t *testing.T) {
	d := newDesk(t, sends(errAway, lent(), hand("a1")), lives(lent(), hand("a2")))
	d.fail = []error{errAway, errAway, errAway}
	d.answer = func(token string) hookstreamv1.AckOutcome {
		if token == "a1" {
			return expired
		}
		return done
	}
	handled := 0
	r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error { handled++; return nil })
	later(time.Minute)
	if handled != 1 {
		t.Errorf("handled %d times", handled)
	}
	want(t, d.heard(), "ack a2")
	r.stop(t)
}

// And when it comes back while the call is under way that says so.
func TestAnEventThatComesBackDuringTheCall(t *testing.T) {
	synctest.Test(t, testAnEventThatComesBackDuringTheCall)
}

func testAnEventThatComesBackDuringTheCall(t *testing.T) {
	d := newDesk(t, sends(errAway, lent(), hand("a1")), lives(lent(), hand("a2")))
	d.answer = func(token string) hookstreamv1.AckOutcome {
		if token == "a1" {
			time.Sleep(10 * time.Second)
			return expired
		}
		return done
	}
	handled := 0
	r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error { handled++; return nil })
	later(time.Minute)
	want(t, d.heard(), "ack a1", "ack a2")
	if handled != 1 || len(r.errs) != 1 { // of the stream
		t.Errorf("handled %d times, told %v", handled, r.errs)
	}
	r.stop(t)
}

// A gateway that goes down is left at once, and read to its end: what it handed
// out stays ours until then.
func TestDraining(t *testing.T) { synctest.Test(t, testDraining) }

func testDraining(t *testing.T) {
	first := func(_ *request, s outgoing) error {
		_ = sends(nil, lent(), hand("a1", "b1"), draining(""))(nil, s)
		time.Sleep(5 * time.Second)
		return errAway
	}
	var opened time.Time
	second := func(_ *request, s outgoing) error {
		opened = time.Now()
		return lives(lent(), hand("c1"))(nil, s)
	}
	d := newDesk(t, first, second)
	begin := time.Now()
	var handled []string
	r := run(t, d, client.RunOptions{}, func(_ context.Context, d *delivery) error {
		handled = append(handled, d.GetAckToken())
		time.Sleep(time.Second)
		return nil
	})
	later(10 * time.Second)
	if !opened.Equal(begin) {
		t.Errorf("the next stream came after %s", opened.Sub(begin))
	}
	want(t, handled, "a1", "b1", "c1")
	want(t, d.heard(), "ack a1", "ack b1", "ack c1")
	if len(r.errs) != 0 {
		t.Errorf("told %v", r.errs)
	}
	r.stop(t)
}

// A gateway that says of every stream that it goes down is not asked in a circle.
func TestDrainingForEver(t *testing.T) { synctest.Test(t, testDrainingForEver) }

func testDrainingForEver(t *testing.T) {
	d := newDesk(t)
	for range 10 {
		d.streams <- lives(lent(), draining(""))
	}
	r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error { return nil })
	later(time.Second)
	if n := 10 - len(d.streams); n < 3 || n > 5 {
		t.Errorf("%d streams in a second", n)
	}
	r.stop(t)
}

// Run ends when there is no such subscription, and goes on when it is paused or
// the stream ends without a reason.
func TestWhatEndsRun(t *testing.T) { synctest.Test(t, testWhatEndsRun) }

func testWhatEndsRun(t *testing.T) {
	d := newDesk(t,
		sends(reasoned(codes.FailedPrecondition, "SUBSCRIPTION_PAUSED")),
		sends(nil, lent()),
		sends(reasoned(codes.NotFound, "SUBSCRIPTION_DELETED"), lent(), hand("a1")),
	)
	r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error {
		time.Sleep(time.Second)
		return nil
	})
	err := <-r.ended
	if client.Reason(err) != hookstreamv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_DELETED || len(r.errs) != 2 {
		t.Errorf("ended with %v, told %v", err, r.errs)
	}
	want(t, d.said, "ack a1")
}

// Frames that are no batch are shown: a paused subscription is not silence.
func TestRunShowsFrames(t *testing.T) { synctest.Test(t, testRunShowsFrames) }

func testRunShowsFrames(t *testing.T) {
	paused := &frame{Frame: &hookstreamv1.SubscribeResponse_Heartbeat{
		Heartbeat: &hookstreamv1.Heartbeat{Phase: hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_PAUSED},
	}}
	d := newDesk(t, lives(lent(), paused, hand("a1")))
	var frames []*frame
	r := run(t, d, client.RunOptions{OnFrame: func(f *frame) { frames = append(frames, f) }}, func(context.Context, *delivery) error { return nil })
	later(time.Second)
	r.stop(t)
	if len(frames) != 2 || frames[0].GetOpened().GetSubscription() == nil || frames[1].GetHeartbeat().GetPhase() != paused.GetHeartbeat().GetPhase() {
		t.Errorf("shown %v", frames)
	}
}

// The handler's context has the values of the caller's.
func TestHandlersHaveTheCallersValues(t *testing.T) {
	synctest.Test(t, testHandlersHaveTheCallersValues)
}

type key struct{}

func testHandlersHaveTheCallersValues(t *testing.T) {
	d := newDesk(t, lives(lent(), hand("a1")))
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "trace"))
	var got any
	err := client.Run(ctx, d.conn, "subscriptions/crm", func(ctx context.Context, _ *delivery) error {
		got = ctx.Value(key{})
		cancel()
		return ctx.Err()
	}, client.RunOptions{})
	if err != nil || got != "trace" {
		t.Errorf("ended with %v, value %v", err, got)
	}
	want(t, d.said, "ack a1")
}

// Nothing is left behind. The bubble of each test here fails on goroutines that
// stay; this one has all kinds of ends in one.
func TestRunLeavesNothingBehind(t *testing.T) { synctest.Test(t, testRunLeavesNothingBehind) }

func testRunLeavesNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		d := newDesk(t, sends(errAway, lent(), hand("a1", "b1"), draining("")), lives(lent(), hand("a2", "c1")))
		r := run(t, d, client.RunOptions{Concurrency: 2}, func(context.Context, *delivery) error {
			time.Sleep(time.Second)
			return nil
		})
		later(1500 * time.Millisecond)
		r.stop(t)
		d.conn.Close()
	}
	synctest.Wait()
	// The servers' own listeners remain until the test's clean-up.
	if after := runtime.NumGoroutine(); after > before+20*3 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}
