package server

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func earliest() *hookstreamv1.SubscribeRequest_Earliest {
	return &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}
}

func atHead() *hookstreamv1.SubscribeRequest_AtHead {
	return &hookstreamv1.SubscribeRequest_AtHead{AtHead: true}
}

// collect reads a stream to its end.
func collect(stream interface {
	Recv() (*hookstreamv1.SubscribeResponse, error)
},
) (out []*hookstreamv1.SubscribeResponse, err error) {
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
}

func TestSubscribe(t *testing.T) {
	w := newEventWorld(t)
	w.put(t, "open", `{"eventId": "1"}`)
	w.put(t, "closed", `{"eventId": "2", "signer": {"signatureLink": "secret"}}`)
	w.dial(t)
	frames, err := collect(w.subscribe(t, &hookstreamv1.SubscribeRequest{Start: earliest(), Stop: atHead()}))
	if err != nil || len(frames) != 3 {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	open := frames[0].GetOpened()
	want := &hookstreamv1.Opened{
		FlowControl:       &hookstreamv1.FlowControl{MaxBatchEvents: 256, MaxBatchBytes: 256 << 10, MaxBatchWait: durationpb.New(0)},
		HeartbeatInterval: durationpb.New(15 * time.Second),
		View:              hookstreamv1.EventView_EVENT_VIEW_TYPED, StreamId: open.GetStreamId(), GatewayVersion: "v1.2.3",
	}
	if diff := cmp.Diff(want, open, protocmp.Transform()); diff != "" || len(open.GetStreamId()) != 16 {
		t.Errorf("opened:\n%s", diff)
	}
	ds := frames[1].GetBatch().GetDeliveries()
	if len(ds) != 2 || ds[0].GetEvent().GetYousign().GetEventId() != "1" || ds[1].GetEvent().GetYousign().GetSigner().GetSignatureLink() != "" ||
		!cmp.Equal(ds[1].GetEvent().GetRedactedFields(), []string{"yousign.signer.signature_link"}) {
		t.Errorf("batch: %v", frames[1])
	}
	if frames[1].GetCursor() != ds[1].GetCursor() || kindOf(frames[2]) != "caught_up" {
		t.Errorf("frames: %v", frames)
	}
}

// A stream that says what it wants is granted just that.
func TestSubscribeGrantsWhatIsAsked(t *testing.T) {
	w := newEventWorld(t).dial(t)
	flow := &hookstreamv1.FlowControl{MaxBatchEvents: 7, MaxBatchBytes: 1000, MaxBatchWait: durationpb.New(time.Millisecond)}
	frames, err := collect(w.subscribe(t, &hookstreamv1.SubscribeRequest{
		Stop: atHead(), FlowControl: flow, HeartbeatInterval: durationpb.New(time.Minute), View: hookstreamv1.EventView_EVENT_VIEW_METADATA,
	}))
	if err != nil || len(frames) == 0 {
		t.Fatal(err)
	}
	open := frames[0].GetOpened()
	if diff := cmp.Diff(flow, open.GetFlowControl(), protocmp.Transform()); diff != "" ||
		open.GetHeartbeatInterval().AsDuration() != time.Minute || open.GetView() != hookstreamv1.EventView_EVENT_VIEW_METADATA {
		t.Errorf("granted %v", open)
	}
}

func TestSubscribeSaysAllThatIsWrong(t *testing.T) {
	w := newEventWorld(t).dial(t)
	cursor := func(s string) *hookstreamv1.SubscribeRequest_AfterCursor {
		return &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: s}
	}
	other := event.Cursor{Incarnation: 8, Seq: 1}.String()
	beyond := event.Cursor{Incarnation: 7, Seq: 1}.String()
	for _, c := range []struct {
		name   string
		req    *hookstreamv1.SubscribeRequest
		code   codes.Code
		reason string
		fields []string
	}{
		{"a cursor", &hookstreamv1.SubscribeRequest{Start: cursor("abc")}, codes.InvalidArgument, "CURSOR_INVALID", []string{"after_cursor"}},
		{"another log's cursor", &hookstreamv1.SubscribeRequest{Start: cursor(other)}, codes.DataLoss, "CURSOR_UNKNOWN", nil},
		{"a cursor past the head", &hookstreamv1.SubscribeRequest{Start: cursor(beyond)}, codes.DataLoss, "CURSOR_UNKNOWN", nil},
		{
			"a filter", &hookstreamv1.SubscribeRequest{Selector: &hookstreamv1.EventSelector{Filter: "event."}},
			codes.InvalidArgument, "FILTER_INVALID",
			[]string{"selector.filter"},
		},
		{
			"a selector", &hookstreamv1.SubscribeRequest{Selector: &hookstreamv1.EventSelector{Sources: []string{"A"}}},
			codes.InvalidArgument, "REQUEST_INVALID",
			[]string{"selector.sources[0]"},
		},
		{
			"a view", &hookstreamv1.SubscribeRequest{View: hookstreamv1.EventView_EVENT_VIEW_RAW},
			codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD", nil,
		},
		{
			"everything", &hookstreamv1.SubscribeRequest{
				Selector: &hookstreamv1.EventSelector{Sources: []string{"A"}, Filter: "event."}, Start: cursor("abc"),
				Stop:              &hookstreamv1.SubscribeRequest_UntilTime{UntilTime: &timestamppb.Timestamp{Seconds: math.MaxInt64}},
				FlowControl:       &hookstreamv1.FlowControl{MaxBatchEvents: 1001},
				HeartbeatInterval: durationpb.New(time.Second), View: 99, ClientId: strings.Repeat("x", 129),
			},
			codes.InvalidArgument, "REQUEST_INVALID",
			[]string{
				"after_cursor", "client_id", "flow_control.max_batch_events", "heartbeat_interval",
				"selector.filter", "selector.sources[0]", "until_time", "view",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			frames, err := collect(w.subscribe(t, c.req))
			st := wantStatus(t, err, c.code, c.reason)
			if diff := cmp.Diff(c.fields, violated(st)); diff != "" || len(frames) != 0 {
				t.Errorf("%d frames, %s\n%s", len(frames), st.Message(), diff)
			}
		})
	}
}

