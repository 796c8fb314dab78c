package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/provider"
)

// eventWorld is the way out over a log in memory.
type eventWorld struct {
	log     *memlog.Log
	hub     *hub.Hub
	service *EventService
	client  hookstreamv1.EventServiceClient
	appends int
}

// newEventWorld runs a hub until the test ends. The source `open` includes
// sensitive fields, the source `closed` does not.
func newEventWorld(t testing.TB) *eventWorld {
	t.Helper()
	return hubOver(t, memlog.New(memlog.Options{Incarnation: 7}))
}

func hubOver(t testing.TB, log *memlog.Log) *eventWorld {
	t.Helper()
	w := &eventWorld{log: log}
	var err error
	w.hub, err = hub.New(hub.Options{
		Log: w.log, Decoders: map[string]provider.Decoder{"yousign": provider.NewDecoder(decodeBody, matchNothing)},
		Sensitive: func(source string) event.Kinds {
			if source == "sources/open" {
				return event.AllKinds
			}
			return 0
		},
		Sources: func() []string { return []string{"sources/open", "sources/closed"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	if w.service, err = NewEventService(EventServiceOptions{Hub: w.hub, Version: "v1.2.3"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.hub.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w
}

func decodeBody(body []byte) (*yousignv1.Event, hookstreamv1.DecodeState) {
	m := new(yousignv1.Event)
	if protojson.Unmarshal(body, m) != nil {
		return nil, hookstreamv1.DecodeState_DECODE_STATE_FAILED
	}
	return m, hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
}

func matchNothing(*yousignv1.Selector, *yousignv1.Event) bool { return false }

// dial serves the world over a connection in memory.
func (w *eventWorld) dial(t testing.TB) *eventWorld {
	t.Helper()
	status := func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return statusOf(ss.Context(), slog.New(slog.DiscardHandler), next(srv, ss))
	}
	lis, g := bufconn.Listen(1<<20), grpc.NewServer(grpc.ForceServerCodecV2(codec{}), grpc.StreamInterceptor(status))
	hookstreamv1.RegisterEventServiceServer(g, w.service)
	served := make(chan error, 1)
	go func() { served <- g.Serve(lis) }()
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); g.Stop(); <-served })
	w.client = hookstreamv1.NewEventServiceClient(conn)
	return w
}

// put appends an event of a source.
func (w *eventWorld) put(t testing.TB, source, body string) {
	t.Helper()
	data, err := event.Encode(&hookstreamv1.Event{
		Source: "sources/" + source, Provider: "yousign", Environment: "sandbox",
		Topic: "signature_request", Action: "done", Type: "signature_request.done",
	}, &hookstreamv1.RawRequest{Body: []byte(body), ContentType: "application/json"})
	if err != nil {
		t.Fatal(err)
	}
	w.appends++
	e := eventlog.Entry{Source: source, Topic: "t", Action: "a", DedupKey: fmt.Sprint(w.appends), Data: data}
	if _, err := w.log.Append(context.Background(), e); err != nil {
		t.Fatal(err)
	}
}

// subscribe opens a stream that ends with the test.
func (w *eventWorld) subscribe(t testing.TB, req *hookstreamv1.SubscribeRequest) grpc.ServerStreamingClient[hookstreamv1.SubscribeResponse] {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	stream, err := w.client.Subscribe(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// kindOf is the name of what a response holds.
func kindOf(r *hookstreamv1.SubscribeResponse) string {
	m := r.ProtoReflect()
	if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("frame")); f != nil {
		return string(f.Name())
	}
	return "nothing"
}
