package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/source"
)

// gateway is a server with both its faces on loopback.
type gateway struct {
	*Server
	conn    *grpc.ClientConn
	sources hookstreamv1.SourceServiceClient
	catalog hookstreamv1.CatalogServiceClient
	events  hookstreamv1.EventServiceClient
	http    *httptest.Server
	logs    *logBuffer
}

// logBuffer collects what is logged, to look for what must not be.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs a gateway over a real log until the test ends.
func start(t *testing.T, change ...func(*Options, *HTTPOptions)) *gateway {
	t.Helper()
	g := &gateway{logs: new(logBuffer)}
	opts := Options{
		Requests:    newNoRequests(t),
		Sources:     openSources(t),
		CheckSource: needsSecret,
		Events:      new(fakeEvents),
		Logger:      slog.New(slog.NewTextHandler(g.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		EventTypes:  []*hookstreamv1.EventType{{Provider: "yousign", Type: "signature_request.done"}},
	}
	var web HTTPOptions
	for _, c := range change {
		c(&opts, &web)
	}
	var err error
	if g.Server, err = New(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		g.Stop(ctx)
	})
	g.serveGRPC(t)
	handler, err := g.Handler(web)
	if err != nil {
		t.Fatal(err)
	}
	g.http = httptest.NewUnstartedServer(nil)
	g.http.Config = HTTPServer(handler)
	g.http.Start()
	t.Cleanup(g.http.Close)
	return g
}

func (g *gateway) serveGRPC(t *testing.T) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(lis) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	g.conn, err = grpc.NewClient(lis.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.conn.Close(); g.Stop(context.Background()) })
	g.sources = hookstreamv1.NewSourceServiceClient(g.conn)
	g.catalog = hookstreamv1.NewCatalogServiceClient(g.conn)
	g.events = hookstreamv1.NewEventServiceClient(g.conn)
}

func openSources(t *testing.T) *source.Store {
	t.Helper()
	o := jetstream.DefaultOptions()
	o.Dir = t.TempDir()
	engine, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	bucket, err := engine.Bucket(t.Context(), "SOURCES")
	if err != nil {
		t.Fatal(err)
	}
	store, err := source.Open(t.Context(), bucket, source.NewKey(), providers(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// providers are those that look after credentials.
func providers(t testing.TB) *provider.Set {
	t.Helper()
	set, err := provider.NewSet(ignisign.Provider{}, yousign.Provider{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// needsSecret is what the providers say of a source without credentials.
func needsSecret(src *hookstreamv1.Source) error {
	if len(src.GetYousign().GetSecrets()) == 0 && src.GetIgnisign().GetApiKey() == "" {
		return errors.New("no secret")
	}
	return nil
}

// do sends a request to the HTTP face and answers its status and body.
func (g *gateway) do(t *testing.T, method, path, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, g.http.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// wantStatus holds an error to a code and a reason.
func wantStatus(t *testing.T, err error, code codes.Code, reason string) *status.Status {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code || reasonOf(st) != reason {
		t.Errorf("got %v %q (%s), want %v %q", st.Code(), reasonOf(st), st.Message(), code, reason)
	}
	return st
}

// violated answers the fields that a status complains of, sorted.
func violated(st *status.Status) []string {
	var out []string
	for _, d := range st.Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				out = append(out, v.GetField())
			}
		}
	}
	slices.Sort(out)
	return out
}

// parseJSON reads an object.
func parseJSON(t *testing.T, body string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return out
}

// fakeEvents is a way out whose streams a test writes.
type fakeEvents struct {
	hookstreamv1.UnimplementedEventServiceServer
	subscribe func(*hookstreamv1.SubscribeRequest, grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]) error
	get       func(context.Context, *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error)
}

func (f *fakeEvents) Subscribe(req *hookstreamv1.SubscribeRequest, stream grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]) error {
	return f.subscribe(req, stream)
}

func (f *fakeEvents) GetEvent(ctx context.Context, req *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
	return f.get(ctx, req)
}

func (*fakeEvents) ExportEvents(*hookstreamv1.ExportEventsRequest, grpc.ServerStreamingServer[hookstreamv1.ExportEventsResponse]) error {
	return nil
}

// withEvents gives the gateway a way out.
func withEvents(f *fakeEvents) func(*Options, *HTTPOptions) {
	return func(o *Options, _ *HTTPOptions) { o.Events = f }
}

func TestHealthIsToldForEveryService(t *testing.T) {
	g := start(t)
	client := healthv1.NewHealthClient(g.conn)
	check := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "hookstream.v1.SourceService", "hookstream.v1.EventService", "hookstream.v1.CatalogService"} {
			resp, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || resp.GetStatus() != want {
				t.Errorf("%q: %v, %v", service, resp, err)
			}
		}
	}
	check(healthv1.HealthCheckResponse_SERVING)
	g.SetHealthy(false)
	check(healthv1.HealthCheckResponse_NOT_SERVING)
	g.SetHealthy(true)
	check(healthv1.HealthCheckResponse_SERVING)
	g.Drain()
	g.SetHealthy(true)
	check(healthv1.HealthCheckResponse_NOT_SERVING)
}

