package client_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func lentFor(d time.Duration) *frame {
	f := lent()
	f.GetOpened().Subscription.AckDeadline = durationpb.New(d)
	return f
}

// slowDesk holds the answer to its calls for a while.
type slowDesk struct {
	*desk
	before func(*hookstreamv1.AcknowledgeRequest)
	after  func(*hookstreamv1.AcknowledgeRequest)
}

func (d *slowDesk) Acknowledge(ctx context.Context, req *hookstreamv1.AcknowledgeRequest) (*hookstreamv1.AcknowledgeResponse, error) {
	if d.before != nil {
		d.before(req)
	}
	resp, err := d.desk.Acknowledge(ctx, req)
	if d.after != nil {
		d.after(req)
	}
	return resp, err
}

func newSlowDesk(t *testing.T, d *slowDesk, streams ...script) {
	t.Helper()
	d.desk = &desk{scripted: scripted{t: t, streams: make(chan script, 100)}}
	for _, s := range streams {
		d.streams <- s
	}
	d.conn = dialServer(t, func(server *grpc.Server) {
		hookstreamv1.RegisterEventServiceServer(server, d)
		hookstreamv1.RegisterSubscriptionServiceServer(server, d)
	})
}

// The next attempt comes before the answer to the nack that asked for it: it
// must be handled.
func TestTheNextAttemptComesBeforeTheAnswerToTheNack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		again := make(chan struct{})
		d := &slowDesk{}
		d.after = func(req *hookstreamv1.AcknowledgeRequest) {
			if req.GetSettlements()[0].GetVerdict() == hookstreamv1.Settlement_VERDICT_RETRY {
				close(again) // the gateway hands it out at once
				time.Sleep(50 * time.Millisecond)
			}
		}
		newSlowDesk(t, d, func(req *request, s outgoing) error {
			_ = s.Send(lent())
			_ = s.Send(hand("a1"))
			<-again
			_ = s.Send(hand("a2"))
			for {
				select {
				case <-s.Context().Done():
					return nil
				case <-time.After(15 * time.Second):
					_ = s.Send(heartbeat(""))
				}
			}
		})
		var mu sync.Mutex
		var handled []string
		r := run(t, d.desk, client.RunOptions{}, func(_ context.Context, d *delivery) error {
			mu.Lock()
			handled = append(handled, d.GetAckToken())
			mu.Unlock()
			if d.GetAttempt() == 1 {
				return client.RetryAfter(0, errors.New("again"))
			}
			return nil
		})
		later(5 * time.Minute)
		t.Logf("handled %v, said %v", handled, d.heard())
		if len(handled) != 2 {
			t.Errorf("attempt 2 was never handled, extended or given back")
		}
		r.stop(t)
	})
}

// An ack deadline of two seconds is kept from the first event on.
func TestShortDeadlinesAreKeptFromTheFirstMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, lives(lentFor(2*time.Second), hand("a1", "b1", "c1", "d1")))
		r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error {
			time.Sleep(1500 * time.Millisecond)
			return nil
		})
		later(1990 * time.Millisecond)
		t.Logf("said within the deadline of 2 s: %v", d.heard())
		extended := 0
		for _, s := range d.heard() {
			if len(s) > 6 && s[:6] == "extend" {
				extended++
			}
		}
		if extended < 3 {
			t.Errorf("%d extensions before the deadline passed, want 3 or 4", extended)
		}
		later(10 * time.Second)
		t.Logf("said at all: %v", d.heard())
		r.stop(t)
	})
}

// What waits behind other events is kept, or given back, however short a
// handler may take.
func TestWhatWaitsTooLongIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tokens []string
		for i := range 26 {
			tokens = append(tokens, fmt.Sprintf("%c1", 'a'+i))
		}
		d := newDesk(t, lives(lent(), hand(tokens...)))
		var mu sync.Mutex
		handled := 0
		r := run(t, d, client.RunOptions{MaxOutstanding: 26, HandlerTimeout: 10 * time.Second}, func(context.Context, *delivery) error {
			time.Sleep(4 * time.Second)
			mu.Lock()
			handled++
			mu.Unlock()
			return nil
		})
		later(10 * time.Minute)
		t.Logf("handled %d of 26 that were handed out; said %v; told %v", handled, d.heard(), r.errs)
		if handled != 26 && len(d.heard()) < 26 {
			t.Errorf("%d were dropped without a word", 26-handled)
		}
		r.stop(t)
	})
}

