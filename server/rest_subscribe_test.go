package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

type frames = grpc.ServerStreamingServer[hookstreamv1.SubscribeResponse]

// script sends these frames, then ends with err.
func script(err error, sent ...*hookstreamv1.SubscribeResponse) *fakeEvents {
	return &fakeEvents{subscribe: func(_ *hookstreamv1.SubscribeRequest, stream frames) error {
		for _, f := range sent {
			if err := stream.Send(f); err != nil {
				return err
			}
		}
		return err
	}}
}

func opened() *hookstreamv1.SubscribeResponse {
	return &hookstreamv1.SubscribeResponse{Cursor: "c1", Frame: &hookstreamv1.SubscribeResponse_Opened{Opened: &hookstreamv1.Opened{StreamId: "s"}}}
}

func batch() *hookstreamv1.SubscribeResponse {
	return &hookstreamv1.SubscribeResponse{Cursor: "c2", Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: &hookstreamv1.DeliveryBatch{
		Deliveries: []*hookstreamv1.Delivery{{Cursor: "c2", Event: &hookstreamv1.Event{Type: "line\nbreak"}}},
	}}}
}

func heartbeat() *hookstreamv1.SubscribeResponse {
	return &hookstreamv1.SubscribeResponse{Cursor: "c3", Frame: &hookstreamv1.SubscribeResponse_Heartbeat{Heartbeat: &hookstreamv1.Heartbeat{}}}
}

func TestStreamAsLines(t *testing.T) {
	g := start(t, withEvents(script(nil, opened(), batch(), heartbeat())))
	code, header, body := g.do(t, "POST", "/v1/events:subscribe", "{}")
	if code != 200 || header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d %v", code, header)
	}
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), body)
	}
	for i, want := range []string{"opened", "batch", "heartbeat"} {
		result, _ := parseJSON(t, lines[i])["result"].(map[string]any)
		if result[want] == nil || result["cursor"] == nil {
			t.Errorf("line %d: %s, want %s", i, lines[i], want)
		}
	}
}

func TestStreamAsLinesThatFails(t *testing.T) {
	failure := statusError(codes.OutOfRange, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED, "gone")
	g := start(t, withEvents(script(failure, opened())))
	code, _, body := g.do(t, "GET", "/v1/events:subscribe", "")
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if code != 200 || len(lines) != 2 {
		t.Fatalf("%d %s", code, body)
	}
	last, _ := parseJSON(t, lines[1])["error"].(map[string]any)
	if last["code"] != float64(codes.OutOfRange) || !strings.Contains(lines[1], "CURSOR_EXPIRED") {
		t.Errorf("last line %s", lines[1])
	}
}

func TestAStreamRefusedAtOnceIsAnHTTPStatus(t *testing.T) {
	refusal := statusError(codes.ResourceExhausted, hookstreamv1.ErrorReason_ERROR_REASON_TOO_MANY_STREAMS, "full")
	g := start(t, withEvents(script(refusal)))
	for _, accept := range []string{"application/json", "text/event-stream"} {
		code, _, body := g.do(t, "GET", "/v1/events:subscribe", "", "Accept", accept)
		if code != 429 || !strings.Contains(body, "TOO_MANY_STREAMS") {
			t.Errorf("%s: %d %s", accept, code, body)
		}
	}
}

