package baseline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// WriteDeliveries keeps what a gateway delivered in a file, so that a baseline
// can send the same.
func WriteDeliveries(file string, batch *hookstreamv1.DeliveryBatch) error {
	b, err := proto.Marshal(batch)
	if err != nil {
		return fmt.Errorf("baseline: %w", err)
	}
	return os.WriteFile(file, b, 0o600)
}

// readDeliveries answers what WriteDeliveries kept.
func readDeliveries(file string) ([]*hookstreamv1.Delivery, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	var batch hookstreamv1.DeliveryBatch
	if err := proto.Unmarshal(b, &batch); err != nil {
		return nil, fmt.Errorf("baseline: %s: %w", file, err)
	}
	if len(batch.GetDeliveries()) == 0 {
		return nil, fmt.Errorf("baseline: %s holds no deliveries", file)
	}
	return batch.GetDeliveries(), nil
}

// ServeSend streams the deliveries of a file to whoever asks, in the obvious
// way: a Send an event, each marshalled for each stream. It ends with ctx.
func ServeSend(ctx context.Context, lis net.Listener, file string) error {
	deliveries, err := readDeliveries(file)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		if err := flatten(d); err != nil {
			return err
		}
	}
	return serveGRPC(ctx, lis, plainService(func(stream grpc.ServerStream) error {
		for _, d := range deliveries {
			if err := stream.SendMsg(d); err != nil {
				return err
			}
		}
		return nil
	}))
}

// flatten replaces the typed payload, which is dear to marshal, by one string of
// bytes, which is cheap, and keeps the size: a baseline must not be slow for its
// messages' sake.
func flatten(d *hookstreamv1.Delivery) error {
	e := d.GetEvent()
	if e.GetPayload() == nil && e.GetRaw() == nil {
		return nil
	}
	want := proto.Size(d)
	e.Payload, e.Raw = nil, &hookstreamv1.RawRequest{}
	for range 3 { // lengths have lengths
		e.Raw.Body = make([]byte, max(0, len(e.Raw.GetBody())+want-proto.Size(d)))
	}
	if got := proto.Size(d); got < want-2 || got > want+2 {
		return fmt.Errorf("baseline: a delivery of %d bytes became one of %d", want, got)
	}
	return nil
}

// Bounds of a batch that is sent at once: what the gateway grants by default.
const (
	batchEvents = 256
	batchBytes  = 256 << 10
)

// ServeFramed streams the deliveries of a file to whoever asks in the cheapest
// way that gRPC has: as the bytes they are on the wire, framed before anybody
// asked, many in a message, the same memory for all. It is the limit of any
// server of events. It ends with ctx.
func ServeFramed(ctx context.Context, lis net.Listener, file string) error {
	deliveries, err := readDeliveries(file)
	if err != nil {
		return err
	}
	batches, err := frame(deliveries)
	if err != nil {
		return err
	}
	return serveGRPC(ctx, lis, streamService(hookstreamv1.EventService_ServiceDesc.ServiceName, func(stream grpc.ServerStream) error {
		for _, b := range batches {
			if err := stream.SendMsg(framed(b)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// framed is a message in wire form.
type framed mem.BufferSlice

// frame makes batches of the deliveries. Each element of a batch stands apart, as
// it must where every stream has a filter of its own.
func frame(deliveries []*hookstreamv1.Delivery) (batches []mem.BufferSlice, err error) {
	for len(deliveries) > 0 {
		var elements mem.BufferSlice
		size := 0
		for _, d := range deliveries[:min(len(deliveries), batchEvents)] {
			one, err := proto.Marshal(&hookstreamv1.DeliveryBatch{Deliveries: []*hookstreamv1.Delivery{d}})
			if err != nil {
				return nil, fmt.Errorf("baseline: %w", err)
			}
			if len(elements) > 0 && size+len(one) > batchBytes {
				break
			}
			elements, size = append(elements, mem.SliceBuffer(one)), size+len(one)
		}
		deliveries = deliveries[len(elements):]
		batches = append(batches, append(mem.BufferSlice{mem.SliceBuffer(event.AppendBatchHead(nil, size))}, elements...))
	}
	return batches, nil
}

// framedCodec sends what is in wire form as it is.
type framedCodec struct{ encoding.CodecV2 }

// Marshal implements encoding.CodecV2.
func (c framedCodec) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(framed); ok {
		// The list is gRPC's when it is sent, the bytes are not.
		return append(mem.BufferSlice(nil), b...), nil
	}
	return c.CodecV2.Marshal(v)
}

// streamService is a service whose one call, Subscribe, is answered by serve.
func streamService(name string, serve func(grpc.ServerStream) error) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{ServiceName: name, HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{{
		StreamName: "Subscribe", ServerStreams: true,
		Handler: func(_ any, stream grpc.ServerStream) error {
			if err := stream.RecvMsg(new(hookstreamv1.SubscribeRequest)); err != nil {
				return err
			}
			return serve(stream)
		},
	}}}
}

// plainService streams a message an event, each a Delivery.
func plainService(serve func(grpc.ServerStream) error) *grpc.ServiceDesc {
	return streamService("hookstream.bench.Plain", serve)
}

func serveGRPC(ctx context.Context, lis net.Listener, service *grpc.ServiceDesc) error {
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(framedCodec{encoding.GetCodecV2(grpcproto.Name)}),
		grpc.MaxConcurrentStreams(math.MaxUint32),
	)
	g.RegisterService(service, nil)
	stop := context.AfterFunc(ctx, g.Stop)
	defer stop()
	if err := g.Serve(lis); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("baseline: %w", err)
	}
	return nil
}
