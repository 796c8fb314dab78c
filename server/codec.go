package server

import (
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec lets a message be sent that is on the wire already, and keeps what is wrong
// with one that came for whoever receives it, see incoming. Everything else is
// ordinary Protobuf. Set it with grpc.ForceServerCodecV2.
//
// mem and ForceServerCodecV2 are marked experimental in grpc-go: besides this
// file only lists of deliveries touch them, here and in hub, and a test holds the
// bytes of a frame against those of proto.Marshal.
type codec struct{}

// wireFrame is a message that begins with head and goes on with a list of byte
// slices that others share: they are never changed. The list is read until what
// sends the frame has returned.
type wireFrame struct {
	head   []byte
	pieces mem.BufferSlice
}

// list answers the frame as a list of its own, for gRPC, to which it belongs from
// the moment it is sent.
func (f *wireFrame) list() mem.BufferSlice {
	out := append(make(mem.BufferSlice, 0, 1+len(f.pieces)), mem.SliceBuffer(f.head))
	return append(out, f.pieces...)
}

var protoCodec = encoding.GetCodecV2(grpcproto.Name)

// Marshal implements encoding.CodecV2.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if frame, ok := v.(*wireFrame); ok {
		return frame.list(), nil
	}
	return protoCodec.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	if in, ok := v.(*incoming); ok {
		in.err = protoCodec.Unmarshal(data, in.message)
		return nil
	}
	return protoCodec.Unmarshal(data, v)
}

// Name implements encoding.CodecV2. To a client it is Protobuf.
func (codec) Name() string { return grpcproto.Name }
