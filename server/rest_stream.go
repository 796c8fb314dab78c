package server

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A subscriber runs EventService.Subscribe, and hands send every message of the
// stream: a *wireFrame or a proto.Message. It returns when the stream has ended.
type subscriber func(ctx context.Context, req *hookstreamv1.SubscribeRequest, send func(any) error) error

// subscribe is the subscriber of REST. It goes through what a call of the network
// goes through, but over no connection: on one, each stream that is not read holds
// frames of its own, and nothing of them could be shared.
func (s *Server) subscribe(ctx context.Context, req *hookstreamv1.SubscribeRequest, send func(any) error) error {
	return s.stream(ctx, "Subscribe", req, send)
}

// export is the same of EventService.ExportEvents.
func (s *Server) export(ctx context.Context, req *hookstreamv1.ExportEventsRequest, send func(any) error) error {
	return s.stream(ctx, "ExportEvents", req, send)
}

// stream runs a method of EventService that answers a stream.
func (s *Server) stream(ctx context.Context, method string, req proto.Message, send func(any) error) error {
	desc := &hookstreamv1.EventService_ServiceDesc
	i := slices.IndexFunc(desc.Streams, func(d grpc.StreamDesc) bool { return d.StreamName == method })
	handler := desc.Streams[i].Handler
	info := &grpc.StreamServerInfo{FullMethod: "/" + desc.ServiceName + "/" + method, IsServerStream: true}
	for _, around := range slices.Backward(s.streamInterceptors()) {
		next := handler
		handler = func(srv any, stream grpc.ServerStream) error { return around(srv, stream, info, next) }
	}
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: inProcess{}, LocalAddr: inProcess{}})
	stream := &localStream{ctx: ctx, req: req, send: send}
	defer stream.end()
	return handler(s.opts.Events, stream)
}

// inProcess is the address of a caller in this process.
type inProcess struct{}

var _ net.Addr = inProcess{}

// inProcessNetwork is what calls of REST come over, with or without a connection.
const inProcessNetwork = "bufconn"

func (inProcess) Network() string { return inProcessNetwork }
func (inProcess) String() string  { return inProcessNetwork }

// localStream is a stream without a connection.
type localStream struct {
	ctx  context.Context
	req  proto.Message
	send func(any) error

	// mu is held while a message is sent. As on a connection, one may be under way
	// when the call has ended: see subscription.Manager.Attach.
	mu    sync.Mutex
	ended bool
}

// end waits for what is being sent, which is bounded, and refuses what would be.
func (s *localStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

func (s *localStream) Context() context.Context { return s.ctx }

func (s *localStream) RecvMsg(m any) error {
	in := m.(*incoming)                            // as the interceptors receive
	proto.Merge(in.message.(proto.Message), s.req) // the request's type is the method's
	return nil
}

func (s *localStream) SendMsg(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return errEnded
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return s.send(m)
}

var errEnded = errors.New("server: the stream has ended")

// REST shows no metadata of an answer.
func (*localStream) SetHeader(metadata.MD) error  { return nil }
func (*localStream) SendHeader(metadata.MD) error { return nil }
func (*localStream) SetTrailer(metadata.MD)       {}
