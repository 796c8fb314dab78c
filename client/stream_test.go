package client_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

var (
	errAway = status.Error(codes.Unavailable, "away")
	errFull = errors.New("full")
)

// seen remembers the events that were handled.
type seen struct{ names []string }

func (s *seen) handle(_ context.Context, d *delivery) error {
	s.names = append(s.names, d.GetEvent().GetName())
	return nil
}

// memory keeps a cursor, and every cursor it was given.
type memory struct {
	cursor string
	saves  []string
	err    error // of the next Save
}

func (m *memory) Load(context.Context) (string, error) { return m.cursor, nil }

func (m *memory) Save(_ context.Context, cursor string) error {
	if m.err != nil {
		return m.err
	}
	m.cursor, m.saves = cursor, append(m.saves, cursor)
	return nil
}

// reasoned is an error of the gateway.
func reasoned(code codes.Code, reason string, more ...protoadapt.MessageV1) error {
	st, err := status.New(code, "refused").WithDetails(append(more, &errdetails.ErrorInfo{Domain: "hookstream.dev", Reason: reason})...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func bubble(name string, f func(*testing.T)) (string, func(*testing.T)) {
	return name, func(t *testing.T) { synctest.Test(t, f) }
}

// After a break the next stream begins after the last event that was handled, not
// at the start again and not after what was merely read.
func TestStreamGoesOnWhereItWas(t *testing.T) { synctest.Test(t, testStreamGoesOnWhereItWas) }

func testStreamGoesOnWhereItWas(t *testing.T) {
	var second *request
	conn := dialScript(t,
		sends(errAway, opened(), batch("a", "b")),
		asked(&second, sends(nil, opened(), batch("c"))),
	)
	var got seen
	var told []error
	o := client.StreamOptions{Start: client.Earliest(), Stop: client.AtHead(), OnError: func(err error) { told = append(told, err) }}
	if err := client.Stream(anHour(t), conn, o, got.handle); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"events/a", "events/b", "events/c"}, got.names); diff != "" {
		t.Error(diff)
	}
	if second.GetAfterCursor() != "b" || len(told) != 1 || status.Code(told[0]) != codes.Unavailable {
		t.Errorf("resumed after %q, told %v", second.GetAfterCursor(), told)
	}
}

// A peer that is gone without a word is noticed by the heartbeats that stay out.
// While the handler runs, silence is not held against the stream.
func TestStreamLeavesASilentPeer(t *testing.T) { synctest.Test(t, testStreamLeavesASilentPeer) }

func testStreamLeavesASilentPeer(t *testing.T) {
	conn := dialScript(t, hangs(opened(), batch("a")), sends(nil, opened(), batch("b")))
	var told []error
	var got seen
	slow := func(ctx context.Context, d *delivery) error {
		time.Sleep(10 * time.Minute)
		return got.handle(ctx, d)
	}
	begin := time.Now()
	o := client.StreamOptions{Stop: client.AtHead(), OnError: func(err error) { told = append(told, err) }}
	if err := client.Stream(anHour(t), conn, o, slow); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || !errors.Is(told[0], client.ErrSilent) {
		t.Errorf("told %v", told)
	}
	if took := time.Since(begin); took < 20*time.Minute+37*time.Second || took > 21*time.Minute {
		t.Errorf("took %s", took)
	}
	if diff := cmp.Diff([]string{"events/a", "events/b"}, got.names); diff != "" {
		t.Error(diff)
	}
}

// What another attempt cannot mend ends the stream, with its reason; the place is
// kept all the same.
func TestStreamEndsOnARefusal(t *testing.T) { synctest.Test(t, testStreamEndsOnARefusal) }