// An outage of the acknowledgements is over; Run ends a second later.
func TestStopMakesALastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, lives(lent(), hand("a1")))
		for range 8 {
			d.fail = append(d.fail, status.Error(codes.Unavailable, "away"))
		}
		r := run(t, d, client.RunOptions{Concurrency: 4}, func(context.Context, *delivery) error { return nil })
		for {
			later(100 * time.Millisecond)
			d.mu.Lock()
			n := len(d.fail)
			d.mu.Unlock()
			if n == 0 {
				break
			}
		}
		later(time.Second) // well again for a second
		begin := time.Now()
		r.cancel()
		err := <-r.ended
		t.Logf("Run: %v after %s; said %v, calls %d", err, time.Since(begin), d.heard(), len(d.calls))
		if err != nil {
			t.Errorf("the gateway was well and was not asked: %v", err)
		}
	})
}

// One call that hangs costs no lease.
func TestACallThatHangsCostsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung atomic.Bool
		d := &slowDesk{}
		d.before = func(req *hookstreamv1.AcknowledgeRequest) {
			if !hung.Swap(true) {
				time.Sleep(31 * time.Second)
			}
		}
		begin := time.Now()
		newSlowDesk(t, d, lives(lentFor(30*time.Second), hand("a1", "b1")))
		var first time.Duration
		d.answer = func(token string) hookstreamv1.AckOutcome {
			if token == "b1" && first == 0 {
				first = time.Since(begin)
			}
			return done
		}
		r := run(t, d.desk, client.RunOptions{Concurrency: 2}, func(_ context.Context, d *delivery) error {
			if d.GetAckToken() == "b1" {
				time.Sleep(2 * time.Minute)
			}
			return nil
		})
		later(3 * time.Minute)
		t.Logf("first said about b1 after %s (deadline 30 s), said %v", first, d.heard())
		if first > 30*time.Second {
			t.Errorf("the lease of b1 passed behind a call that hung")
		}
		r.stop(t)
	})
}

// A handler that panics leaves nothing behind.
func TestAStreamWhoseHandlerPanicsIsClosed(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var scripts []script
	for range 20 {
		scripts = append(scripts, hangs(opened(), batch("a"), batch("b")))
	}
	conn := dialScript(t, scripts...)
	for range 20 {
		func() {
			defer func() { _ = recover() }()
			_ = client.Stream(ctx, conn, client.StreamOptions{}, func(context.Context, *delivery) error { panic("ouch") })
		}()
	}
	time.Sleep(300 * time.Millisecond)
	after := runtime.NumGoroutine()
	t.Logf("%d goroutines before, %d after 20 panics", before, after)
	if after > before+15 {
		t.Errorf("streams are left open")
	}
}

// A stream without a stop does not end because a proxy says OK.
func TestAStreamWithoutAStopDoesNotEndWithOK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := dialScript(t, sends(nil, opened(), batch("a")), hangs(opened()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := client.Stream(ctx, conn, client.StreamOptions{}, func(context.Context, *delivery) error { return nil })
		t.Logf("Stream: %v", err)
		if err == nil {
			t.Errorf("Stream returned nil with no Stop set")
		}
		cancel()
		conn.Close()
	})
}

// What a Seek brings again is handled as its handler says, whatever an
// earlier delivery of the event said late.
func TestALateVerdictDoesNotOutliveASeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seek := make(chan struct{})
		next := make(chan struct{})
		d := newDesk(t, func(req *request, s outgoing) error {
			_ = s.Send(lent())
			_ = s.Send(hand("a1"))
			<-seek
			f := hand("a1")
			f.GetBatch().Deliveries[0].AckToken = "A1" // after a Seek: the first attempt anew
			_ = s.Send(f)
			<-next
			_ = s.Send(hand("a2"))
			for {
				select {
				case <-s.Context().Done():
					return nil
				case <-time.After(15 * time.Second):
					_ = s.Send(heartbeat(""))
				}
			}
		})
		d.answer = func(token string) hookstreamv1.AckOutcome {
			if token[0] == 'a' && token[1] == '1' {
				return expired // of the generation before the Seek
			}
			return done
		}
		var mu sync.Mutex
		var handled []string
		r := run(t, d, client.RunOptions{Concurrency: 2}, func(_ context.Context, d *delivery) error {
			mu.Lock()
			handled = append(handled, d.GetAckToken())
			mu.Unlock()
			if d.GetAckToken() == "a1" {
				time.Sleep(10 * time.Second)
				return nil
			}
			if d.GetAckToken() == "A1" {
				time.Sleep(time.Second)
				return errors.New("the database is not there")
			}
			return nil
		})
		later(time.Second)
		close(seek)
		later(15 * time.Second)
		close(next)
		later(15 * time.Second)
		t.Logf("handled %v, said %v", handled, d.heard())
		if len(handled) != 3 {
			t.Errorf("after the Seek the handler asked for another attempt, and the event was acknowledged without one")
		}
		r.stop(t)
	})
}

