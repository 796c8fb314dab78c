package server

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// withService serves a world over REST.
func withService(w *eventWorld) func(*Options, *HTTPOptions) {
	return func(o *Options, _ *HTTPOptions) { o.Events = w.service }
}

// cloudLinesOf answers the lines of a stream of CloudEvents, and their types.
func cloudLinesOf(t *testing.T, body string) (lines []map[string]any, types []string) {
	t.Helper()
	for line := range strings.Lines(body) {
		e := parseJSON(t, strings.TrimSuffix(line, "\n"))
		if e["specversion"] != "1.0" {
			t.Errorf("no CloudEvent: %s", line)
		}
		typ, _ := e["type"].(string)
		lines, types = append(lines, e), append(types, strings.TrimPrefix(typ, "dev.hookstream."))
	}
	return lines, types
}

const asCloudEvents = "application/cloudevents+json"

func TestStreamAsCloudEvents(t *testing.T) {
	w := newEventWorld(t)
	w.put(t, "open", `{"eventId":"e1"}`)
	w.put(t, "open", "no JSON")
	g := start(t, withService(w))
	path := "/v1/events:subscribe?earliest=true&atHead=true&selector.sources=open"
	code, header, body := g.do(t, "GET", path, "", "Accept", asCloudEvents)
	if code != 200 || header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%d %v", code, header)
	}
	lines, types := cloudLinesOf(t, body)
	event := "yousign.signature_request.done"
	if diff := cmp.Diff([]string{"stream.opened", event, event, "stream.caughtup", "stream.end"}, types); diff != "" {
		t.Fatal(diff + body)
	}
	payload, _ := lines[1]["data"].(map[string]any)
	if payload["eventId"] != "e1" || lines[1]["cursor"] == nil || lines[1]["source"] != "sources/open" {
		t.Errorf("%v", lines[1])
	}
	if lines[2]["data"] != nil || lines[2]["decodestate"] != "failed" {
		t.Errorf("%v", lines[2])
	}

	// The cursor of an event is where to go on.
	_, _, body = g.do(t, "GET", "/v1/events:subscribe?atHead=true&view=EVENT_VIEW_RAW&selector.sources=open&afterCursor="+lines[1]["cursor"].(string), "", "Accept", asCloudEvents)
	lines, types = cloudLinesOf(t, body)
	if len(lines) != 4 || types[1] != event || lines[1]["data_base64"] != base64.StdEncoding.EncodeToString([]byte("no JSON")) {
		t.Errorf("%s", body)
	}
}

// What a source withholds is withheld from CloudEvents as well, and named.
func TestCloudEventsWithhold(t *testing.T) {
	w := newEventWorld(t)
	w.put(t, "closed", `{"signer":{"signatureLink":"https://secret.example"}}`)
	g := start(t, withService(w))
	code, _, body := g.do(t, "GET", "/v1/events:subscribe?earliest=true&atHead=true", "", "Accept", asCloudEvents)
	if code != 200 || strings.Contains(body, "secret.example") || !strings.Contains(body, `"redactedfields":"yousign.signer.signature_link`) {
		t.Errorf("%d %s", code, body)
	}
	for view, reason := range map[string]string{"RAW": "SENSITIVE_FIELDS_WITHHELD", "FULL": "has no form as application/cloudevents+json"} {
		code, _, body = g.do(t, "GET", "/v1/events:subscribe?earliest=true&atHead=true&view=EVENT_VIEW_"+view, "", "Accept", asCloudEvents)
		if code != 400 || !strings.Contains(body, reason) {
			t.Errorf("%s: %d %s", view, code, body)
		}
	}
}

// Losses and failures are CloudEvents of the stream.
func TestCloudEventsTellWhatIsNoEvent(t *testing.T) {
	gap := &hookstreamv1.SubscribeResponse{Cursor: "c2", Frame: &hookstreamv1.SubscribeResponse_Gap{Gap: &hookstreamv1.Gap{MissedEvents: 3}}}
	failure := statusError(codes.OutOfRange, hookstreamv1.ErrorReason_ERROR_REASON_CURSOR_EXPIRED, "gone")
	g := start(t, withEvents(script(failure, opened(), batch(), gap, heartbeat())))
	_, _, body := g.do(t, "GET", "/v1/events:subscribe", "", "Accept", asCloudEvents)
	lines, types := cloudLinesOf(t, body)
	if diff := cmp.Diff([]string{"stream.opened", ".line\uFFFDbreak", "stream.gap", "stream.heartbeat", "stream.failure"}, types); diff != "" {
		t.Fatal(diff)
	}
	data, _ := lines[2]["data"].(map[string]any)
	if data["missedEvents"] != "3" || lines[2]["cursor"] != "c2" || lines[2]["source"] != "streams/s" {
		t.Errorf("%v", lines[2])
	}
	if !strings.Contains(body, "CURSOR_EXPIRED") {
		t.Errorf("%v", lines[4])
	}
	ids := map[any]bool{}
	for _, i := range []int{0, 2, 3, 4} {
		ids[lines[i]["id"]] = true
	}
	if len(ids) != 4 {
		t.Errorf("ids %v", ids)
	}
}

func TestCloudEventsAsServerSentEvents(t *testing.T) {
	g := start(t, withEvents(script(nil, opened(), batch())))
	_, header, body := g.do(t, "GET", "/v1/events:subscribe", "", "Accept", "text/event-stream, "+asCloudEvents)
	if header.Get("Content-Type") != "text/event-stream" || !strings.Contains(body, "\n\nid: c2\nevent: event\ndata: {\"specversion\"") ||
		!strings.Contains(body, "\n\nevent: end\ndata: {\"specversion\"") {
		t.Errorf("%v %s", header, body)
	}
}