func TestStreamAsServerSentEvents(t *testing.T) {
	g := start(t, withEvents(script(nil, opened(), batch(), heartbeat())))
	code, header, body := g.do(t, "GET", "/v1/events:subscribe", "", "Accept", "text/html, text/event-stream;q=0.9")
	if code != 200 || header.Get("Content-Type") != "text/event-stream" || header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%d %v", code, header)
	}
	var got [][]string
	for block := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		fields := []string{}
		for line := range strings.SplitSeq(block, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			if name == "data" {
				parseJSON(t, value)
				value = ""
			}
			fields = append(fields, name+" "+value)
		}
		got = append(got, fields)
	}
	want := [][]string{
		{"retry 2000"},
		{"id c1", "event opened", "data "},
		{"id c2", "event batch", "data "},
		{"id c3", "event heartbeat", "data "},
		{"event end", "data "},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestServerSentEventsThatFail(t *testing.T) {
	failure := statusError(codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_DRAINING, "bye")
	g := start(t, withEvents(script(failure, opened())))
	_, _, body := g.do(t, "GET", "/v1/events:subscribe", "", "Accept", "text/event-stream")
	if !strings.Contains(body, "\n\nevent: failure\ndata: {") || !strings.Contains(body, "DRAINING") {
		t.Errorf("body %q", body)
	}
}

// asked runs a request and answers what the service was asked for.
func asked(t *testing.T, method, path, body string, header ...string) *hookstreamv1.SubscribeRequest {
	t.Helper()
	got := make(chan *hookstreamv1.SubscribeRequest, 1)
	g := start(t, withEvents(&fakeEvents{subscribe: func(req *hookstreamv1.SubscribeRequest, _ frames) error {
		got <- req
		return nil
	}}))
	if code, _, body := g.do(t, method, path, body, header...); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	return <-got
}

func TestTheRequestOfAStreamByBodyAndByQuery(t *testing.T) {
	want := &hookstreamv1.SubscribeRequest{
		Selector:          &hookstreamv1.EventSelector{Types: []string{"a.*", "b.c"}, Filter: "true"},
		Start:             &hookstreamv1.SubscribeRequest_Earliest{Earliest: true},
		Stop:              &hookstreamv1.SubscribeRequest_AtHead{AtHead: true},
		View:              hookstreamv1.EventView_EVENT_VIEW_METADATA,
		HeartbeatInterval: durationpb.New(10 * time.Second),
		FlowControl:       &hookstreamv1.FlowControl{MaxBatchEvents: 7},
	}
	byBody := asked(t, "POST", "/v1/events:subscribe", `{"selector":{"types":["a.*","b.c"],"filter":"true"},"earliest":true,"atHead":true,
		"view":"EVENT_VIEW_METADATA","heartbeatInterval":"10s","flowControl":{"maxBatchEvents":7}}`)
	byQuery := asked(t, "GET", "/v1/events:subscribe?selector.types=a.*&selector.types=b.c&selector.filter=true&earliest=true&atHead=true"+
		"&view=EVENT_VIEW_METADATA&heartbeatInterval=10s&flowControl.maxBatchEvents=7", "")
	for name, got := range map[string]*hookstreamv1.SubscribeRequest{"body": byBody, "query": byQuery} {
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("by %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestLastEventIDResumes(t *testing.T) {
	got := asked(t, "GET", "/v1/events:subscribe?earliest=true", "", "Last-Event-ID", "c2", "Accept", "text/event-stream")
	if got.GetAfterCursor() != "c2" || got.GetEarliest() {
		t.Errorf("asked for %v", got)
	}
}

// Each frame must reach the client before the next is there.
func TestEveryFrameIsFlushed(t *testing.T) {
	next := make(chan *hookstreamv1.SubscribeResponse)
	ended := make(chan struct{})
	g := start(t, withEvents(&fakeEvents{subscribe: func(_ *hookstreamv1.SubscribeRequest, stream frames) error {
		defer close(ended)
		for {
			select {
			case f := <-next:
				if err := stream.Send(f); err != nil {
					return err
				}
			case <-stream.Context().Done():
				return stream.Context().Err()
			}
		}
	}}))
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", g.http.URL+"/v1/events:subscribe", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { next <- opened() }()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for range 3 {
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		next <- heartbeat()
	}
	cancel() // the client hangs up: the stream behind must end
	<-ended
}

// A client that does not read is cut, and holds no more than what the way there
// buffers.
func TestAClientThatDoesNotReadIsCut(t *testing.T) {
	big := batch()
	big.GetBatch().Deliveries[0].Event.Entity = strings.Repeat("x", 64<<10)
	sent := make(chan int, 1)
	g := start(t, withEvents(&fakeEvents{subscribe: func(_ *hookstreamv1.SubscribeRequest, stream frames) error {
		for n := 0; ; n++ {
			if err := stream.Send(big); err != nil {
				sent <- n
				return err
			}
		}
	}}))
	srv := httptest.NewServer(&restStream{
		mux:          newRESTMux(),
		subscribe:    g.Server.subscribe,
		cache:        new(jsonCache),
		turns:        newTurns(),
		frameTimeout: 200 * time.Millisecond,
	})
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/events:subscribe HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// Loopback sockets buffer some megabytes; a bound that grew with the stream
	// would let this go on for ever.
	if n := <-sent; n > 1000 {
		t.Errorf("%d frames of 64 KiB went to a client that reads nothing", n)
	}
}
