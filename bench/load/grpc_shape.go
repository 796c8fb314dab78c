package load

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Shape is what a server streams, and how much of it the load looks at.
type Shape struct {
	method string
	take   func(*Stream, mem.BufferSlice) error
}

// PlainMethod is the call that streams an event a message, each a
// hookstream.v1.Delivery.
const PlainMethod = "/hookstream.bench.Plain/Subscribe"

var (
	// Frames are those of EventService.Subscribe. Deliveries are counted, and
	// their sequences are read, but nothing is decoded: the server is what is to
	// be measured.
	Frames = Shape{hookstreamv1.EventService_Subscribe_FullMethodName, (*Stream).receiveFrame}
	// Decoded are the same frames, decoded as a consumer does.
	Decoded = Shape{hookstreamv1.EventService_Subscribe_FullMethodName, (*Stream).decodeFrame}
	// Plain is a message an event, not decoded.
	Plain = Shape{PlainMethod, (*Stream).receivePlain}
)

// Watched are frames of which seen is called with every event's id at the
// sender, as it is received. Streams call it at once.
func Watched(seen func(eventID []byte)) Shape {
	return Shape{hookstreamv1.EventService_Subscribe_FullMethodName, func(s *Stream, data mem.BufferSlice) error {
		if err := s.receiveFrame(data); err != nil {
			return err
		}
		return eachEventID(data, seen)
	}}
}

func (s *Stream) receiveFrame(data mem.BufferSlice) error {
	s.message(data)
	return eachDelivery(data, s.count)
}

func (s *Stream) receivePlain(data mem.BufferSlice) error {
	s.message(data)
	w := newWire(data)
	n := w.left
	seq, err := w.delivery(n)
	s.count(n, seq)
	return err
}

func (s *Stream) decodeFrame(data mem.BufferSlice) error {
	s.message(data)
	var m hookstreamv1.SubscribeResponse
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	if err := proto.Unmarshal(buf.ReadOnlyData(), &m); err != nil {
		return err
	}
	return eachDelivery(data, s.count)
}

// codec hands what a stream receives to the stream, as it lies in gRPC's
// buffers. Everything else is ordinary Protobuf.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if s, ok := v.(*Stream); ok {
		return s.shape.take(s, data)
	}
	return c.CodecV2.Unmarshal(data, v)
}
