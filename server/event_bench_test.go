package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
)

// countingCodec takes responses without decoding them, so that the server is
// what is measured.
type countingCodec struct{ encoding.CodecV2 }

type counted struct{ bytes int }

func (c countingCodec) Unmarshal(data mem.BufferSlice, v any) error {
	if n, ok := v.(*counted); ok {
		n.bytes += data.Len()
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// plainEvents is the same stream in the obvious way: a response an event, each
// marshalled for each stream.
type plainEvents struct {
	hookstreamv1.UnimplementedEventServiceServer
	response *hookstreamv1.SubscribeResponse
}

func (p *plainEvents) Subscribe(_ *hookstreamv1.SubscribeRequest, stream grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]) error {
	for range benchEvents {
		if err := stream.Send(p.response); err != nil {
			return err
		}
	}
	return nil
}

const benchEvents = 5000

// BenchmarkSubscribe reads events of about 1 KB from the ring over loopback TCP,
// server and clients in one process; an operation is one delivery to one stream.
func BenchmarkSubscribe(b *testing.B) {
	w := newEventWorld(b)
	fill(b, w)
	e, err := w.hub.Get(b.Context(), event.Name(7, 1), hookstreamv1.EventView_EVENT_VIEW_TYPED)
	if err != nil {
		b.Fatal(err)
	}
	cursor := event.Cursor{}.String()
	plain := &plainEvents{response: &hookstreamv1.SubscribeResponse{Cursor: cursor, Frame: &hookstreamv1.SubscribeResponse_Batch{
		Batch: &hookstreamv1.DeliveryBatch{Deliveries: []*hookstreamv1.Delivery{{Cursor: cursor, Event: e}}},
	}}}
	for _, streams := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("Plain/%d", streams), func(b *testing.B) { benchSubscribe(b, plain, streams) })
		b.Run(fmt.Sprintf("Hub/%d", streams), func(b *testing.B) { benchSubscribe(b, w.service, streams) })
	}
}

// fill puts the events into the ring, which holds what comes while it runs.
func fill(b *testing.B, w *eventWorld) {
	b.Helper()
	opened, passed := make(chan struct{}), make(chan error, 1)
	go func() {
		n := 0
		passed <- w.hub.Stream(b.Context(), benchRequest(b, w), func(f hub.Frame) error {
			if _, ok := f.Message.(*hookstreamv1.Opened); ok {
				close(opened)
			}
			if n += len(f.Deliveries); n == benchEvents {
				return io.EOF
			}
			return nil
		})
	}()
	<-opened
	body := `{"eventId": "` + strings.Repeat("x", 900) + `"}`
	for range benchEvents {
		w.put(b, "open", body)
	}
	if err := <-passed; !errors.Is(err, io.EOF) {
		b.Fatal(err)
	}
}

func benchRequest(b *testing.B, w *eventWorld) hub.Request {
	r, err := w.service.parseSubscribe(&hookstreamv1.SubscribeRequest{})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func benchSubscribe(b *testing.B, service hookstreamv1.EventServiceServer, streams int) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	g := grpc.NewServer(grpc.ForceServerCodecV2(codec{}))
	hookstreamv1.RegisterEventServiceServer(g, service)
	go func() { _ = g.Serve(lis) }()
	defer g.Stop()
	conns := make([]*grpc.ClientConn, min(streams, 16))
	for i := range conns {
		if conns[i], err = grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(countingCodec{protoCodec}))); err != nil {
			b.Fatal(err)
		}
		defer conns[i].Close()
	}
	b.ResetTimer()
	rounds := 0
	for left := b.N; left > 0; left -= benchEvents * streams {
		var wg sync.WaitGroup
		for i := range streams {
			wg.Go(func() { drain(b, conns[i%len(conns)]) })
		}
		wg.Wait()
		rounds++
	}
	b.ReportMetric(float64(rounds*benchEvents*streams)/b.Elapsed().Seconds(), "deliveries/s")
}

// drain reads one stream to its end.
func drain(b *testing.B, conn *grpc.ClientConn) {
	stream, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, hookstreamv1.EventService_Subscribe_FullMethodName)
	if err != nil {
		b.Error(err)
		return
	}
	req := &hookstreamv1.SubscribeRequest{Start: earliest(), Stop: atHead()}
	if err := errors.Join(stream.SendMsg(req), stream.CloseSend()); err != nil {
		b.Error(err)
		return
	}
	var n counted
	for {
		if err := stream.RecvMsg(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			b.Error(err)
			return
		}
	}
	if n.bytes < benchEvents*900 {
		b.Errorf("%d bytes", n.bytes)
	}
}
