package server

import (
	"context"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// unaryTimeout ends a call whose caller gave no deadline. All methods that are
// not streams answer in milliseconds when the gateway is well.
const unaryTimeout = 30 * time.Second

// unaryInterceptors are, from the outside in: what sees the outcome of
// everything; what makes a status of any error, panics included; what bounds and
// checks the request.
func (s *Server) unaryInterceptors() []grpc.UnaryServerInterceptor {
	return []grpc.UnaryServerInterceptor{s.observeUnary, s.statusUnary, s.recoverUnary, deadlineUnary, validateUnary}
}

// streamInterceptors are the same for streams, which have no deadline.
func (s *Server) streamInterceptors() []grpc.StreamServerInterceptor {
	return []grpc.StreamServerInterceptor{s.observeStream, s.statusStream, s.endStream, s.recoverStream, validateStream}
}

func (s *Server) statusUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	resp, err := next(ctx, req)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	return resp, nil
}

func (s *Server) statusStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := next(srv, stream); err != nil {
		return s.status(stream.Context(), err)
	}
	return nil
}

// endStream ends streams that nothing else ends when the server stops: a health
// watch would otherwise keep a graceful stop from ending at all.
func (s *Server) endStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(s.stopping, cancel)()
	err := next(srv, endingStream{stream, ctx})
	if err != nil && s.stopping.Err() != nil && stream.Context().Err() == nil {
		return statusError(codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_DRAINING, "the gateway is going down")
	}
	return err
}

type endingStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s endingStream) Context() context.Context { return s.ctx }

func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer s.recovered(ctx, info.FullMethod, &err)
	return next(ctx, req)
}

func (s *Server) recoverStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer s.recovered(stream.Context(), info.FullMethod, &err)
	return next(srv, stream)
}

// recovered turns a panic into an error that says nothing of it. The stack is
// logged; the panic's value, which may hold anything, is not, but for the
// runtime's own.
func (s *Server) recovered(ctx context.Context, method string, err *error) {
	r := recover()
	if r == nil {
		return
	}
	cause := "a value of our own"
	if e, ok := r.(interface{ RuntimeError() }); ok {
		cause = e.(error).Error()
	}
	s.opts.Logger.ErrorContext(ctx, "panic in a call", "method", method, "cause", cause, "stack", string(debug.Stack()))
	*err = status.Error(codes.Internal, "internal error")
}

func deadlineUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, unaryTimeout)
		defer cancel()
	}
	return next(ctx, req)
}

func validateUnary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := validate(req); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func validateStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	return next(srv, validatingStream{stream})
}

// validatingStream checks what the caller sends.
type validatingStream struct{ grpc.ServerStream }

func (s validatingStream) RecvMsg(m any) error {
	in := incoming{message: m}
	if err := s.ServerStream.RecvMsg(&in); err != nil {
		return err
	}
	if in.err != nil {
		return errUndecodable()
	}
	return validate(m)
}

func validate(req any) error {
	m, ok := req.(proto.Message)
	if !ok {
		return nil
	}
	return check(m).err()
}
