package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// incoming is a message that is being received, and what is wrong with its bytes.
// grpc-go answers INTERNAL to what it cannot decode, before any interceptor is
// asked; it is the caller's mistake.
type incoming struct {
	message any
	err     error
}

// errUndecodable says no more: the decoder's words hold parts of what came.
func errUndecodable() error {
	return statusError(codes.InvalidArgument, hookstreamv1.ErrorReason_ERROR_REASON_REQUEST_INVALID,
		"the request cannot be read: it is no message of this method, or a text in it is not UTF-8")
}

// undecodable stands for a request that could not be decoded.
type undecodable struct{}

// A decodingRegistrar has requests of methods that are no streams received as
// incoming, and refuses those that cannot be decoded where every other refusal is
// seen: within the interceptors.
type decodingRegistrar struct{ grpc.ServiceRegistrar }

// RegisterService implements grpc.ServiceRegistrar.
func (r decodingRegistrar) RegisterService(desc *grpc.ServiceDesc, impl any) {
	own := *desc
	own.Methods = nil
	for _, m := range desc.Methods {
		own.Methods = append(own.Methods, grpc.MethodDesc{MethodName: m.MethodName, Handler: decoding(m.Handler)})
	}
	r.ServiceRegistrar.RegisterService(&own, impl)
}

func decoding(next grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
		var in incoming
		decode := func(message any) error {
			in.message = message
			return dec(&in)
		}
		return next(srv, ctx, decode, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, call grpc.UnaryHandler) (any, error) {
			if in.err != nil {
				req, call = undecodable{}, func(context.Context, any) (any, error) { return nil, errUndecodable() }
			}
			return around(ctx, req, info, call)
		})
	}
}
