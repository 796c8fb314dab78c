package cloudevent_test

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/binding/format/protobuf/v2/pb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/cloudevent"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

func received() *hookstreamv1.Event {
	return &hookstreamv1.Event{
		Name: "events/aaaaaaa-17", Source: "sources/billing", Provider: "yousign", Environment: "sandbox",
		Topic: "signer", Action: "done", Type: "signer.done", Entity: "signers/1", ProviderEventId: "e1",
		OccurTime:   &timestamppb.Timestamp{Seconds: 1_800_000_000},
		ReceiveTime: &timestamppb.Timestamp{Seconds: 1_800_000_001, Nanos: 5},
		Verification: &hookstreamv1.Verification{
			State: hookstreamv1.Verification_STATE_FAILED, Method: "hmac-sha256", Reason: "signature_mismatch",
			Coverage: hookstreamv1.Verification_COVERAGE_BODY,
		},
		DecodeState:         hookstreamv1.DecodeState_DECODE_STATE_COMPLETE,
		PossibleDuplicateOf: "events/aaaaaaa-3", ProviderAttempt: proto.Int32(2),
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		ImportTime:  &timestamppb.Timestamp{Seconds: 1_800_000_100},
	}
}

// deliveries are what a stream can show.
func deliveries() map[string]*hookstreamv1.Delivery {
	with := func(change func(d *hookstreamv1.Delivery)) *hookstreamv1.Delivery {
		d := &hookstreamv1.Delivery{Cursor: "AQAAAA", Event: received()}
		change(d)
		return d
	}
	raw := func(contentType, body string) *hookstreamv1.Delivery {
		return with(func(d *hookstreamv1.Delivery) {
			d.Event.Raw = &hookstreamv1.RawRequest{Body: []byte(body), ContentType: contentType}
		})
	}
	return map[string]*hookstreamv1.Delivery{
		"metadata": with(func(*hookstreamv1.Delivery) {}),
		"typed": with(func(d *hookstreamv1.Delivery) {
			d.Event.Payload = &hookstreamv1.Event_Yousign{Yousign: &yousignv1.Event{EventId: proto.String("e1 \u2028")}}
		}),
		"withheld": with(func(d *hookstreamv1.Delivery) {
			d.Event.Payload = &hookstreamv1.Event_Yousign{Yousign: &yousignv1.Event{EventId: proto.String("e1")}}
			d.Event.RedactedFields, d.Event.OmittedFields = []string{"yousign.signer.signature_link", "raw"}, []string{"proof"}
		}),
		"JSON body":         raw("application/json; charset=utf-8", "{\"a\":  1}\n"),
		"body of no type":   raw("", "{}"),
		"body of odd type":  raw("nonsense\x01/;;", "\xff\x00\x80"),
		"body that is none": raw("text/plain", ""),
		"of a subscription": with(func(d *hookstreamv1.Delivery) {
			d.AckToken, d.Attempt, d.HandOut, d.Replayed = "t", 3, 1<<40, true
			d.AckDeadline = &timestamppb.Timestamp{Seconds: 1_800_000_050}
		}),
		"next to nothing": {Event: &hookstreamv1.Event{Name: "events/a-1", Source: "sources/a", Provider: "p", ReceiveTime: &timestamppb.Timestamp{}}},
		"names that no attribute may hold": with(func(d *hookstreamv1.Delivery) {
			d.Event.Type, d.Event.Entity, d.Event.Environment = "a\x00b", "c\u0085\n", "\ufffe"
		}),
	}
}

// attributes of the specification, the JSON form and what they must be like.
var (
	attributeName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)
	text          = regexp.MustCompile(`^[^\x00-\x1f\x7f-\x{9f}\x{fffe}\x{ffff}]+$`)
	mediaType     = regexp.MustCompile(`^[a-z]+/[a-z0-9.+-]+(; ?[a-z]+=[a-zA-Z0-9-]+)*$`)
)

