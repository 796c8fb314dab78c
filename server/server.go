package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"time"

	_ "google.golang.org/genproto/googleapis/rpc/code" // for reflection: errors are read with google.rpc
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/test/bufconn"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/replay"
	"github.com/hookstream/hookstream/source"
	"github.com/hookstream/hookstream/subscription"
)

// Options are what a Server is made of. Sources and Events are required.
type Options struct {
	// Sources are what SourceService manages.
	Sources *source.Store
	// CheckSource says what a source lacks to be used, such as a secret. It is
	// called before a source is kept. Its error is shown to the caller and must
	// hold no credential.
	CheckSource func(*hookstreamv1.Source) error
	// TestSender sends the samples of SendSourceTestEvent.
	TestSender TestSender

	// Events is the way out.
	Events hookstreamv1.EventServiceServer
	// Subscriptions are what SubscriptionService manages, and Hub shows their
	// events. nil: there is no such service.
	Subscriptions *subscription.Manager
	Hub           *hub.Hub
	// Replays hand events out again. nil: nobody can ask for it.
	Replays *replay.Manager

	// Requests are what RequestService shows. nil: there is no such service.
	Requests Requests
	// Backup writes all that the gateway keeps; its error wraps eventlog.ErrNoBackup
	// where that cannot be. nil: it never can.
	Backup func(ctx context.Context, rate int64, to BackupWriter) error

	// Providers and EventTypes are the catalog, in any order.
	Providers  []*hookstreamv1.Provider
	EventTypes []*hookstreamv1.EventType

	// Register adds further services, if any.
	Register func(grpc.ServiceRegistrar)

	// MaxStreamsPerConnection bounds the calls open at once on one connection of
	// the network. 0: DefaultMaxStreamsPerConnection.
	MaxStreamsPerConnection uint32

	// Logger receives a line a call, without anything of its content.
	Logger *slog.Logger
	// Metrics is told of every call.
	Metrics Metrics
}

// DefaultMaxStreamsPerConnection is generous to a client that opens a stream for
// each of its workers, and bounds what one connection may cost.
const DefaultMaxStreamsPerConnection = 2000

// Metrics are told what happens. A nil function is not called; functions are
// called by many goroutines at once.
type Metrics struct {
	// Call is called when a call has ended: its method, as
	// `hookstream.v1.SourceService/GetSource`, its outcome and how long it took,
	// which for a stream is its life.
	Call func(method string, code codes.Code, took time.Duration)
}

const (
	// maxRequestBytes bounds a request; no request of the API needs more.
	maxRequestBytes = 4 << 20
	// maxHeaderBytes bounds a call's metadata.
	maxHeaderBytes = 64 << 10
	// restBuffer is what may be in flight between REST and the services.
	restBuffer = 1 << 20
)

// Server is the gRPC face of the gateway. The REST face, made by Handler, goes
// through the same services and interceptors.
type Server struct {
	opts   Options
	health *health.Server
	// public serves the network, inner the REST face: over one connection in
	// this process, with as many calls at once as HTTP clients make. Streams of
	// REST go over none: see subscribe.
	public, inner *grpc.Server
	pipe          *bufconn.Listener
	conn          *grpc.ClientConn
	// stopping is done when Stop has begun: streams that are still open end.
	stopping context.Context
	stop     context.CancelFunc
	stopped  sync.Once
}

