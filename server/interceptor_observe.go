package server

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

func (s *Server) observeUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	start := time.Now()
	resp, err := next(ctx, req)
	s.observe(ctx, info.FullMethod, start, err, slog.LevelDebug)
	return resp, err
}

func (s *Server) observeStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	start := time.Now()
	err := next(srv, stream)
	s.observe(stream.Context(), info.FullMethod, start, err, slog.LevelInfo)
	return err
}

// observe tells of the end of a call. Its line holds nothing of what was asked
// or answered, nor the error's text, which may quote the caller.
func (s *Server) observe(ctx context.Context, fullMethod string, start time.Time, err error, level slog.Level) {
	method, took, st := strings.TrimPrefix(fullMethod, "/"), time.Since(start), status.Convert(err)
	if s.opts.Metrics.Call != nil {
		s.opts.Metrics.Call(method, st.Code(), took)
	}
	switch st.Code() {
	case codes.OK:
	case codes.Internal, codes.Unknown, codes.DataLoss:
		level = slog.LevelError
	default:
		level = max(level, slog.LevelInfo)
	}
	s.opts.Logger.Log(ctx, level, "call",
		"method", method,
		"code", st.Code().String(),
		"reason", reasonOf(st),
		"took", took,
		"peer", peerOf(ctx),
	)
}

// reasonOf answers the reason in a status' details; empty when it has none.
func reasonOf(st *status.Status) string {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// peerOf answers who called. A call from REST comes from this process: what the
// REST face says of its own peer is to be believed then, and only then.
func peerOf(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	if p.Addr.Network() != inProcessNetwork {
		return p.Addr.String()
	}
	if from := metadata.ValueFromIncomingContext(ctx, restPeerHeader); len(from) > 0 {
		return "rest:" + from[0]
	}
	return "rest"
}