func testStreamEndsOnARefusal(t *testing.T) {
	conn := dialScript(t, sends(reasoned(codes.OutOfRange, "CURSOR_EXPIRED"), opened(), batch("a")))
	var got seen
	var kept memory
	err := client.Stream(anHour(t), conn, client.StreamOptions{Cursors: &kept}, got.handle)
	if client.Reason(err) != hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED || status.Code(err) != codes.OutOfRange {
		t.Errorf("ended with %v", err)
	}
	if kept.cursor != "a" {
		t.Errorf("kept %q", kept.cursor)
	}
}

// The handler's error ends the stream, is answered as it is, and its event does
// not count as handled.
func TestStreamEndsOnTheHandlersError(t *testing.T) {
	synctest.Test(t, testStreamEndsOnTheHandlersError)
}

func testStreamEndsOnTheHandlersError(t *testing.T) {
	conn := dialScript(t, hangs(opened(), batch("a", "b", "c")))
	var kept memory
	err := client.Stream(anHour(t), conn, client.StreamOptions{Cursors: &kept}, func(_ context.Context, d *delivery) error {
		if d.GetCursor() == "b" {
			return errFull
		}
		return nil
	})
	if !errors.Is(err, errFull) || err.Error() != errFull.Error() || kept.cursor != "a" {
		t.Errorf("ended with %v, kept %q", err, kept.cursor)
	}
}

// A handler that panics takes its caller along, as any function does, but not the
// place of what was handled before.
func TestStreamKeepsThePlaceWhenTheHandlerPanics(t *testing.T) {
	synctest.Test(t, testStreamKeepsThePlaceWhenTheHandlerPanics)
}

func testStreamKeepsThePlaceWhenTheHandlerPanics(t *testing.T) {
	conn := dialScript(t, hangs(opened(), batch("a", "b")))
	var kept memory
	defer func() {
		if r := recover(); r != "b" || kept.cursor != "a" {
			t.Errorf("recovered %v, kept %q", r, kept.cursor)
		}
	}()
	_ = client.Stream(anHour(t), conn, client.StreamOptions{Cursors: &kept}, func(_ context.Context, d *delivery) error {
		if d.GetCursor() == "b" {
			panic("b")
		}
		return nil
	})
}

// A kept cursor goes before Start, and so does the place of a run that had no
// event: the cursor of its first frame.
func TestStreamBeginsAtTheKeptCursor(t *testing.T) { synctest.Test(t, testStreamBeginsAtTheKeptCursor) }

func testStreamBeginsAtTheKeptCursor(t *testing.T) {
	var first, second *request
	conn := dialScript(t, asked(&first, sends(nil, opened())), asked(&second, sends(nil, opened())))
	o := client.StreamOptions{Start: client.Latest(), Stop: client.AtHead(), Cursors: &memory{}}
	for range 2 {
		if err := client.Stream(anHour(t), conn, o, (&seen{}).handle); err != nil {
			t.Fatal(err)
		}
	}
	if !first.GetLatest() || !first.GetAtHead() || second.GetAfterCursor() != "start" || !second.GetAtHead() {
		t.Errorf("asked %v, then %v", first, second)
	}
}

// The place is kept within SaveEvery although nothing comes after the event: a
// process that is killed then must not handle it again.
func TestStreamKeepsThePlaceWithoutAnotherFrame(t *testing.T) {
	synctest.Test(t, testStreamKeepsThePlaceWithoutAnotherFrame)
}

func testStreamKeepsThePlaceWithoutAnotherFrame(t *testing.T) {
	conn := dialScript(t, hangs(opened(), batch("a"), batch("b")))
	ctx, cancel := context.WithCancel(t.Context())
	var kept memory
	ended := make(chan error)
	go func() { ended <- client.Stream(ctx, conn, client.StreamOptions{Cursors: &kept}, (&seen{}).handle) }()
	time.Sleep(1500 * time.Millisecond) // of the bubble
	synctest.Wait()
	if kept.cursor != "b" || len(kept.saves) > 2 {
		t.Errorf("kept %v", kept.saves)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// Who asks for it has the place kept after every event.
func TestStreamKeepsThePlaceAfterEveryEvent(t *testing.T) {
	synctest.Test(t, testStreamKeepsThePlaceAfterEveryEvent)
}

func testStreamKeepsThePlaceAfterEveryEvent(t *testing.T) {
	beat := heartbeat("c")
	conn := dialScript(t, sends(nil, opened(), batch("a", "b"), beat))
	var kept memory
	handle := func(context.Context, *delivery) error { time.Sleep(time.Millisecond); return nil }
	if err := client.Stream(anHour(t), conn, client.StreamOptions{Stop: client.AtHead(), Cursors: &kept, SaveEvery: time.Nanosecond}, handle); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"start", "a", "b", "c"}, kept.saves); diff != "" {
		t.Error(diff)
	}
}