func TestReflectionListsTheServices(t *testing.T) {
	g := start(t)
	stream, err := reflectionv1.NewServerReflectionClient(g.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, service := range resp.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	for _, want := range []string{"hookstream.v1.SourceService", "hookstream.v1.EventService", "hookstream.v1.CatalogService", "grpc.health.v1.Health"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
}

// Whoever reads the reasons of errors by reflection finds their types there.
func TestReflectionKnowsTheDetailsOfErrors(t *testing.T) {
	g := start(t)
	stream, err := reflectionv1.NewServerReflectionClient(g.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, symbol := range []string{"google.rpc.Status", "google.rpc.Code", "google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"} {
		err := stream.Send(&reflectionv1.ServerReflectionRequest{
			MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: symbol},
		})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
			t.Errorf("%s: %v", symbol, resp.GetErrorResponse())
		}
	}
}

// A health watch never ends by itself: a plain GracefulStop would wait for ever.
func TestStopEndsAWatchOfHealth(t *testing.T) {
	g := start(t)
	watch, err := healthv1.NewHealthClient(g.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(t.Context()); err != nil {
		t.Errorf("stop had to cut: %v", err)
	}
	for err = nil; err == nil; _, err = watch.Recv() {
	}
	wantStatus(t, err, codes.Unavailable, "DRAINING")
}

func TestStopIsBoundedByItsContext(t *testing.T) {
	entered := make(chan struct{})
	release := make(chan struct{})
	g := start(t, withEvents(&fakeEvents{get: func(context.Context, *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
		close(entered)
		<-release
		return new(hookstreamv1.Event), nil
	}}))
	answered := make(chan error, 1)
	go func() {
		_, err := g.events.GetEvent(context.Background(), &hookstreamv1.GetEventRequest{Name: "events/a-1"})
		answered <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop(ctx) }()
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a call open: %v", err)
	default:
	}
	cancel()
	if err := <-answered; status.Code(err) != codes.Unavailable {
		t.Errorf("the call that was cut got %v", err)
	}
	close(release) // grpc waits for handlers even when it cuts
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("stop: %v", err)
	}
}

func TestGracefulStopLetsACallFinish(t *testing.T) {
	entered := make(chan struct{})
	release := make(chan struct{})
	g := start(t, withEvents(&fakeEvents{get: func(context.Context, *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
		close(entered)
		<-release
		return &hookstreamv1.Event{Name: "events/a-1"}, nil
	}}))
	answered := make(chan error, 1)
	go func() {
		_, err := g.events.GetEvent(context.Background(), &hookstreamv1.GetEventRequest{Name: "events/a-1"})
		answered <- err
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop(context.Background()) }()
	<-g.stopping.Done()
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the open call got %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}
