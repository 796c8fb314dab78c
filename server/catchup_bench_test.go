package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/yousign"
)

// BenchmarkCatchUp reads a history of the embedded engine, nothing of which is
// in memory, over loopback TCP with a client that does not decode; an operation
// is one delivery to one stream. Events are Yousign's, about 1 KB as stored.
func BenchmarkCatchUp(b *testing.B) {
	const events = 100_000
	log := yousignHistory(b, events)
	for _, view := range []hookstreamv1.EventView{hookstreamv1.EventView_EVENT_VIEW_METADATA, hookstreamv1.EventView_EVENT_VIEW_TYPED} {
		for _, streams := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d", strings.TrimPrefix(view.String(), "EVENT_VIEW_"), streams), func(b *testing.B) {
				b.ReportAllocs()
				var deliveries int64
				for left := b.N; left > 0; left -= events * streams {
					b.StopTimer()
					conn, stats := freshGateway(b, log)
					b.StartTimer()
					catchUp(b, conn, streams, view)
					b.StopTimer()
					deliveries += stats().Deliveries
					b.StartTimer()
				}
				if want := int64(events * streams); deliveries%want != 0 || deliveries == 0 {
					b.Fatalf("%d deliveries, want a multiple of %d", deliveries, want)
				}
				b.ReportMetric(float64(deliveries)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
	}
}

// yousignHistory answers a log that holds so many events.
func yousignHistory(b *testing.B, events int64) eventlog.Log {
	o := jetstream.DefaultOptions()
	o.Dir, o.Durability = b.TempDir(), jetstream.DurabilityRelaxed
	log := logtest.Open(b, o).Events()
	var n atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := n.Add(1); i <= events; i = n.Add(1) {
				if _, err := log.Append(context.Background(), yousignEntry(b, i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return log
}

func yousignEntry(b *testing.B, n int64) eventlog.Entry {
	const topic, action = "document_analysis", "done"
	body, id, err := yousign.Sample(topic+"."+action, time.Unix(1772439061, 0))
	if err != nil {
		b.Fatal(err)
	}
	data, err := event.Encode(&hookstreamv1.Event{
		Source: "sources/billing", Provider: "yousign", Environment: "production",
		Topic: topic, Action: action, Type: topic + "." + action, ProviderEventId: id,
	}, &hookstreamv1.RawRequest{Body: body, ContentType: "application/json"})
	if err != nil {
		b.Fatal(err)
	}
	return eventlog.Entry{Source: "billing", Topic: topic, Action: action, DedupKey: fmt.Sprint(n), Data: data}
}

// freshGateway serves the log from a hub that has read nothing of it.
func freshGateway(b *testing.B, log eventlog.Log) (*grpc.ClientConn, func() hub.Stats) {
	h, err := hub.New(hub.Options{Log: log, Decoders: map[string]provider.Decoder{"yousign": provider.NewDecoder(yousign.Decode, yousign.Match)}})
	if err != nil {
		b.Fatal(err)
	}
	service, err := NewEventService(EventServiceOptions{Hub: h, Version: "v1.2.3"})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _ = h.Run(ctx) }()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	g := grpc.NewServer(grpc.ForceServerCodecV2(codec{}))
	hookstreamv1.RegisterEventServiceServer(g, service)
	go func() { _ = g.Serve(lis) }()
	conn, err := grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(8<<20), grpc.WithReadBufferSize(128<<10),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(countingCodec{protoCodec})))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close(); g.Stop(); cancel() })
	return conn, h.Stats
}

func catchUp(b *testing.B, conn *grpc.ClientConn, streams int, view hookstreamv1.EventView) {
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			stream, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ServerStreams: true}, hookstreamv1.EventService_Subscribe_FullMethodName)
			if err != nil {
				b.Error(err)
				return
			}
			req := &hookstreamv1.SubscribeRequest{View: view, Start: earliest(), Stop: atHead()}
			err = errors.Join(stream.SendMsg(req), stream.CloseSend())
			for err == nil {
				err = stream.RecvMsg(new(counted))
			}
			if !errors.Is(err, io.EOF) {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}
