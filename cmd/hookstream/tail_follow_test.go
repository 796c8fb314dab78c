package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A scripted gateway goes silent or away when a real one would not do so on
// request. Each stream is handled by the next of its functions.
type scripted struct {
	hookstreamv1.UnimplementedEventServiceServer
	t       *testing.T
	streams chan func(*hookstreamv1.SubscribeRequest, sending) error
}

func (s *scripted) Subscribe(req *hookstreamv1.SubscribeRequest, stream sending) error {
	select {
	case handle := <-s.streams:
		return handle(req, stream)
	default:
		s.t.Error("an unexpected stream")
		return status.Error(codes.Internal, "unexpected")
	}
}

type sending = grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]

// gateway serves a script and answers a client of it.
func gateway(t *testing.T, streams ...func(*hookstreamv1.SubscribeRequest, sending) error) *grpc.ClientConn {
	t.Helper()
	return gatewayWith(t, nil, streams...)
}

// gatewayWith has a desk for acknowledgements, too.
func gatewayWith(t *testing.T, desk *ackDesk, streams ...func(*hookstreamv1.SubscribeRequest, sending) error) *grpc.ClientConn {
	t.Helper()
	s := &scripted{t: t, streams: make(chan func(*hookstreamv1.SubscribeRequest, sending) error, len(streams))}
	for _, stream := range streams {
		s.streams <- stream
	}
	lis := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	hookstreamv1.RegisterEventServiceServer(server, s)
	if desk != nil {
		hookstreamv1.RegisterSubscriptionServiceServer(server, desk)
	}
	go server.Serve(lis)
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:///script", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// opened is a first frame.
func opened() *hookstreamv1.SubscribeResponse {
	return &hookstreamv1.SubscribeResponse{Cursor: "start", Frame: &hookstreamv1.SubscribeResponse_Opened{
		Opened: &hookstreamv1.Opened{HeartbeatInterval: durationpb.New(15 * time.Second)},
	}}
}

// batch holds one event for each cursor.
func batch(cursors ...string) *hookstreamv1.SubscribeResponse {
	b := &hookstreamv1.DeliveryBatch{}
	for _, cursor := range cursors {
		b.Deliveries = append(b.Deliveries, &hookstreamv1.Delivery{Cursor: cursor, Event: &hookstreamv1.Event{Name: "events/" + cursor}})
	}
	return &hookstreamv1.SubscribeResponse{
		Cursor: cursors[len(cursors)-1], Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: b},
	}
}

// names remembers what was printed.
type names struct{ printed []string }

func (n *names) print(d *hookstreamv1.Delivery) error {
	n.printed = append(n.printed, d.GetEvent().GetName())
	return nil
}
func (n *names) flush() error { return nil }

// A gateway that vanished without a word is noticed by the heartbeats that stay
// out, and the next stream begins after the last event that was printed.
func TestTailLeavesASilentStream(t *testing.T) {
	synctest.Test(t, testTailLeavesASilentStream)
}

func testTailLeavesASilentStream(t *testing.T) {
	resumed := ""
	gw := gateway(t,
		func(_ *hookstreamv1.SubscribeRequest, s sending) error {
			_ = s.Send(opened())
			_ = s.Send(batch("a", "b"))
			<-s.Context().Done() // never another word
			return nil
		},
		func(req *hookstreamv1.SubscribeRequest, s sending) error {
			resumed = req.GetAfterCursor()
			_ = s.Send(opened())
			return s.Send(batch("c"))
		},
	)
	var told strings.Builder
	out := &names{}
	f := &follower{conn: gw, count: 3, printer: out, say: (&program{stderr: &told}).say}
	if err := f.run(anHour(t)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"events/a", "events/b", "events/c"}, out.printed); diff != "" {
		t.Error(diff)
	}
	if resumed != "b" || !strings.Contains(told.String(), client.ErrSilent.Error()) {
		t.Errorf("resumed after %q; told %s", resumed, &told)
	}
}

// A stream that broke before a count was reached goes on counting.
func TestTailCountsOverStreams(t *testing.T) {
	synctest.Test(t, testTailCountsOverStreams)
}

func testTailCountsOverStreams(t *testing.T) {
	gw := gateway(t,
		func(_ *hookstreamv1.SubscribeRequest, s sending) error {
			_ = s.Send(opened())
			_ = s.Send(batch("a", "b"))
			return status.Error(codes.Unavailable, "going down")
		},
		func(_ *hookstreamv1.SubscribeRequest, s sending) error {
			_ = s.Send(opened())
			return s.Send(batch("c", "d", "e"))
		},
	)
	out := &names{}
	f := &follower{conn: gw, count: 4, printer: out, say: func(string, ...any) {}}
	if err := f.run(anHour(t)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"events/a", "events/b", "events/c", "events/d"}, out.printed); diff != "" {
		t.Error(diff)
	}
}

// anHour ends a tail that hangs; in a synctest bubble it takes no time.
func anHour(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	return ctx
}

// What another attempt cannot mend ends the tail, even after it was open once.
func TestTailEndsOnARefusal(t *testing.T) {
	synctest.Test(t, testTailEndsOnARefusal)
}

func testTailEndsOnARefusal(t *testing.T) {
	gw := gateway(t, func(_ *hookstreamv1.SubscribeRequest, s sending) error {
		_ = s.Send(opened())
		return status.Error(codes.OutOfRange, "the log no longer holds this")
	})
	f := &follower{conn: gw, printer: &names{}, say: func(string, ...any) {}}
	if err := f.run(anHour(t)); status.Code(err) != codes.OutOfRange {
		t.Errorf("ended with %v", err)
	}
}
