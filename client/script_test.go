package client_test

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

type (
	request  = hookstreamv1.SubscribeRequest
	delivery = hookstreamv1.Delivery
	frame    = hookstreamv1.SubscribeResponse
	outgoing = grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]
	script   = func(*request, outgoing) error
)

// A scripted gateway does what a real one does not do on request: it goes silent,
// or away, or repeats itself. Each stream is handled by the next of its scripts.
type scripted struct {
	hookstreamv1.UnimplementedEventServiceServer
	t       *testing.T
	streams chan script
}

func (s *scripted) Subscribe(req *request, stream outgoing) error {
	select {
	case handle := <-s.streams:
		return handle(req, stream)
	default:
		s.t.Error("an unexpected stream")
		return status.Error(codes.InvalidArgument, "unexpected")
	}
}

// dialScript serves a script and answers a connection to it.
func dialScript(t *testing.T, streams ...script) *grpc.ClientConn {
	t.Helper()
	s := &scripted{t: t, streams: make(chan script, len(streams))}
	for _, stream := range streams {
		s.streams <- stream
	}
	return dialServer(t, func(server *grpc.Server) { hookstreamv1.RegisterEventServiceServer(server, s) })
}

func dialServer(t *testing.T, register func(*grpc.Server)) *grpc.ClientConn {
	t.Helper()
	lis := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	register(server)
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

// sends is a script that sends frames and ends with err.
func sends(err error, frames ...*frame) script {
	return func(_ *request, s outgoing) error {
		for _, f := range frames {
			if err := s.Send(f); err != nil {
				return err
			}
		}
		return err
	}
}

// hangs sends frames and then nothing more until the client goes.
func hangs(frames ...*frame) script {
	return func(req *request, s outgoing) error {
		_ = sends(nil, frames...)(req, s)
		<-s.Context().Done()
		return s.Context().Err()
	}
}

// asked remembers the request of a script.
func asked(req **request, then script) script {
	return func(r *request, s outgoing) error {
		*req = r
		return then(r, s)
	}
}

// opened is a first frame.
func opened() *frame {
	return &frame{Cursor: "start", Frame: &hookstreamv1.SubscribeResponse_Opened{
		Opened: &hookstreamv1.Opened{HeartbeatInterval: durationpb.New(15 * time.Second)},
	}}
}

// batch holds one event for each cursor.
func batch(cursors ...string) *frame {
	b := &hookstreamv1.DeliveryBatch{}
	for _, cursor := range cursors {
		b.Deliveries = append(b.Deliveries, &delivery{Cursor: cursor, Event: &hookstreamv1.Event{Name: "events/" + cursor}})
	}
	return &frame{Cursor: cursors[len(cursors)-1], Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: b}}
}

func heartbeat(cursor string) *frame {
	return &frame{Cursor: cursor, Frame: &hookstreamv1.SubscribeResponse_Heartbeat{Heartbeat: &hookstreamv1.Heartbeat{}}}
}

func caughtUp(cursor string) *frame {
	return &frame{Cursor: cursor, Frame: &hookstreamv1.SubscribeResponse_CaughtUp{CaughtUp: &hookstreamv1.CaughtUp{}}}
}

func gap(missed int64, cursor string) *frame {
	return &frame{Cursor: cursor, Frame: &hookstreamv1.SubscribeResponse_Gap{Gap: &hookstreamv1.Gap{MissedEvents: missed}}}
}

func draining(cursor string) *frame {
	return &frame{Cursor: cursor, Frame: &hookstreamv1.SubscribeResponse_Draining{Draining: &hookstreamv1.Draining{}}}
}

// anHour ends what hangs; in a synctest bubble it takes no time.
func anHour(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	t.Cleanup(cancel)
	return ctx
}