// A place that cannot be kept ends the stream: to go on would be to repeat an
// unbounded number of events one day.
func TestStreamEndsWhenThePlaceCannotBeKept(t *testing.T) {
	synctest.Test(t, testStreamEndsWhenThePlaceCannotBeKept)
}

func testStreamEndsWhenThePlaceCannotBeKept(t *testing.T) {
	conn := dialScript(t, hangs(opened(), batch("a")))
	err := client.Stream(anHour(t), conn, client.StreamOptions{Cursors: &memory{err: errFull}}, (&seen{}).handle)
	if !errors.Is(err, errFull) {
		t.Errorf("ended with %v", err)
	}
}

// Without somebody to tell, no gap is asked for; with somebody, it is told, and
// may be too much.
func TestGapsAreToldOrRefused(t *testing.T) { synctest.Test(t, testGapsAreToldOrRefused) }

func testGapsAreToldOrRefused(t *testing.T) {
	var deaf, told *request
	conn := dialScript(t, asked(&deaf, sends(nil, opened())), asked(&told, hangs(opened(), gap(7, "later"))))
	if err := client.Stream(anHour(t), conn, client.StreamOptions{Stop: client.AtHead()}, (&seen{}).handle); err != nil {
		t.Fatal(err)
	}
	if deaf.GetOnCursorExpired() == hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_SKIP_TO_EARLIEST {
		t.Error("a gap would have been passed over in silence")
	}
	kept := memory{cursor: "before"}
	missed := int64(0)
	err := client.Stream(anHour(t), conn, client.StreamOptions{Cursors: &kept, OnGap: func(g *hookstreamv1.Gap) error {
		missed = g.GetMissedEvents()
		return errFull
	}}, (&seen{}).handle)
	if !errors.Is(err, errFull) || missed != 7 || kept.cursor != "start" {
		t.Errorf("ended with %v, missed %d, kept %q", err, missed, kept.cursor)
	}
	if told.GetOnCursorExpired() != hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_SKIP_TO_EARLIEST {
		t.Error("the gap was not asked for")
	}
}

// A frame that this version does not know is passed over; its cursor counts.
func TestUnknownFramesArePassedOver(t *testing.T) { synctest.Test(t, testUnknownFramesArePassedOver) }

func testUnknownFramesArePassedOver(t *testing.T) {
	conn := dialScript(t, sends(nil, opened(), &frame{Cursor: "further"}))
	var kept memory
	var frames int
	o := client.StreamOptions{Stop: client.AtHead(), Cursors: &kept, OnFrame: func(*frame) { frames++ }}
	if err := client.Stream(anHour(t), conn, o, (&seen{}).handle); err != nil {
		t.Fatal(err)
	}
	if kept.cursor != "further" || frames != 2 {
		t.Errorf("kept %q after %d frames", kept.cursor, frames)
	}
}

// After `draining` the next stream is opened at once; after other ends there are
// pauses, which grow until something but `opened` comes, and are as long as the
// gateway asks.
func TestPauses(t *testing.T) { synctest.Test(t, testPauses) }

