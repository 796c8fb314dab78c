package client

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

// Dial is grpc.NewClient with the settings that long streams need: pings that
// notice a dead peer, pauses between attempts to connect of at most ten seconds,
// and windows that let history come quickly. The options go after ours and
// replace them; transport credentials are required, as there is no default that
// is right for both a laptop and production.
//
// Nothing is connected yet when Dial returns.
func Dial(target string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(target, append(settings(), opts...)...)
}

func settings() []grpc.DialOption {
	patience := backoff.DefaultConfig
	patience.MaxDelay = 10 * time.Second
	return []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: patience, MinConnectTimeout: 10 * time.Second}),
		// More often than every ten seconds is answered with GOAWAY.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
		grpc.WithInitialWindowSize(1 << 20),
		grpc.WithInitialConnWindowSize(8 << 20),
		grpc.WithReadBufferSize(128 << 10),
	}
}