// New prepares a server. Nothing is served before Serve, but for REST. Stop must
// be called.
func New(opts Options) (*Server, error) {
	if opts.Sources == nil || opts.Events == nil {
		return nil, errors.New("server: Sources and Events are required")
	}
	if (opts.Subscriptions == nil) != (opts.Hub == nil) {
		return nil, errors.New("server: Subscriptions and Hub come together")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.MaxStreamsPerConnection == 0 {
		opts.MaxStreamsPerConnection = DefaultMaxStreamsPerConnection
	}
	s := &Server{opts: opts, health: health.NewServer(), pipe: bufconn.Listen(restBuffer)}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.public = s.newGRPC(opts.MaxStreamsPerConnection)
	s.inner = s.newGRPC(math.MaxUint32)
	go func() { _ = s.inner.Serve(s.pipe) }() // until Stop
	conn, err := s.dial()
	if err != nil {
		s.inner.Stop()
		return nil, err
	}
	s.conn = conn
	return s, nil
}

func (s *Server) newGRPC(maxStreams uint32) *grpc.Server {
	g := grpc.NewServer(
		grpc.ForceServerCodecV2(codec{}),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxRecvMsgSize(maxRequestBytes),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(20*time.Second),
		// Clients may ping often enough to keep a NAT's mapping, no more.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		// A peer that is gone without a word is noticed within a minute and a half.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.ChainUnaryInterceptor(s.unaryInterceptors()...),
		grpc.ChainStreamInterceptor(s.streamInterceptors()...),
	)
	s.register(g)
	return g
}

func (s *Server) register(server *grpc.Server) {
	g := decodingRegistrar{server}
	hookstreamv1.RegisterSourceServiceServer(g, &sourceService{
		store: s.opts.Sources,
		check: s.opts.CheckSource,
		tests: s.opts.TestSender,
		types: s.opts.EventTypes,
	})
	hookstreamv1.RegisterCatalogServiceServer(g, newCatalogService(s.opts.Providers, s.opts.EventTypes))
	hookstreamv1.RegisterEventServiceServer(g, s.opts.Events)
	hookstreamv1.RegisterAdminServiceServer(g, &adminService{backup: s.opts.Backup})
	if s.opts.Subscriptions != nil {
		hookstreamv1.RegisterSubscriptionServiceServer(g, &subscriptionService{
			manager: s.opts.Subscriptions, hub: s.opts.Hub, replays: s.opts.Replays,
		})
	}
	if s.opts.Requests != nil {
		hookstreamv1.RegisterRequestServiceServer(g, &requestService{requests: s.opts.Requests, logger: s.opts.Logger})
	}
	if s.opts.Register != nil {
		s.opts.Register(g)
	}
	healthv1.RegisterHealthServer(g, s.health)
	reflection.Register(server)
	s.serving(server, healthv1.HealthCheckResponse_SERVING)
}

func (s *Server) serving(g *grpc.Server, status healthv1.HealthCheckResponse_ServingStatus) {
	s.health.SetServingStatus("", status)
	for name := range g.GetServiceInfo() {
		s.health.SetServingStatus(name, status)
	}
}

// dial connects the REST face to the services.
func (s *Server) dial() (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///inner",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		grpc.WithIdleTimeout(0),
	)
	if err != nil {
		return nil, fmt.Errorf("server: connect REST: %w", err)
	}
	return conn, nil
}

// Serve answers gRPC calls on lis until Stop, and closes it. It may be called
// for several listeners. TLS is the listener's: wrapped by tls.NewListener, with
// "h2" among NextProtos.
func (s *Server) Serve(lis net.Listener) error {
	err := s.public.Serve(lis)
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// SetHealthy says whether this gateway should be sent calls, to who asks the
// standard health service. After Drain it stays unhealthy.
func (s *Server) SetHealthy(healthy bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if healthy {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.serving(s.public, status)
}

// Drain turns the health service to NOT_SERVING for good. Calls are still
// answered: it is the first step of stopping, before the hub ends its streams.
func (s *Server) Drain() { s.health.Shutdown() }

// Stop ends the server: new calls are refused, open streams are told to end, and
// open calls have until ctx is done to do so, then they are cut. Drain the hub
// before, which ends its streams with more grace, and shut the HTTP server down,
// for REST rests on this one. The error is ctx's when calls had to be cut.
func (s *Server) Stop(ctx context.Context) (err error) {
	s.stopped.Do(func() {
		s.Drain()
		s.stop()
		err = errors.Join(stopWithin(ctx, s.public), stopWithin(ctx, s.inner))
		err = errors.Join(err, s.conn.Close(), s.pipe.Close())
	})
	return err
}

// stopWithin bounds GracefulStop, which alone waits for ever on an open stream.
func stopWithin(ctx context.Context, g *grpc.Server) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.GracefulStop()
	}()
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		g.Stop()
		<-stopped
		return context.Cause(ctx)
	}
}