// checkJSON holds a line against the rules of CloudEvents 1.0 and of its JSON form.
func checkJSON(t *testing.T, line []byte) map[string]any {
	t.Helper()
	if strings.ContainsAny(string(line), "\n\r\u0085\u2028\u2029") {
		t.Errorf("more than a line: %q", line)
	}
	var got map[string]any
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	for _, name := range []string{"id", "source", "type", "specversion"} {
		if s, ok := got[name].(string); !ok || s == "" {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if got["specversion"] != "1.0" {
		t.Errorf("specversion %v", got["specversion"])
	}
	for name, value := range got {
		if name == "data" || name == "data_base64" {
			continue
		}
		if !attributeName.MatchString(name) {
			t.Errorf("an attribute is called %q", name)
		}
		switch v := value.(type) {
		case string:
			if !text.MatchString(v) {
				t.Errorf("%s is %q", name, v)
			}
			if name == "time" || strings.HasSuffix(name, "time") || strings.HasSuffix(name, "deadline") {
				if _, err := time.Parse(time.RFC3339, v); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		case bool:
		case float64:
			if v != float64(int32(v)) {
				t.Errorf("%s is %v", name, v)
			}
		default:
			t.Errorf("%s is a %T", name, v)
		}
	}
	if got["data"] != nil && got["data_base64"] != nil {
		t.Error("data is there twice")
	}
	if content, ok := got["datacontenttype"].(string); ok && !mediaType.MatchString(content) {
		t.Errorf("content type %q", content)
	}
	return got
}

func TestEveryViewIsACloudEvent(t *testing.T) {
	for name, d := range deliveries() {
		t.Run(name, func(t *testing.T) {
			e, err := cloudevent.OfDelivery(d)
			if err != nil {
				t.Fatal(err)
			}
			got := checkJSON(t, e.AppendJSON(nil))
			if raw := d.GetEvent().GetRaw(); len(raw.GetBody()) > 0 {
				body, err := base64.StdEncoding.DecodeString(got["data_base64"].(string))
				if err != nil || string(body) != string(raw.GetBody()) {
					t.Errorf("body %q, %v", body, err)
				}
			}
			sameInProtobuf(t, e, got)
		})
	}
}

// sameInProtobuf holds the Protobuf form, as it stands in a batch, against the JSON form.
func sameInProtobuf(t *testing.T, e *cloudevent.Event, want map[string]any) {
	t.Helper()
	b, err := e.AppendBatch([]byte{})
	if err != nil {
		t.Fatal(err)
	}
	num, typ, n := protowire.ConsumeTag(b)
	inner, m := protowire.ConsumeBytes(b[n:])
	if num != 1 || typ != protowire.BytesType || n+m != len(b) {
		t.Fatalf("field %d of type %d with %d of %d bytes", num, typ, n+m, len(b))
	}
	var p pb.CloudEvent
	if err := proto.Unmarshal(inner, &p); err != nil {
		t.Fatal(err)
	}
	got := map[string]any{"id": p.GetId(), "source": p.GetSource(), "type": p.GetType(), "specversion": p.GetSpecVersion()}
	for name, v := range p.GetAttributes() {
		switch a := v.GetAttr().(type) {
		case *pb.CloudEventAttributeValue_CeBoolean:
			got[name] = a.CeBoolean
		case *pb.CloudEventAttributeValue_CeInteger:
			got[name] = float64(a.CeInteger)
		case *pb.CloudEventAttributeValue_CeTimestamp:
			got[name] = a.CeTimestamp.AsTime().Format(time.RFC3339Nano)
		default:
			got[name] = v.GetCeString()
		}
	}
	switch data := p.GetData().(type) {
	case *pb.CloudEvent_TextData:
		var v any
		if err := json.Unmarshal([]byte(data.TextData), &v); err != nil {
			t.Error(err)
		}
		got["data"] = v
	case *pb.CloudEvent_BinaryData:
		got["data_base64"] = base64.StdEncoding.EncodeToString(data.BinaryData)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAnEventBecomes(t *testing.T) {
	d := deliveries()["typed"]
	e, err := cloudevent.OfDelivery(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","id":"aaaaaaa-17","source":"sources/billing","type":"dev.hookstream.yousign.signer.done",` +
		`"subject":"signers/1","time":"2027-01-15T08:00:00Z","datacontenttype":"application/json","cursor":"AQAAAA",` +
		`"provider":"yousign","environment":"sandbox","providereventid":"e1","receivetime":"2027-01-15T08:00:01.000000005Z",` +
		`"verification":"failed","verifymethod":"hmac-sha256","verifyreason":"signature_mismatch","verifycoverage":"body",` +
		`"duplicateof":"aaaaaaa-3","providerattempt":2,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",` +
		`"importtime":"2027-01-15T08:01:40Z","decodestate":"complete","data":{"eventId":"e1 \u2028"}}`
	if diff := cmp.Diff(want, string(e.AppendJSON(nil))); diff != "" {
		t.Error(diff)
	}
}

// No two CloudEvents of one source have one id, whatever a stream says.
func TestWhatAStreamSaysIsACloudEvent(t *testing.T) {
	s := cloudevent.NewStream("abc")
	seen := make(map[[2]string]bool)
	for _, m := range []proto.Message{&hookstreamv1.Gap{MissedEvents: 3}, &hookstreamv1.Heartbeat{}, &hookstreamv1.Heartbeat{}} {
		e, err := s.Tell("gap", "AQ", m)
		if err != nil {
			t.Fatal(err)
		}
		got := checkJSON(t, e.AppendJSON(nil))
		key := [2]string{e.Source, e.ID}
		if seen[key] || got["type"] != "dev.hookstream.stream.gap" || got["data"] == nil {
			t.Errorf("%v, seen %v", got, seen[key])
		}
		seen[key] = true
	}
}

func TestAnExportIsCloudEvents(t *testing.T) {
	x := new(cloudevent.Exporter)
	event := received()
	event.Raw = &hookstreamv1.RawRequest{Body: []byte("body")}
	var types []string
	for _, m := range []*hookstreamv1.ExportEventsResponse{
		{Line: &hookstreamv1.ExportEventsResponse_Start{Start: &hookstreamv1.ExportStart{StartTime: timestamppb.Now()}}},
		{Line: &hookstreamv1.ExportEventsResponse_Event{Event: &hookstreamv1.ExportedEvent{Event: event, PublishTime: timestamppb.Now()}}},
		{Line: &hookstreamv1.ExportEventsResponse_Gap{Gap: &hookstreamv1.ExportGap{MissedEvents: 2}}},
		{Line: &hookstreamv1.ExportEventsResponse_End{End: &hookstreamv1.ExportEnd{Events: 1}}},
	} {
		m.Cursor = "AQ"
		e, err := x.Of(m)
		if err != nil {
			t.Fatal(err)
		}
		got := checkJSON(t, e.AppendJSON(nil))
		if got["cursor"] != "AQ" {
			t.Errorf("%v", got)
		}
		types = append(types, strings.TrimPrefix(e.Type, "dev.hookstream."))
	}
	if diff := cmp.Diff([]string{"export.start", "yousign.signer.done", "export.gap", "export.end"}, types); diff != "" {
		t.Error(diff)
	}
}
