package app_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hookstream/hookstream/app"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// gateway is a whole gateway in this process.
type gateway struct {
	*app.App
	t    *testing.T
	conn *grpc.ClientConn
	stop func() error
}

func options(t *testing.T) app.Options {
	o := app.DefaultOptions()
	o.IngressAddr, o.GRPCAddr, o.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	o.DataDir = t.TempDir()
	o.DrainGrace = 100 * time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	return o
}

func start(t *testing.T, o app.Options) *gateway {
	t.Helper()
	a, err := app.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	conn, err := grpc.NewClient(a.Addrs().GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{App: a, t: t, conn: conn}
	stopped := false
	g.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	})
	return g
}

func (g *gateway) createSource(id string, src *hookstreamv1.Source) *hookstreamv1.Source {
	g.t.Helper()
	src, err := hookstreamv1.NewSourceServiceClient(g.conn).CreateSource(g.t.Context(), &hookstreamv1.CreateSourceRequest{SourceId: id, Source: src})
	if err != nil {
		g.t.Fatal(err)
	}
	return src
}

func (g *gateway) post(path, signature, body string) int {
	g.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+g.Addrs().Ingress+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Yousign-Signature-256", signature)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func (g *gateway) subscribe(req *hookstreamv1.SubscribeRequest) grpc.ServerStreamingClient[hookstreamv1.SubscribeResponse] {
	g.t.Helper()
	stream, err := hookstreamv1.NewEventServiceClient(g.conn).Subscribe(g.t.Context(), req)
	if err != nil {
		g.t.Fatal(err)
	}
	return stream
}

// next answers the next event of a stream.
func next(t *testing.T, s grpc.ServerStreamingClient[hookstreamv1.SubscribeResponse]) *hookstreamv1.Event {
	t.Helper()
	for {
		resp, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if ds := resp.GetBatch().GetDeliveries(); len(ds) > 0 {
			return ds[0].GetEvent()
		}
	}
}

// The first of the fact sheet's signed vectors.
const (
	vectorBody      = `{"event_id":"a0001357-1001-4001-8001-abc000001eef","event_name":"signer.done","event_time":"1772439061","subscription_id":"f4a23698-c3d5-44b7-86a9-829304152637","subscription_description":"Event gateway","sandbox":true,"data":{}}`
	vectorSignature = "sha256=52bce64890895f15226669445d022612a4ebff4265ec5a57d6d073711b12dc81"
)

func TestWebhookToStream(t *testing.T) {
	g := start(t, options(t))
	src := g.createSource("billing", yousignSource())
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{})
	if resp, err := stream.Recv(); err != nil || resp.GetOpened() == nil {
		t.Fatalf("first frame: %v, %v", resp, err)
	}
	flipped := strings.Replace(vectorBody, "signer.done", "signer.dond", 1)
	if got := g.post(src.GetIngressPath(), vectorSignature, flipped); got != http.StatusUnauthorized {
		t.Errorf("a flipped byte was answered %d", got)
	}
	for range 2 { // the second is a duplicate
		if got := g.post(src.GetIngressPath(), vectorSignature, vectorBody); got != http.StatusOK {
			t.Errorf("the webhook was answered %d", got)
		}
	}
	e := next(t, stream)
	if e.GetType() != "signer.done" || e.GetYousign().GetEventName() != yousignv1.EventName_EVENT_NAME_SIGNER_DONE {
		t.Errorf("event %v", e)
	}
	if e.GetVerification().GetState() != hookstreamv1.Verification_STATE_VERIFIED {
		t.Errorf("verification %v", e.GetVerification())
	}
	got, err := hookstreamv1.NewEventServiceClient(g.conn).GetEvent(t.Context(), &hookstreamv1.GetEventRequest{Name: e.GetName()})
	if err != nil || got.GetProviderEventId() != e.GetProviderEventId() {
		t.Errorf("get: %v, %v", got, err)
	}
	all := g.subscribe(&hookstreamv1.SubscribeRequest{
		Start: &hookstreamv1.SubscribeRequest_Earliest{Earliest: true},
		Stop:  &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
	})
	n := 0
	for {
		resp, err := all.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += len(resp.GetBatch().GetDeliveries())
	}
	if n != 1 {
		t.Errorf("%d events in the log, want 1", n)
	}
}

func TestHTTPFace(t *testing.T) {
	g := start(t, options(t))
	for path, want := range map[string]string{
		"/healthz":               "ok",
		"/readyz":                "ok",
		"/metrics":               "hookstream_build_info",
		"/openapi.json":          `"openapi": "3.1`,
		"/hookstream.binpb":      "hookstream/v1/event.proto",
		"/hookstream-lite.binpb": "hookstream/v1/event.proto",
		"/docs":                  "swagger",
		"/v1/providers":          "yousign",
		"/v1/eventTypes":         "signature_request.done",
		"/v1/sources":            "{",
	} {
		resp, err := http.Get("http://" + g.Addrs().HTTP + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %d, %.200s", path, resp.StatusCode, body)
		}
	}
}

// A stop tells streams to go elsewhere, ends them with UNAVAILABLE, and is over
// soon although somebody listens.
func TestStopDrains(t *testing.T) {
	g := start(t, options(t))
	stream := g.subscribe(&hookstreamv1.SubscribeRequest{})
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- g.stop() }()
	drained := false
	for {
		resp, err := stream.Recv()
		if err != nil {
			break
		}
		drained = drained || resp.GetDraining() != nil
	}
	if !drained {
		t.Error("the stream ended without a word")
	}
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the stop does not end")
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	for want, change := range map[string]func(*app.Options){
		"allow-unauthenticated": func(o *app.Options) { o.GRPCAddr = "0.0.0.0:9090" },
		"not host:port":         func(o *app.Options) { o.IngressAddr = "8080" },
		"both a certificate":    func(o *app.Options) { o.TLSCert = "x" },
		"must share the key":    func(o *app.Options) { o.NATSURL = "nats://127.0.0.1:4222" },
		"durability":            func(o *app.Options) { o.Durability = "never" },
		"need --nats-url":       func(o *app.Options) { o.NATSInboxPrefix = "hs.inbox" },
		"without wildcards":     func(o *app.Options) { o.NATSURL, o.NATSInboxPrefix = "nats://n", "hs.>" },
		"a subject":             func(o *app.Options) { o.NATSURL, o.NATSInboxPrefix = "nats://n", "hs." },
		"one token":             func(o *app.Options) { o.NATSURL, o.NATSDomain = "nats://n", "a.b" },
	} {
		o := app.DefaultOptions()
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
	if err := app.DefaultOptions().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
