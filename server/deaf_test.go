package server

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/linktest"
	"github.com/hookstream/hookstream/subscription"
)

// connected answers how many consumers a subscription has.
func (w *subscriptionWorld) connected(id string) int {
	w.t.Helper()
	st, err := w.manager.State(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(st.Consumers)
}

// until waits for something, for as long as a loaded machine may need, and less than
// callers live: see open.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(40 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// deafWorld is a gateway that waits a second for who says nothing, with a
// subscription whose deliveries have a second.
func deafWorld(t *testing.T) *subscriptionWorld {
	t.Helper()
	w := startSubscriptionsWith(t, subscription.Options{PeerTimeout: time.Second})
	w.create("crm", &hookstreamv1.Subscription{
		AckDeadline: durationpb.New(time.Second), MaxAttempts: 1000,
		Selector: &hookstreamv1.EventSelector{Sources: []string{"open"}},
	})
	return w
}

// A stream behind a link that keeps its connections and forwards nothing, as a proxy
// may, is found dead, whatever it is; who listens again is told why.
func TestStreamBehindASilentLinkIsEnded(t *testing.T) {
	for _, by := range ways {
		if by.pull {
			continue
		}
		t.Run(by.name, func(t *testing.T) {
			t.Parallel()
			w := deafWorld(t)
			at := w.addrs()
			toGRPC, toHTTP := linktest.New(t, at.grpc), linktest.New(t, at.http)
			w.put(1)
			p := w.open(t, by, addrs{grpc: toGRPC.Addr(), http: toHTTP.Addr()}, &hookstreamv1.SubscribeRequest{Subscription: "subscriptions/crm"})
			for {
				f, err := p.next()
				if err != nil {
					t.Fatal(err)
				}
				if f.GetBatch() != nil {
					break
				}
			}
			toGRPC.Silence(linktest.Back)
			toHTTP.Silence(linktest.Back)
			until(t, "the stream to end", func() bool { return w.connected("crm") == 0 })
			toGRPC.Mend()
			toHTTP.Mend()
			var err error
			for err == nil {
				_, err = p.next()
			}
			text := err.Error()
			if st, ok := status.FromError(err); ok {
				if st.Code() != codes.Unavailable {
					t.Errorf("code %s", st.Code())
				}
				for _, d := range st.Details() {
					text += d.(interface{ String() string }).String()
				}
			}
			if !strings.Contains(text, "CONSUMER_UNRESPONSIVE") {
				t.Errorf("it ended with %s", text)
			}
		})
	}
}

// A stream that nobody reads, so that what is sent to it fills all there is on the
// way, is found dead too: gRPC has a window, which pings keep open for ever.
func TestStreamThatNobodyReadsIsEnded(t *testing.T) {
	for _, by := range ways {
		if by.pull {
			continue
		}
		t.Run(by.name, func(t *testing.T) {
			t.Parallel()
			w := deafWorld(t)
			body := `{"x":"` + strings.Repeat("y", 200<<10) + `"}`
			for range 40 {
				w.putEvent("open", "signature_request", "done", body)
			}
			p := w.open(t, by, w.addrs(), &hookstreamv1.SubscribeRequest{
				Subscription: "subscriptions/crm", View: hookstreamv1.EventView_EVENT_VIEW_RAW,
			})
			if _, err := p.next(); err != nil {
				t.Fatal(err)
			}
			until(t, "the stream to be there", func() bool { return w.connected("crm") == 1 })
			until(t, "the stream to be there", func() bool { return w.connected("crm") == 1 })
			until(t, "the stream to end", func() bool { return w.connected("crm") == 0 })
		})
	}
}

// A plain stream over REST behind a link that stops forwarding ends when all there is
// on the way is full and nothing was taken for a time.
func TestPlainStreamBehindASilentLinkIsEnded(t *testing.T) {
	for _, accept := range []string{"application/json", "text/event-stream"} {
		t.Run(accept, func(t *testing.T) {
			t.Parallel()
			testPlainStreamBehindASilentLink(t, accept)
		})
	}
}

func testPlainStreamBehindASilentLink(t *testing.T, accept string) {
	big := batch()
	big.GetBatch().Deliveries[0].Event.Entity = strings.Repeat("x", 64<<10)
	ended := make(chan struct{})
	g := start(t, withEvents(&fakeEvents{subscribe: func(_ *hookstreamv1.SubscribeRequest, stream frames) error {
		defer close(ended)
		for {
			if err := stream.Send(big); err != nil {
				return err
			}
		}
	}}))
	srv := httptest.NewServer(&restStream{
		mux: newRESTMux(), subscribe: g.Server.subscribe, cache: new(jsonCache), turns: newTurns(), frameTimeout: 500 * time.Millisecond,
	})
	defer srv.Close()
	link := linktest.New(t, srv.Listener.Addr().String())
	p, err := openREST(t.Context(), addrs{http: link.Addr()}, &hookstreamv1.SubscribeRequest{}, accept)
	if err != nil {
		t.Fatal(err)
	}
	defer p.die()
	for range 3 { // it is well as long as the link is
		if _, err := p.next(); err != nil {
			t.Fatal(err)
		}
	}
	link.Silence(linktest.Back)
	go func() { // what is on the way already
		for {
			if _, err := p.next(); err != nil {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("it goes on")
	}
}
