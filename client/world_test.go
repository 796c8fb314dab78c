package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/hookstream/hookstream/client"
	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/internal/linktest"
	"github.com/hookstream/hookstream/server"
	"github.com/hookstream/hookstream/source"
	"github.com/hookstream/hookstream/subscription"
	"github.com/hookstream/hookstream/subscription/memengine"
)

// A world is gateways over an engine in memory, each behind a link that can be cut:
// an embedded one, or two that share a cluster. It has no sockets and no disk, so
// that it lives in a bubble of testing/synctest, where its hours take no time.
type world struct {
	t        *testing.T
	embedded bool
	store    *memengine.Store
	net      linktest.Net
	homes    []*house
	sent     []string // names of the events
}

// A house is where a gateway lives, again and again.
type house struct {
	w    *world
	name string
	link *linktest.Link
	conn *grpc.ClientConn // past the link, for who looks on

	mu     sync.Mutex
	lis    *bufconn.Listener
	engine *memengine.Engine
	end    func()
}

func newWorld(t *testing.T, seed uint64, embedded bool) *world {
	t.Helper()
	w := &world{t: t, embedded: embedded}
	w.store = memengine.New(memengine.Options{Journal: embedded, Rand: rand.New(rand.NewPCG(seed, 7)), Latency: 5 * time.Millisecond})
	n := 2
	if embedded {
		n = 1
	}
	for i := range n {
		h := &house{w: w, name: fmt.Sprintf("g%d", i)}
		h.open()
		h.link = w.net.New(t, "", h.dial)
		h.conn = dialOver(t, func(context.Context, string) (net.Conn, error) { return h.dial() })
		w.homes = append(w.homes, h)
	}
	t.Cleanup(func() {
		for _, h := range w.homes {
			h.conn.Close()
			h.close()
		}
		w.store.Close()
	})
	return w
}

// dial reaches the gateway that lives here now.
func (h *house) dial() (net.Conn, error) {
	h.mu.Lock()
	lis := h.lis
	h.mu.Unlock()
	return lis.Dial()
}

// over is a connection over the link.
func (h *house) over() *grpc.ClientConn {
	return dialOver(h.w.t, func(context.Context, string) (net.Conn, error) { return h.w.net.Dial("", h.link.Addr()) })
}

func dialOver(t *testing.T, dial func(context.Context, string) (net.Conn, error)) *grpc.ClientConn {
	conn, err := client.Dial("passthrough:///gateway", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (h *house) open() {
	quiet := slog.New(slog.DiscardHandler)
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	engine := h.w.store.Engine()
	events, err := hub.New(hub.Options{Log: h.w.store.Log(), RingEvents: 256})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = events.Run(ctx) })
	manager, err := subscription.Open(ctx, subscription.Options{Engine: engine, Hub: events, Gateway: h.name, Logger: quiet})
	must(err)
	service, err := server.NewEventService(server.EventServiceOptions{Hub: events, Subscriptions: manager})
	must(err)
	api, err := server.New(server.Options{Sources: new(source.Store), Events: service, Subscriptions: manager, Hub: events, Logger: quiet})
	must(err)
	lis := bufconn.Listen(1 << 16)
	wg.Go(func() { _ = api.Serve(lis) })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lis, h.engine = lis, engine
	h.end = func() {
		at, stop := context.WithTimeout(ctx, 100*time.Millisecond)
		defer stop()
		_ = api.Stop(at)
		manager.Close()
		cancel()
		wg.Wait()
	}
}

// close ends the gateway in good order.
func (h *house) close() {
	h.end()
	h.engine.Close()
}

// kill ends the gateway as kill -9 would, and begins another.
func (h *house) kill() {
	h.engine.Close()
	h.end()
	if h.w.embedded {
		h.w.store.Crash()
	}
	time.Sleep(time.Second) // to begin anew takes a moment
	h.open()
}

// send publishes n events, of a few entities.
func (w *world) send(n int) {
	for range n {
		i := len(w.sent)
		data, err := event.Encode(&hookstreamv1.Event{
			Source: "sources/billing", Provider: "yousign", Topic: "signer", Action: "done", Type: "signer.done",
			Entity: fmt.Sprintf("signature_requests/%d", i%7),
		}, &hookstreamv1.RawRequest{Body: fmt.Appendf(nil, `{"n":%d}`, i)})
		if err != nil {
			w.t.Fatal(err)
		}
		got, err := w.store.Log().Append(context.Background(), eventlog.Entry{
			Source: "billing", Topic: "signer", Action: "done", DedupKey: fmt.Sprintf("key %d", i), Data: data,
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.store.Published()
		w.sent = append(w.sent, event.Name(w.store.Log().Incarnation(), got.Seq))
	}
}

// subs is the API of a gateway, past its link.
func (w *world) subs(n int) hookstreamv1.SubscriptionServiceClient {
	return hookstreamv1.NewSubscriptionServiceClient(w.homes[n%len(w.homes)].conn)
}