func testPauses(t *testing.T) {
	var times []time.Time
	at := func(then script) script {
		return func(r *request, s outgoing) error {
			times = append(times, time.Now())
			return then(r, s)
		}
	}
	busy := reasoned(codes.ResourceExhausted, "TOO_MANY_STREAMS", &errdetails.RetryInfo{RetryDelay: durationpb.New(40 * time.Second)})
	conn := dialScript(t,
		at(sends(errAway, opened(), draining("a"))),  // at once
		at(sends(errAway, opened())),                 // 0.125 to 0.25 s
		at(sends(errAway, opened())),                 // 0.25 to 0.5 s
		at(sends(busy)),                              // 40 s and a little
		at(sends(errAway, opened(), caughtUp("b"))),  // 1 to 2 s: a gateway that opens streams and ends them says so, too
		at(sends(errAway, opened(), heartbeat("b"))), // the first pause again
		at(sends(nil, opened())),
	)
	if err := client.Stream(anHour(t), conn, client.StreamOptions{Stop: client.AtHead()}, (&seen{}).handle); err != nil {
		t.Fatal(err)
	}
	for i, bounds := range [][2]time.Duration{
		{0, 0},
		{125 * time.Millisecond, 250 * time.Millisecond},
		{250 * time.Millisecond, 500 * time.Millisecond},
		{40 * time.Second, 41 * time.Second},
		{time.Second, 2 * time.Second},
		{125 * time.Millisecond, 250 * time.Millisecond},
	} {
		if waited := times[i+1].Sub(times[i]); waited < bounds[0] || waited > bounds[1] {
			t.Errorf("pause %d was %s, want %s to %s", i, waited, bounds[0], bounds[1])
		}
	}
}

