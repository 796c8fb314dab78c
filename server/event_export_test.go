package server

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/binding/format/protobuf/v2/pb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// exported answers the messages of an export.
func (w *eventWorld) exported(t *testing.T, req *hookstreamv1.ExportEventsRequest) (out []*hookstreamv1.ExportEventsResponse, err error) {
	t.Helper()
	stream, err := w.client.ExportEvents(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, m)
	}
}

// told says in words what an export says.
func told(all []*hookstreamv1.ExportEventsResponse) (out []string) {
	for _, m := range all {
		switch {
		case m.GetStart() != nil:
			out = append(out, fmt.Sprint("start ", m.GetStart().GetLogEvents()))
		case m.GetGap() != nil:
			out = append(out, fmt.Sprint("gap ", m.GetGap().GetMissedEvents()))
		case m.GetEnd() != nil:
			out = append(out, fmt.Sprint("end ", m.GetEnd().GetEvents(), " ", m.GetEnd().GetBodyBytes(), " ", m.GetEnd().GetMissedEvents()))
		default:
			out = append(out, string(m.GetEvent().GetEvent().GetRaw().GetBody()))
		}
	}
	return out
}

func TestExport(t *testing.T) {
	w := newEventWorld(t).dial(t)
	w.put(t, "open", "one")
	w.put(t, "open", "\xff\x00two")
	w.log.Skip(2)
	w.put(t, "open", "three")
	all, err := w.exported(t, &hookstreamv1.ExportEventsRequest{})
	if diff := cmp.Diff([]string{"start 5", "one", "\xff\x00two", "gap 2", "three", "end 3 13 2"}, told(all)); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	for _, m := range all {
		e := m.GetEvent()
		if m.GetVersion() != 1 || m.GetCursor() == "" {
			t.Errorf("%v", m)
		}
		if sum := sha256.Sum256(e.GetEvent().GetRaw().GetBody()); e != nil && (string(sum[:]) != string(e.GetBodySha256()) || e.GetPublishTime() == nil || e.GetEvent().GetName() == "") {
			t.Errorf("%v", e)
		}
	}

	// It goes on behind any message.
	for i := range all {
		rest, err := w.exported(t, &hookstreamv1.ExportEventsRequest{AfterCursor: all[i].GetCursor()})
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Join(told(all[min(i+1, len(all)-1):len(all)-1]), " ")
		if diff := cmp.Diff(want, strings.Join(told(rest)[1:len(rest)-1], " ")); diff != "" {
			t.Errorf("behind %d: %s", i, diff)
		}
	}
}

func TestExportOfWhatAFilterSays(t *testing.T) {
	w := newEventWorld(t).dial(t)
	w.put(t, "open", "one")
	w.put(t, "closed", "secret")
	all, err := w.exported(t, &hookstreamv1.ExportEventsRequest{Filter: "source:open"})
	if diff := cmp.Diff([]string{"start 2", "one", "end 1 3 0"}, told(all)); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	if all[2].GetCursor() == all[1].GetCursor() {
		t.Error("an export that is whole would go on with what it has looked at")
	}
	// What a source withholds is exported to who asks for it by name.
	all, err = w.exported(t, &hookstreamv1.ExportEventsRequest{})
	if diff := cmp.Diff([]string{"start 2", "one"}, told(all)); diff != "" || status.Code(err) != codes.FailedPrecondition {
		t.Fatal(diff, err)
	}
	all, err = w.exported(t, &hookstreamv1.ExportEventsRequest{IncludeWithheld: true})
	if diff := cmp.Diff([]string{"start 2", "one", "secret", "end 2 9 0"}, told(all)); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	for filter, cursor := range map[string]string{"sorce:x": "", "": "nonsense"} {
		if _, err := w.exported(t, &hookstreamv1.ExportEventsRequest{Filter: filter, AfterCursor: cursor}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%q, %q: %v", filter, cursor, err)
		}
	}
}

// What asks of the content is refused where the content is not looked at.
func TestExportAndCountAskNothingOfTheContent(t *testing.T) {
	w := listedWorld(t)
	w.put(t, "open", "one")
	w.known(t)
	g := start(t, withService(w))
	for _, filter := range []string{"words", `"two words"`, "-words", "text:words", "text = words", "cel:true", "source:open cel:false"} {
		for _, path := range []string{"/v1/events:export", "/v1/events:count"} {
			if code, _, body := g.do(t, "GET", path+"?filter="+url.QueryEscape(filter), ""); code != 400 || !strings.Contains(body, "filter") {
				t.Errorf("%s by %s: %d %s", path, filter, code, body)
			}
		}
	}
}

func TestExportOverREST(t *testing.T) {
	w := newEventWorld(t)
	w.put(t, "open", "one")
	w.put(t, "closed", "\xffsecret")
	g := start(t, withService(w))
	const path = "/v1/events:export"

	code, header, body := g.do(t, "GET", path+"?includeWithheld=true", "")
	lines := strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	if code != 200 || header.Get("Content-Type") != "application/x-ndjson" || len(lines) != 4 || !strings.Contains(lines[3], `"end":{"events":"2"`) {
		t.Fatalf("%d %v %s", code, header, body)
	}
	if !strings.Contains(lines[2], base64.StdEncoding.EncodeToString([]byte("\xffsecret"))) {
		t.Errorf("%s", lines[2])
	}

	_, _, body = g.do(t, "GET", path, "")
	if lines = strings.Split(strings.TrimSuffix(body, "\n"), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[2], `{"error":`) || strings.Contains(body, `"end"`) {
		t.Errorf("%s", body)
	}
	_, _, body = g.do(t, "GET", path, "", "Accept", asCloudEvents)
	_, types := cloudLinesOf(t, body)
	if diff := cmp.Diff([]string{"export.start", "yousign.signature_request.done", "export.failure"}, types); diff != "" {
		t.Error(diff)
	}
	code, _, body = g.do(t, "GET", path+"?afterCursor=x", "")
	if code != 400 || !strings.Contains(body, "CURSOR_INVALID") {
		t.Errorf("%d %s", code, body)
	}

	code, header, body = g.do(t, "GET", path+"?filter=source:open", "", "Accept", "application/cloudevents-batch+protobuf")
	if code != 200 || header.Get("Content-Type") != "application/cloudevents-batch+protobuf" {
		t.Errorf("%d %v", code, header)
	}
	types = nil
	for b := []byte(body); len(b) > 0; {
		_, _, n := protowire.ConsumeTag(b)
		one, m := protowire.ConsumeBytes(b[n:])
		var e pb.CloudEvent
		if m < 0 || proto.Unmarshal(one, &e) != nil {
			t.Fatalf("no batch: %q", body)
		}
		types, b = append(types, strings.TrimPrefix(e.GetType(), "dev.hookstream.")), b[n+m:]
	}
	if diff := cmp.Diff([]string{"export.start", "yousign.signature_request.done", "export.end"}, types); diff != "" {
		t.Error(diff)
	}
}
