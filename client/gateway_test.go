package client_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/internal/linktest"
)

// A gateway is a whole one, in this process. It can be stopped and started again
// at the same place.
type gateway struct {
	t    *testing.T
	o    app.Options
	addr string
	end  func()
	conn *grpc.ClientConn // for the test itself
	sent []string         // the sender's ids of what was published, in order
}

func startGateway(t *testing.T, change ...func(*app.Options)) *gateway {
	t.Helper()
	o := app.DefaultOptions()
	o.IngressAddr, o.GRPCAddr, o.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	o.DataDir = t.TempDir()
	o.DrainGrace = 100 * time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	for _, c := range change {
		c(&o)
	}
	g := &gateway{t: t, o: o}
	g.start()
	g.o.GRPCAddr = g.addr
	t.Cleanup(func() { g.stop() })
	_, err := hookstreamv1.NewSourceServiceClient(g.conn).CreateSource(t.Context(), &hookstreamv1.CreateSourceRequest{
		SourceId: "billing", Source: &hookstreamv1.Source{Config: &hookstreamv1.Source_Yousign{
			Yousign: &yousignv1.SourceConfig{Secrets: []string{"a secret that is long enough"}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) start() {
	g.t.Helper()
	a, err := app.New(g.t.Context(), g.o)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	g.addr = a.Addrs().GRPC
	g.conn = dialGateway(g.t, g.addr)
	g.end = func() {
		g.conn.Close()
		cancel()
		if err := <-ended; err != nil {
			g.t.Error(err)
		}
	}
}

func (g *gateway) stop() {
	if g.end != nil {
		g.end()
		g.end = nil
	}
}

func dialGateway(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := client.Dial(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send publishes n events.
func (g *gateway) send(n int) {
	g.t.Helper()
	sources := hookstreamv1.NewSourceServiceClient(g.conn)
	for range n {
		sent, err := sources.SendSourceTestEvent(g.t.Context(), &hookstreamv1.SendSourceTestEventRequest{Name: "sources/billing"}, grpc.WaitForReady(true))
		if err != nil || sent.GetHttpStatus() != 200 {
			g.t.Errorf("%v, %v", sent, err)
			return
		}
		g.sent = append(g.sent, sent.GetProviderEventId())
	}
}

// An inbox remembers what was handled, and lets a test wait for it.
type inbox struct {
	mu      sync.Mutex
	ids     []string
	changed chan struct{}
}

func newInbox() *inbox { return &inbox{changed: make(chan struct{}, 1)} }

func (b *inbox) handle(_ context.Context, d *delivery) error {
	b.mu.Lock()
	b.ids = append(b.ids, d.GetEvent().GetProviderEventId())
	b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return nil
}

func (b *inbox) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.ids)
}

// await waits until n events were handled.
func (b *inbox) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(time.Minute)
	for len(b.all()) < n {
		select {
		case <-b.changed:
		case <-deadline:
			t.Fatalf("handled %d events, want %d", len(b.all()), n)
		}
	}
}

// A gateway that is stopped and started again costs a stream nothing: no event is
// missing, none comes twice, and the kept place carries over to another run.
func TestStreamOverARestart(t *testing.T) {
	g := startGateway(t)
	g.send(5)
	conn := dialGateway(t, g.addr)
	o := client.StreamOptions{
		Start: client.Earliest(), ClientID: "test", OnError: func(err error) { t.Log(err) },
		Cursors: client.FileCursors(filepath.Join(t.TempDir(), "place")),
	}
	got := newInbox()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- client.Stream(ctx, conn, o, got.handle) }()
	got.await(t, 5)
	g.stop()
	g.start()
	g.send(5)
	got.await(t, 10)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	g.send(3)
	o.Stop = client.AtHead()
	if err := client.Stream(t.Context(), conn, o, got.handle); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(g.sent, got.all()); diff != "" {
		t.Errorf("-sent +handled: %s", diff)
	}
}

// Connections that are cut again and again, in the middle of batches, cost a
// stream nothing either.
func TestStreamOverCutConnections(t *testing.T) {
	g := startGateway(t)
	g.send(60)
	l := linktest.New(t, g.addr)
	conn := dialGateway(t, l.Addr())
	got := newInbox()
	var breaks atomic.Int32
	o := client.StreamOptions{
		Start: client.Earliest(), OnError: func(error) { breaks.Add(1) },
		FlowControl: &hookstreamv1.FlowControl{MaxBatchEvents: 7},
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		ended <- client.Stream(ctx, conn, o, func(ctx context.Context, d *delivery) error {
			if len(got.all())%20 == 10 {
				l.Reset()
			}
			return got.handle(ctx, d)
		})
	}()
	got.await(t, 60)
	// All may have been on this side of the cuts already.
	for breaks.Load() == 0 {
		l.Reset()
		g.send(1)
		got.await(t, len(g.sent))
	}
	cancel()
	<-ended
	if diff := cmp.Diff(g.sent, got.all()); diff != "" {
		t.Errorf("-sent +handled: %s", diff)
	}
}

// A place that retention overtook ends the stream with a reason, or is told as a
// gap; it is never passed over in silence. A place in another log is refused.
func TestStreamWhosePlaceIsGone(t *testing.T) {
	g := startGateway(t, func(o *app.Options) { o.RetentionEvents = 10 })
	conn := dialGateway(t, g.addr)
	kept := &memory{}
	o := client.StreamOptions{Start: client.Earliest(), Stop: client.AtHead(), Cursors: kept}
	g.send(2)
	if err := client.Stream(t.Context(), conn, o, newInbox().handle); err != nil {
		t.Fatal(err)
	}
	foreign := kept.cursor
	g.send(30)
	// What a gateway has in memory it still gives.
	g.stop()
	g.start()
	err := client.Stream(t.Context(), conn, o, newInbox().handle)
	if client.Reason(err) != hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED || kept.cursor != foreign {
		t.Errorf("ended with %v, kept another cursor: %v", err, kept.cursor != foreign)
	}
	got, missed := newInbox(), int64(0)
	o.OnGap = func(g *hookstreamv1.Gap) error { missed += g.GetMissedEvents(); return nil }
	if err := client.Stream(t.Context(), conn, o, got.handle); err != nil {
		t.Fatal(err)
	}
	if n := len(got.all()); missed == 0 || missed+int64(n) != 30 || n < 10 {
		t.Errorf("missed %d, handled %d", missed, n)
	}
	other := startGateway(t)
	err = client.Stream(t.Context(), dialGateway(t, other.addr), client.StreamOptions{Cursors: &memory{cursor: foreign}}, got.handle)
	if client.Reason(err) != hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_UNKNOWN {
		t.Errorf("another log: ended with %v", err)
	}
}

// Streams that come and go leave no goroutine behind.
func TestStreamsLeaveNoGoroutines(t *testing.T) {
	g := startGateway(t)
	g.send(3)
	conn := dialGateway(t, g.addr)
	o := client.StreamOptions{Start: client.Earliest(), Stop: client.AtHead()}
	once := func() {
		if err := client.Stream(t.Context(), conn, o, newInbox().handle); err != nil {
			t.Fatal(err)
		}
	}
	once()
	before := runtime.NumGoroutine()
	for range 50 {
		once()
	}
	awaitGoroutines(t, before)
}

// awaitGoroutines waits until there are about as many as before: the gateway's
// own come and go.
func awaitGoroutines(t *testing.T, before int) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for runtime.NumGoroutine() > before+10 {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