// A new attempt is handled, not failed for what an earlier one said.
func TestARefusalBelongsToItsDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		failed := make(chan struct{})
		d.streams <- func(req *request, s outgoing) error {
			_ = s.Send(lent())
			_ = s.Send(hand("a1"))
			<-failed
			_ = s.Send(hand("a2"))
			<-s.Context().Done()
			return nil
		}
		d.fail = []error{status.Error(codes.Unavailable, "the answer was lost on its way")}
		var mu sync.Mutex
		var handled []string
		var once sync.Once
		r := run(t, d, client.RunOptions{}, func(_ context.Context, d *delivery) error {
			mu.Lock()
			handled = append(handled, d.GetAckToken())
			mu.Unlock()
			if d.GetAttempt() == 1 {
				return errors.New("not yet")
			}
			return nil
		})
		later(10 * time.Millisecond)
		once.Do(func() { close(failed) })
		later(20 * time.Second)
		t.Logf("handled %v, said %v", handled, d.heard())
		if len(handled) != 2 {
			t.Errorf("attempt 2 was failed without being handled")
		}
		r.stop(t)
	})
}

type slowStore struct{ d time.Duration }

func (s slowStore) Load(context.Context) (string, error) { return "", nil }
func (s slowStore) Save(ctx context.Context, _ string) error {
	select {
	case <-time.After(s.d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A store that is slow once is no silence of the gateway.
func TestASlowCursorStoreIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var scripts []script
		for range 50 {
			scripts = append(scripts, func(req *request, s outgoing) error {
				_ = s.Send(opened())
				for {
					select {
					case <-s.Context().Done():
						return nil
					case <-time.After(15 * time.Second):
						_ = s.Send(heartbeat(fmt.Sprint(time.Now().UnixNano())))
					}
				}
			})
		}
		conn := dialScript(t, scripts...)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		silent := 0
		err := client.Stream(ctx, conn, client.StreamOptions{Cursors: slowStore{40 * time.Second}, OnError: func(err error) {
			if errors.Is(err, client.ErrSilent) {
				silent++
			}
		}}, func(context.Context, *delivery) error { return nil })
		t.Logf("Stream: %v, silent %d times", err, silent)
		if silent > 0 {
			t.Errorf("took its own store's slowness for a dead gateway")
		}
	})
}

// A deadline that was shortened after the stream opened is kept as each delivery
// says, by the gateway's clock.
func TestAShortenedDeadlineIsKept(t *testing.T) {
	for _, skew := range []time.Duration{0, -time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, func(req *request, s outgoing) error {
				beat := heartbeat("")
				beat.GetHeartbeat().SendTime = timestamppb.New(time.Now().Add(skew))
				f := hand("a1")
				f.GetBatch().Deliveries[0].AckDeadline = timestamppb.New(time.Now().Add(skew + 2*time.Second))
				return lives(lent(), beat, f)(req, s)
			})
			r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error {
				time.Sleep(3 * time.Second)
				return nil
			})
			later(1900 * time.Millisecond)
			want(t, d.heard(), "extend a1")
			later(time.Minute)
			r.stop(t)
		})
	}
}

// A lost stretch of the log is told, and ends nothing.
func TestRunTellsGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, lives(lent(), gap(7, ""), hand("a1")))
		r := run(t, d, client.RunOptions{}, func(context.Context, *delivery) error { return nil })
		later(time.Second)
		want(t, d.heard(), "ack a1")
		r.stop(t)
		var lost *client.GapError
		if len(r.errs) != 1 || !errors.As(r.errs[0], &lost) || lost.Gap.GetMissedEvents() != 7 {
			t.Errorf("told %v", r.errs)
		}
	})
}

// A proxy that knows no such method for a moment has no verdict forgotten.
func TestAProxyForgetsNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, lives(lent(), hand("a1", "b1")))
		d.fail = []error{status.Error(codes.Unimplemented, "a proxy"), status.Error(codes.Unauthenticated, "a proxy")}
		r := run(t, d, client.RunOptions{Concurrency: 2}, func(context.Context, *delivery) error { return nil })
		later(10 * time.Second)
		want(t, d.heard(), "ack a1", "ack b1")
		r.stop(t)
	})
}

// A gateway that knows no releases is left nothing to expire: what waits is kept
// until its turn comes.
func TestWhatCannotBeReleasedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, lives(lent(), hand("a1", "b1", "c1")))
		d.fail = []error{status.Error(codes.InvalidArgument, "no such action")}
		r := run(t, d, client.RunOptions{HandlerTimeout: 10 * time.Second}, func(_ context.Context, d *delivery) error {
			time.Sleep(8 * time.Second)
			if d.GetAckToken() == "a1" {
				time.Sleep(3 * time.Second) // while the others are to be released
			}
			return nil
		})
		later(time.Minute)
		want(t, d.heard(), "ack a1", "ack b1", "ack c1")
		r.stop(t)
	})
}