// Only what may pass is asked again.
func TestWhatIsFinal(t *testing.T) {
	for err, again := range map[error]bool{
		errAway: true,
		status.Error(codes.Internal, "stream terminated by RST_STREAM"): true,
		status.Error(codes.Unknown, "a proxy"):                          true,
		reasoned(codes.ResourceExhausted, "TOO_MANY_STREAMS"):           true,
		reasoned(codes.InvalidArgument, "FILTER_INVALID"):               false,
		reasoned(codes.DataLoss, "CURSOR_UNKNOWN"):                      false,
		reasoned(codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD"): false,
		status.Error(codes.Unimplemented, "an old gateway"):             false,
		status.Error(codes.PermissionDenied, "not you"):                 false,
	} {
		t.Run(bubble(err.Error(), func(t *testing.T) {
			conn := dialScript(t, sends(err), sends(nil, opened()))
			got := client.Stream(anHour(t), conn, client.StreamOptions{Stop: client.AtHead()}, (&seen{}).handle)
			if again && got != nil || !again && status.Code(got) != status.Code(err) {
				t.Errorf("ended with %v", got)
			}
		}))
	}
}

// Nothing is handled after the context ended, although it was read already.
func TestStreamStopsInTheMiddleOfABatch(t *testing.T) {
	synctest.Test(t, testStreamStopsInTheMiddleOfABatch)
}

func testStreamStopsInTheMiddleOfABatch(t *testing.T) {
	conn := dialScript(t, hangs(opened(), batch("a", "b", "c")))
	ctx, cancel := context.WithCancelCause(t.Context())
	var kept memory
	err := client.Stream(ctx, conn, client.StreamOptions{Cursors: &kept}, func(_ context.Context, d *delivery) error {
		if d.GetCursor() == "b" {
			cancel(errFull)
		}
		return nil
	})
	if !errors.Is(err, errFull) || kept.cursor != "b" {
		t.Errorf("ended with %v, kept %q", err, kept.cursor)
	}
}

func TestFileCursors(t *testing.T) {
	dir := t.TempDir()
	store := client.FileCursors(filepath.Join(dir, "place"))
	if cursor, err := store.Load(t.Context()); cursor != "" || err != nil {
		t.Errorf("a file that is not there: %q, %v", cursor, err)
	}
	for _, want := range []string{"one", "two"} {
		if err := store.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := store.Load(t.Context()); got != want || err != nil {
			t.Errorf("load: %q, %v", got, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	lost := client.FileCursors(filepath.Join(dir, "no", "such", "place"))
	if err := lost.Save(t.Context(), "c"); err == nil {
		t.Error("a cursor was lost without a word")
	}
}

// A file that was cut to nothing is an error: to begin at Start would be a flood,
// or a gap.
func TestAnEmptyCursorFileIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "place")
	if err := client.FileCursors(path).Save(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if cursor, err := client.FileCursors(path).Load(t.Context()); err == nil {
		t.Errorf("loaded %q", cursor)
	}
}

// What handlers wrote into a buffer counts once it was flushed: the place does not
// go past what was not, whenever that is, and nothing is flushed for nothing.
func TestStreamKeepsOnlyWhatWasFlushed(t *testing.T) {
	for flushes, want := range []string{"start", "b", "d", "e"} { // flushes that work
		t.Run(bubble(want, func(t *testing.T) {
			conn := dialScript(t, sends(nil, opened(), batch("a", "b"), heartbeat("b"), batch("c", "d"), batch("e")))
			kept, buffered, calls := &memory{}, &seen{}, 0
			o := client.StreamOptions{Stop: client.AtHead(), Cursors: kept, SaveEvery: time.Hour, Flush: func(context.Context) error {
				if calls++; len(buffered.names) == 0 || calls > flushes {
					return errFull
				}
				buffered.names = nil
				return nil
			}}
			err := client.Stream(anHour(t), conn, o, buffered.handle)
			if errors.Is(err, errFull) != (want != "e") || kept.cursor != want || calls != min(flushes+1, 3) {
				t.Errorf("ended with %v, kept %q, flushed %d times", err, kept.cursor, calls)
			}
		}))
	}
}

// Whoever wants the place kept after every event has every event flushed before.
func TestStreamFlushesBeforeThePlaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dialScript(t, sends(nil, opened(), batch("a", "b", "c")))
		kept, flushed := &memory{}, 0
		o := client.StreamOptions{Stop: client.AtHead(), Cursors: kept, SaveEvery: 1, Flush: func(context.Context) error {
			if flushed++; flushed == 3 {
				return errFull
			}
			return nil
		}}
		err := client.Stream(anHour(t), conn, o, func(context.Context, *delivery) error { time.Sleep(time.Nanosecond); return nil })
		if !errors.Is(err, errFull) || kept.cursor != "b" {
			t.Errorf("ended with %v, kept %q", err, kept.cursor)
		}
	})
}

// ErrStop ends a stream in the middle of a batch, with its event handled.
func TestStreamEndsAfterTheLastEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dialScript(t, hangs(opened(), batch("a", "b", "c")))
		kept, flushed := &memory{}, 0
		o := client.StreamOptions{Cursors: kept, Flush: func(context.Context) error { flushed++; return nil }}
		err := client.Stream(anHour(t), conn, o, func(_ context.Context, d *delivery) error {
			if d.GetCursor() == "b" {
				return fmt.Errorf("enough: %w", client.ErrStop)
			}
			return nil
		})
		if err != nil || kept.cursor != "b" || flushed != 1 {
			t.Errorf("ended with %v, kept %q, flushed %d times", err, kept.cursor, flushed)
		}
	})
}

// MustReach ends what was never open, and nothing that was.
func TestStreamMustReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := client.StreamOptions{MustReach: true, Stop: client.AtHead()}
		if err := client.Stream(anHour(t), dialScript(t, sends(errAway)), o, (&seen{}).handle); status.Code(err) != codes.Unavailable {
			t.Errorf("never open: %v", err)
		}
		conn := dialScript(t, sends(errAway, opened()), sends(errAway), sends(nil, opened(), batch("a")))
		got := &seen{}
		if err := client.Stream(anHour(t), conn, o, got.handle); err != nil || len(got.names) != 1 {
			t.Errorf("open once: %v, handled %v", err, got.names)
		}
	})
}
