package client_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/client"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/linktest"
)

// ensure makes a subscription to everything that forgives quickly.
func (g *gateway) ensure(change ...func(*hookstreamv1.Subscription)) {
	g.t.Helper()
	sub := &hookstreamv1.Subscription{
		Name: "subscriptions/crm", MaxAttempts: 20,
		AckDeadline: durationpb.New(5 * time.Second), BackoffMin: durationpb.New(10 * time.Millisecond), BackoffMax: durationpb.New(50 * time.Millisecond),
	}
	for _, c := range change {
		c(sub)
	}
	if _, err := client.Ensure(g.t.Context(), g.conn, sub, client.Earliest()); err != nil {
		g.t.Fatal(err)
	}
}

// settled waits until nothing of the subscription waits or is held.
func (g *gateway) settled() *hookstreamv1.SubscriptionState {
	g.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		state, err := hookstreamv1.NewSubscriptionServiceClient(g.conn).GetSubscriptionState(g.t.Context(),
			&hookstreamv1.GetSubscriptionStateRequest{Name: "subscriptions/crm/state"})
		if err != nil {
			g.t.Fatal(err)
		}
		if state.GetBacklogEvents() == 0 && state.GetOutstandingEvents() == 0 {
			return state
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("not settled: %v", state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// consume runs a consumer and answers how to stop it.
func consume(t *testing.T, addr string, o client.RunOptions, handle client.Handler) (stop func()) {
	t.Helper()
	conn := dialGateway(t, addr)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	if o.OnError == nil {
		o.OnError = func(err error) { t.Log(err) }
	}
	go func() { ended <- client.Run(ctx, conn, "crm", handle, o) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		conn.Close()
	})
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

// Consumers that come and go in good order share the events out: each is handled
// once, by one of them.
func TestConsumersComeAndGo(t *testing.T) {
	g := startGateway(t)
	g.ensure()
	got := newInbox()
	handle := func(ctx context.Context, d *delivery) error {
		time.Sleep(2 * time.Millisecond) // a handler that is stopped in the middle
		return got.handle(ctx, d)
	}
	stay := consume(t, g.addr, client.RunOptions{ClientID: "stays"}, handle)
	var sending sync.WaitGroup
	sending.Go(func() { g.send(200) })
	for n := 10; n < 200; n += 20 {
		stop := consume(t, g.addr, client.RunOptions{Concurrency: 3, ClientID: "goes"}, handle)
		got.await(t, n)
		stop()
	}
	sending.Wait()
	got.await(t, 200)
	g.settled()
	stay()
	if diff := cmp.Diff(sorted(g.sent), sorted(got.all())); diff != "" {
		t.Errorf("-sent +handled: %s", diff)
	}
}

// Under errors, panics, cut connections and a restart of the gateway every event
// is handled in the end, and what was parked is where an operator finds it.
func TestConsumersUnderFaults(t *testing.T) {
	g := startGateway(t)
	g.ensure()
	l := linktest.New(t, g.addr)
	g.send(1)
	hopeless := g.sent[0]
	got := newInbox()
	var mu sync.Mutex
	tries := map[string]int{}
	handle := func(ctx context.Context, d *delivery) error {
		id := d.GetEvent().GetProviderEventId()
		mu.Lock()
		tries[id]++
		n := tries[id]
		mu.Unlock()
		switch {
		case id == hopeless:
			return client.Park(errors.New("hopeless"))
		case n == 1 && id[0] < '4':
			return errors.New("not yet")
		case n == 1 && id[0] < '8':
			panic("not yet")
		}
		return got.handle(ctx, d)
	}
	for i := range 3 {
		stop := consume(t, l.Addr(), client.RunOptions{Concurrency: 4, ClientID: fmt.Sprint("c", i), OnError: func(error) {}}, handle)
		defer stop()
	}
	g.send(40)
	l.Reset()
	g.send(40)
	g.stop()
	g.start()
	g.send(40)
	for i := range 5 {
		got.await(t, 20*i)
		l.Reset()
	}
	state := g.settled()
	handled := sorted(got.all())
	t.Logf("%d events handled %d times", len(g.sent)-1, len(handled))
	if diff := cmp.Diff(sorted(g.sent[1:]), slices.Compact(handled)); diff != "" {
		t.Errorf("-sent +handled: %s", diff)
	}
	if state.GetParkedEvents() != 1 {
		t.Errorf("state %v", state)
	}
	parked, err := hookstreamv1.NewSubscriptionServiceClient(g.conn).ListParkedDeliveries(t.Context(), &hookstreamv1.ListParkedDeliveriesRequest{Parent: "subscriptions/crm"})
	if err != nil || len(parked.GetParkedDeliveries()) != 1 {
		t.Fatalf("parked: %v, %v", parked, err)
	}
	if p := parked.GetParkedDeliveries()[0]; p.GetEvent().GetProviderEventId() != hopeless || p.GetReason() != "hopeless" {
		t.Errorf("parked %v", p)
	}
}

// A handler that takes several deadlines handles its event alone, and so does one
// that waits behind it.
func TestSlowHandlersKeepTheirEvents(t *testing.T) {
	g := startGateway(t)
	g.ensure(func(s *hookstreamv1.Subscription) { s.AckDeadline = durationpb.New(4 * time.Second) })
	g.send(2)
	got := newInbox()
	handle := func(ctx context.Context, d *delivery) error {
		time.Sleep(9 * time.Second)
		return got.handle(ctx, d)
	}
	for range 2 {
		stop := consume(t, g.addr, client.RunOptions{MaxOutstanding: 2}, handle)
		defer stop()
	}
	got.await(t, 2)
	g.settled()
	if diff := cmp.Diff(sorted(g.sent), sorted(got.all())); diff != "" {
		t.Errorf("-sent +handled: %s", diff)
	}
}

// A subscription is ensured as often as one likes, and never changed by it.
func TestEnsure(t *testing.T) {
	g := startGateway(t)
	sub := &hookstreamv1.Subscription{Name: "crm", MaxAttempts: 3}
	first, err := client.Ensure(t.Context(), g.conn, sub, client.Earliest())
	if err != nil || first.GetName() != "subscriptions/crm" || first.GetMaxAttempts() != 3 {
		t.Fatalf("%v, %v", first, err)
	}
	sub.Name = first.GetName()
	again, err := client.Ensure(t.Context(), g.conn, sub, client.Latest())
	if err != nil || again.GetUid() != first.GetUid() || again.GetEtag() != first.GetEtag() {
		t.Errorf("%v, %v", again, err)
	}
	sub.MaxAttempts = 4
	if _, err = client.Ensure(t.Context(), g.conn, sub, client.Latest()); client.Reason(err) != hookstreamv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_DIFFERS {
		t.Errorf("other settings: %v", err)
	}
}

// A subscription that does not exist ends Run, and so does one that is deleted.
func TestRunEndsWithItsSubscription(t *testing.T) {
	g := startGateway(t)
	conn := dialGateway(t, g.addr)
	handle := newInbox().handle
	if err := client.Run(t.Context(), conn, "crm", handle, client.RunOptions{}); status.Code(err) != codes.NotFound {
		t.Errorf("ended with %v", err)
	}
	g.ensure()
	opened := make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- client.Run(t.Context(), conn, "crm", handle, client.RunOptions{OnFrame: func(f *frame) {
			if f.GetOpened() != nil {
				close(opened)
			}
		}})
	}()
	<-opened
	_, err := hookstreamv1.NewSubscriptionServiceClient(g.conn).DeleteSubscription(t.Context(), &hookstreamv1.DeleteSubscriptionRequest{Name: "subscriptions/crm"})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; client.Reason(err) != hookstreamv1.ErrorReason_ERROR_REASON_SUBSCRIPTION_DELETED {
		t.Errorf("ended with %v", err)
	}
}

// Consumers that come and go leave no goroutine behind, here or in the gateway.
func TestConsumersLeaveNoGoroutines(t *testing.T) {
	g := startGateway(t)
	g.ensure()
	got := newInbox()
	once := func(n int) {
		stop := consume(t, g.addr, client.RunOptions{Concurrency: 2}, got.handle)
		g.send(1)
		got.await(t, n)
		stop()
	}
	once(1)
	before := runtime.NumGoroutine()
	for i := range 30 {
		once(i + 2)
	}
	awaitGoroutines(t, before)
}
