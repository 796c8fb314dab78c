package baseline

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/bench/load"
	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// deliveries are n events with a payload and a body, as a gateway sends them in
// the view FULL.
func deliveries(n int) *hookstreamv1.DeliveryBatch {
	batch := new(hookstreamv1.DeliveryBatch)
	for i := range uint64(n) {
		batch.Deliveries = append(batch.Deliveries, &hookstreamv1.Delivery{
			Cursor: event.Cursor{Incarnation: 7, Seq: i + 1, Time: time.Unix(1_800_000_000, 0)}.String(),
			Event: &hookstreamv1.Event{
				Name: event.Name(7, i+1), Source: "sources/bench", Type: "signature_request.done",
				Payload: &hookstreamv1.Event_Yousign{Yousign: &yousignv1.Event{EventId: proto.String(strings.Repeat("i", int(i)))}},
				Raw:     &hookstreamv1.RawRequest{Body: make([]byte, 900), ContentType: "application/json"},
			},
		})
	}
	return batch
}

func keep(t *testing.T, batch *hookstreamv1.DeliveryBatch) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "deliveries")
	if err := WriteDeliveries(file, batch); err != nil {
		t.Fatal(err)
	}
	return file
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return lis
}

// run a baseline until the test ends.
func run(t *testing.T, serve func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func subscribe(t *testing.T, addr string, shape load.Shape) *load.Stream {
	t.Helper()
	subs, err := load.NewSubscribers(addr, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = subs.Close() })
	st, err := subs.Open(t.Context(), shape, &hookstreamv1.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// What the baselines send must be as many events and as many bytes as what the
// gateway sent.
func TestBaselinesSendWhatTheGatewaySent(t *testing.T) {
	const n = 600
	batch := deliveries(n)
	file := keep(t, batch)
	want := 0
	for _, d := range batch.GetDeliveries() {
		want += proto.Size(d)
	}
	for _, tc := range []struct {
		name     string
		serve    func(context.Context, net.Listener, string) error
		shape    load.Shape
		messages int64
		off      int // bytes that an event may be off
	}{
		{"send", ServeSend, load.Plain, n, 2},
		{"framed", ServeFramed, load.Frames, 4, 0},
		{"framed, decoded", ServeFramed, load.Decoded, 4, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lis := listen(t)
			run(t, func(ctx context.Context) error { return tc.serve(ctx, lis, file) })
			st := subscribe(t, lis.Addr().String(), tc.shape)
			if err := st.Drain(); err != nil {
				t.Fatal(err)
			}
			got := st.Tally()
			if got.Deliveries != n || got.Messages != tc.messages || got.Missed != 0 || got.Repeated != 0 {
				t.Errorf("%+v", got)
			}
			if off := int(got.DeliveryBytes) - want; off < -tc.off*n || off > tc.off*n {
				t.Errorf("%d bytes, want %d", got.DeliveryBytes, want)
			}
		})
	}
}

func TestFramedBatchesAreBounded(t *testing.T) {
	batch := deliveries(3)
	for _, d := range batch.GetDeliveries() {
		d.GetEvent().GetRaw().Body = make([]byte, batchBytes/2)
	}
	got, err := frame(batch.GetDeliveries())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Errorf("%d batches, want one for each event", len(got))
	}
}

func TestAFileWithoutDeliveriesIsNoBaseline(t *testing.T) {
	lis := listen(t)
	defer lis.Close()
	if err := ServeSend(t.Context(), lis, keep(t, &hookstreamv1.DeliveryBatch{})); err == nil {
		t.Error("it served")
	}
}

func TestNaiveGatewayHandsEveryPostToEveryStream(t *testing.T) {
	posts, streams := listen(t), listen(t)
	run(t, func(ctx context.Context) error { return ServeNaive(ctx, posts, streams) })
	const n = 20
	var all []*load.Stream
	for range 3 {
		st := subscribe(t, streams.Addr().String(), load.Plain)
		if err := st.Opened(); err != nil {
			t.Fatal(err)
		}
		all = append(all, st)
	}
	for i := range n {
		post(t, posts.Addr().String(), fmt.Sprintf(`{"n":%d}`, i))
	}
	for _, st := range all {
		if err := st.Until(n); err != nil {
			t.Fatal(err)
		}
		if got := st.Tally(); got.Missed != 0 || got.Repeated != 0 {
			t.Errorf("%+v", got)
		}
	}
}

func TestNaiveGatewayWaitsForASlowStream(t *testing.T) {
	slow := make(chan *hookstreamv1.Delivery)
	n := &naive{open: map[chan *hookstreamv1.Delivery]struct{}{slow: {}}}
	posted := make(chan struct{})
	go func() {
		defer close(posted)
		for range 100 {
			n.publish(new(hookstreamv1.Event))
		}
	}()
	for got := 0; ; got++ {
		select {
		case <-slow:
			continue
		case <-posted:
		}
		if got != 100 {
			t.Errorf("the stream was handed %d of 100 events", got)
		}
		return
	}
}

// A stream that has gone must not hold up the senders.
func TestNaiveGatewayForgetsStreams(t *testing.T) {
	posts, streams := listen(t), listen(t)
	run(t, func(ctx context.Context) error { return ServeNaive(ctx, posts, streams) })
	subs, err := load.NewSubscribers(streams.Addr().String(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	st, err := subs.Open(ctx, load.Plain, &hookstreamv1.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Opened(); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = subs.Close()
	for range 2 * naiveQueue {
		post(t, posts.Addr().String(), "{}")
	}
}

func post(t *testing.T, addr, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", resp.Status, err)
	}
}