func TestSubscribeCursorExpires(t *testing.T) {
	w := newEventWorld(t).dial(t)
	for range 5 {
		w.put(t, "open", "{}")
	}
	frames, err := collect(w.subscribe(t, &hookstreamv1.SubscribeRequest{Start: earliest(), Stop: atHead()}))
	if err != nil {
		t.Fatal(err)
	}
	stream := w.subscribe(t, &hookstreamv1.SubscribeRequest{
		Start: &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: frames[len(frames)-1].GetCursor()}, Stop: atHead(),
	})
	if frames, err = collect(stream); err != nil || len(frames) != 2 {
		t.Errorf("resumed at the head: %d frames, %v", len(frames), err)
	}
	w.log.Drop(5)
	later := hubOver(t, w.log).dial(t) // after a restart: the ring does not hold them
	first := &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: event.Cursor{Incarnation: 7}.String()}
	frames, err = collect(later.subscribe(t, &hookstreamv1.SubscribeRequest{Start: first, Stop: atHead()}))
	wantStatus(t, err, codes.OutOfRange, "CURSOR_EXPIRED")
	if len(frames) != 0 {
		t.Errorf("frames before the error: %v", frames)
	}
	frames, err = collect(later.subscribe(t, &hookstreamv1.SubscribeRequest{
		Start: first, Stop: atHead(), OnCursorExpired: hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_SKIP_TO_EARLIEST,
	}))
	if err != nil || len(frames) != 3 || frames[1].GetGap().GetMissedEvents() != 5 {
		t.Errorf("%v, %v", frames, err)
	}
}

// Time passes as the stream promises, through gRPC.
func TestSubscribeHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEventWorld(t).dial(t)
		stream := w.subscribe(t, &hookstreamv1.SubscribeRequest{HeartbeatInterval: durationpb.New(5 * time.Second)})
		start := time.Now()
		var kinds []string
		for range 5 {
			r, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			kinds = append(kinds, kindOf(r))
		}
		if diff := cmp.Diff([]string{"opened", "caught_up", "heartbeat", "heartbeat", "heartbeat"}, kinds); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("three heartbeats took %s", took)
		}
	})
}

func TestSubscribeDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEventWorld(t).dial(t)
		stream := w.subscribe(t, &hookstreamv1.SubscribeRequest{})
		for range 2 {
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		drained := make(chan error, 1)
		go func() { drained <- w.hub.Drain(context.Background(), 10*time.Second) }()
		r, err := stream.Recv()
		if err != nil || r.GetDraining() == nil {
			t.Fatalf("%v, %v", r, err)
		}
		w.put(t, "open", "{}")
		if r, err = stream.Recv(); err != nil || r.GetBatch() == nil {
			t.Errorf("while it drains: %v, %v", r, err)
		}
		_, err = stream.Recv()
		wantStatus(t, err, codes.Unavailable, "DRAINING")
		if err := <-drained; err != nil {
			t.Error(err)
		}
		_, err = collect(w.subscribe(t, &hookstreamv1.SubscribeRequest{}))
		wantStatus(t, err, codes.Unavailable, "DRAINING")
	})
}

func TestSubscribeEndsWithTheLog(t *testing.T) {
	w := newEventWorld(t).dial(t)
	stream := w.subscribe(t, &hookstreamv1.SubscribeRequest{})
	for range 2 {
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	w.log.Break()
	_, err := stream.Recv()
	wantStatus(t, err, codes.Unavailable, "STORE_UNAVAILABLE")
}

func TestSubscribeEndsWithTheCaller(t *testing.T) {
	w := newEventWorld(t).dial(t)
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := w.client.Subscribe(ctx, &hookstreamv1.SubscribeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := w.hub.Drain(t.Context(), time.Hour); err != nil { // nobody is left to wait for
		t.Error(err)
	}
	if _, err := collect(stream); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
}

// A client that does not read is held up by HTTP/2; others are not.
func TestSubscribeSlowClient(t *testing.T) {
	w := newEventWorld(t).dial(t)
	raw := &hookstreamv1.SubscribeRequest{
		Selector: &hookstreamv1.EventSelector{Sources: []string{"open"}}, View: hookstreamv1.EventView_EVENT_VIEW_RAW,
	}
	slow, quick := w.subscribe(t, raw), w.subscribe(t, raw)
	for _, s := range []interface {
		Recv() (*hookstreamv1.SubscribeResponse, error)
	}{slow, quick} {
		if _, err := s.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	const events = 300 // of 10 KB: more than the window of a stream
	body := `{"eventId": "` + strings.Repeat("x", 10_000) + `"}`
	for range events {
		w.put(t, "open", body)
	}
	count := func(s interface {
		Recv() (*hookstreamv1.SubscribeResponse, error)
	},
	) {
		n := 0
		for n < events {
			r, err := s.Recv()
			if err != nil {
				t.Fatal(err)
			}
			n += len(r.GetBatch().GetDeliveries())
		}
	}
	count(quick)
	count(slow)
}

// REST reaches the same service, as an ordinary client in this process.
func TestSubscribeOverREST(t *testing.T) {
	w := newEventWorld(t)
	w.put(t, "closed", `{"eventId": "e1"}`)
	g := start(t, func(o *Options, _ *HTTPOptions) { o.Events = w.service })
	code, _, body := g.do(t, "POST", "/v1/events:subscribe", `{"earliest": true, "atHead": true}`)
	lines := strings.Split(strings.TrimSpace(body), "\n")
	if code != 200 || len(lines) != 3 || !strings.Contains(lines[1], `"eventId":"e1"`) {
		t.Errorf("%d\n%s", code, body)
	}
	code, _, body = g.do(t, "POST", "/v1/events:subscribe", `{"selector": {"filter": "evnt.x"}}`)
	if code != 400 || !strings.Contains(body, "FILTER_INVALID") || !strings.Contains(body, "line 1, column 1") {
		t.Errorf("%d\n%s", code, body)
	}
	name := event.Name(7, 1)
	code, _, body = g.do(t, "GET", "/v1/"+name, "")
	if code != 200 || parseJSON(t, body)["name"] != name {
		t.Errorf("%d\n%s", code, body)
	}
}
