package server

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"

	"google.golang.org/grpc"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/replay"
	"github.com/hookstream/hookstream/source"
	"github.com/hookstream/hookstream/subscription"
)

// subscriptionWorld is a gateway's API over an embedded engine, by gRPC and REST.
type subscriptionWorld struct {
	*gateway
	t       *testing.T
	engine  *jetstream.Engine
	manager *subscription.Manager
	subs    hookstreamv1.SubscriptionServiceClient
	appends int
}

// startSubscriptions runs a gateway until the test ends. The source `open`
// includes sensitive fields, the source `closed` does not.
func startSubscriptions(t *testing.T, change ...func(*jetstream.Options)) *subscriptionWorld {
	t.Helper()
	return startSubscriptionsWith(t, subscription.Options{}, change...)
}

func startSubscriptionsWith(t *testing.T, so subscription.Options, change ...func(*jetstream.Options)) *subscriptionWorld {
	t.Helper()
	w := &subscriptionWorld{t: t}
	o := jetstream.DefaultOptions()
	o.Dir = t.TempDir()
	for _, c := range change {
		c(&o)
	}
	var err error
	if w.engine, err = jetstream.Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.engine.Close() })
	h := w.runHub()
	engine := subscription.On(queue.On(w.engine))
	if u, ok := so.Engine.(*uninformed); ok {
		u.Engine = engine
	} else {
		so.Engine = engine
	}
	so.Hub = h
	w.manager, err = subscription.Open(t.Context(), so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.manager.Close)
	past := historyOf(t, w.engine.Events(), w.engine.Events().Incarnation())
	bucket, err := w.engine.Bucket(t.Context(), subscription.BucketName)
	if err != nil {
		t.Fatal(err)
	}
	replays, err := replay.Open(t.Context(), replay.Options{Bucket: bucket, Subscriptions: w.manager, Hub: h, History: past, Embedded: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(replays.Close)
	events, err := NewEventService(EventServiceOptions{
		Hub: h, Subscriptions: w.manager, History: past, Version: "v1.2.3",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.gateway = start(t, func(o *Options, _ *HTTPOptions) {
		o.Sources, o.Events, o.Subscriptions, o.Hub, o.Replays = w.openSources(), events, w.manager, h, replays
	})
	w.subs = hookstreamv1.NewSubscriptionServiceClient(w.conn)
	return w
}

func (w *subscriptionWorld) runHub() *hub.Hub {
	w.t.Helper()
	h, err := hub.New(hub.Options{
		Log: w.engine.Events(), Decoders: map[string]provider.Decoder{"yousign": provider.NewDecoder(decodeBody, matchNothing)},
		Sensitive: func(source string) event.Kinds {
			if source == "sources/open" {
				return event.AllKinds
			}
			return 0
		},
		Sources: func() []string { return []string{"sources/open", "sources/closed"} },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.Run(ctx)
	}()
	w.t.Cleanup(func() { cancel(); <-ended })
	return h
}

func (w *subscriptionWorld) openSources() *source.Store {
	w.t.Helper()
	bucket, err := w.engine.Bucket(w.t.Context(), "SOURCES")
	if err != nil {
		w.t.Fatal(err)
	}
	store, err := source.Open(w.t.Context(), bucket, source.NewKey(), providers(w.t), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(store.Close)
	return store
}

// put appends n events of the source `open` and answers the provider's ids of
// them.
func (w *subscriptionWorld) put(n int) (ids []string) {
	w.t.Helper()
	for range n {
		ids = append(ids, w.putEvent("open", "signature_request", "done", "{}"))
	}
	return ids
}

// firstEvent is the name of the first event that was put.
func (w *subscriptionWorld) firstEvent() string {
	return event.Name(w.engine.Events().Incarnation(), 1)
}

func (w *subscriptionWorld) putEvent(source, topic, action, body string) (id string) {
	w.t.Helper()
	w.appends++
	id = fmt.Sprintf("e%d", w.appends)
	data, err := event.Encode(&hookstreamv1.Event{
		Source: "sources/" + source, Provider: "yousign", Environment: "sandbox",
		Topic: topic, Action: action, Type: topic + "." + action,
		Entity: "signature_requests/" + id, ProviderEventId: id,
	}, &hookstreamv1.RawRequest{Body: []byte(body), ContentType: "application/json"})
	if err != nil {
		w.t.Fatal(err)
	}
	e := eventlog.Entry{Source: source, Topic: topic, Action: action, DedupKey: id, Data: data}
	if _, err := w.engine.Events().Append(w.t.Context(), e); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// create makes a subscription that begins at the end of the log.
func (w *subscriptionWorld) create(id string, sub *hookstreamv1.Subscription) *hookstreamv1.Subscription {
	w.t.Helper()
	created, err := w.subs.CreateSubscription(w.t.Context(), &hookstreamv1.CreateSubscriptionRequest{SubscriptionId: id, Subscription: sub})
	if err != nil {
		w.t.Fatal(err)
	}
	return created
}

// consume opens a stream that ends with the test, or by the function.
func (w *subscriptionWorld) consume(req *hookstreamv1.SubscribeRequest) (deliveries, context.CancelFunc) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // what never comes fails the test, and not all others
	w.t.Cleanup(cancel)
	stream, err := w.events.Subscribe(ctx, req)
	if err != nil {
		w.t.Fatal(err)
	}
	return deliveries{w.t, stream}, cancel
}

// deliveries is the stream of a subscription.
type deliveries struct {
	t      *testing.T
	stream grpc.ServerStreamingClient[hookstreamv1.SubscribeResponse]
}

// frame answers the next frame.
func (d deliveries) frame() *hookstreamv1.SubscribeResponse {
	d.t.Helper()
	resp, err := d.stream.Recv()
	if err != nil {
		d.t.Fatal(err)
	}
	return resp
}

// receive answers the next deliveries, n at least.
func (d deliveries) receive(n int) (out []*hookstreamv1.Delivery) {
	d.t.Helper()
	for len(out) < n {
		out = append(out, d.frame().GetBatch().GetDeliveries()...)
	}
	return out
}

// end answers how the stream ends.
func (d deliveries) end() error {
	for {
		if _, err := d.stream.Recv(); err != nil {
			return err
		}
	}
}

func tokensOf(ds []*hookstreamv1.Delivery) (tokens []string) {
	for _, d := range ds {
		tokens = append(tokens, d.GetAckToken())
	}
	return tokens
}

func idsOf(ds []*hookstreamv1.Delivery) (ids []string) {
	for _, d := range ds {
		ids = append(ids, d.GetEvent().GetProviderEventId())
	}
	return ids
}

// ack acknowledges all, each of which must be done.
func (w *subscriptionWorld) ack(name string, ds []*hookstreamv1.Delivery) {
	w.t.Helper()
	resp, err := w.subs.Acknowledge(w.t.Context(), acksOf(name, tokensOf(ds)...))
	if err != nil {
		w.t.Fatal(err)
	}
	wantOutcomes(w.t, resp.GetResults(), len(ds), hookstreamv1.AckOutcome_ACK_OUTCOME_DONE)
}

// acksOf says that deliveries are done with.
func acksOf(name string, tokens ...string) *hookstreamv1.AcknowledgeRequest {
	req := &hookstreamv1.AcknowledgeRequest{Name: name}
	for _, token := range tokens {
		req.Settlements = append(req.Settlements, &hookstreamv1.Settlement{AckToken: token, Verdict: hookstreamv1.Settlement_VERDICT_ACK})
	}
	return req
}

func wantOutcomes(t *testing.T, results []*hookstreamv1.AckResult, n int, want hookstreamv1.AckOutcome) {
	t.Helper()
	if len(results) != n {
		t.Fatalf("%d results, want %d", len(results), n)
	}
	for i, r := range results {
		if r.GetOutcome() != want {
			t.Errorf("result %d: %v, want %v", i, r.GetOutcome(), want)
		}
	}
}

// eventually waits until ok answers true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}

// state answers the state of a subscription.
func (w *subscriptionWorld) state(name string) *hookstreamv1.SubscriptionState {
	w.t.Helper()
	s, err := w.subs.GetSubscriptionState(w.t.Context(), &hookstreamv1.GetSubscriptionStateRequest{Name: name + "/state"})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
