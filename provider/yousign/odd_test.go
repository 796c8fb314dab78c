package yousign

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// The object that an event is about is found wherever its id stands.
func TestEntityPlaces(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"signer.done", `{"signature_request":{"id":"sr-1"},"signer":{"id":"s"}}`, "signature_requests/sr-1"},
		{"signer.done", `{"signer":{"id":"s","signature_request_id":"sr-1"}}`, "signature_requests/sr-1"},
		{"signer.done", `{"signer":{"id":"s","signature_request":{"id":"sr-1"}}}`, "signature_requests/sr-1"},
		{"signer.done", `{"signer":{"id":"s"},"signature_request_id":"sr-1"}`, "signature_requests/sr-1"},
		{"signer.done", `{"signature_request":{"id":null},"signer":{"signature_request_id":"sr-1"}}`, "signature_requests/sr-1"},
		{"signer.done", `{"signer":{"id":"s"}}`, ""},
		{"signer.done", `{"id":"s"}`, ""},
		{"approver.approved", `{"approver":{"id":"a","signature_request_id":"sr-1"}}`, "signature_requests/sr-1"},
		{"signature_request.done", `{"signature_request_id":"sr-1"}`, "signature_requests/sr-1"},
		{"signature_request.done", `{"id":"sr-1"}`, "signature_requests/sr-1"},
		{"signature_request.done", `{"signature_request":{"id":12345678901234567890}}`, "signature_requests/12345678901234567890"},
		{"signer.done", `{"signer":{"signature_request_id":42}}`, "signature_requests/42"},
		{"signature_request.done", `{"signature_request":{"id":4.5}}`, ""},
		{"signature_request.done", `{"signature_request":{"id":1e3}}`, ""},
		{"signature_request.done", `{"signature_request":{"id":true}}`, ""},
		{"contact.created", `{"contact_id":"c1"}`, "contacts/c1"},
		{"verification.company.done", `{"verification_id":"v1"}`, "verifications/v1"},
		{"verification.company.done", `{"company_id":7}`, "verifications/7"},
		{"workflow_action_group.done", `{"workflow_action_group":{"id":"g","workflow_session_id":"w1"}}`, "workflow_sessions/w1"},
		{"workflow_action_group.done", `{"id":"g"}`, ""},
	} {
		body := `{"event_id":"e1","event_name":"` + c.name + `","data":` + c.data + `}`
		info, err := newProvider(t, secretK).Inspect(&provider.Request{Header: http.Header{}, Body: []byte(body)})
		if err != nil || info.Entity != c.want {
			t.Errorf("%s: %q, %v, want %q", body, info.Entity, err, c.want)
		}
	}
}

// Ids that were written as numbers keep their digits, in the index and typed.
func TestIDsAsNumbers(t *testing.T) {
	body := []byte(`{"event_id":12345678901234567890,"subscription_id":7,"event_name":"signer.done","data":{"signature_request":{"id":1},"signer":{"id":9007199254740993}}}`)
	info, err := newProvider(t, secretK).Inspect(&provider.Request{Body: body})
	if err != nil || info.EventID != "12345678901234567890" || info.DedupKey != "7:12345678901234567890" || info.Entity != "signature_requests/1" {
		t.Errorf("%+v, %v", info, err)
	}
	e, state := Decode(body)
	if e.GetEventId() != info.EventID || e.GetSubscriptionId() != "7" || e.GetSigner().GetId() != "9007199254740993" || state != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
		t.Errorf("%v %v", state, e)
	}
	nested := []byte(`{"metadata":{"event_id":5,"event_name":"signer.done"},"data":{}}`)
	if info, err := newProvider(t, secretK).Inspect(&provider.Request{Body: nested}); err != nil || info.EventID != "5" {
		t.Errorf("nested: %+v, %v", info, err)
	}
}

// Times are read in the forms that senders have.
func TestTimes(t *testing.T) {
	moment := time.Date(2025, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, form := range []string{
		`"2025-02-03T04:05:06Z"`, `"2025-02-03T04:05:06+0000"`, `"2025-02-03 04:05:06+00:00"`, `"2025-02-03T05:05:06.000+01"`,
		`1738555506`, `"1738555506"`, `1738555506000`, `"1738555506000"`, `1.738555506e9`,
	} {
		body := []byte(`{"event_id":"e","event_name":"signature_request.done","event_time":` + form + `,"data":{"signature_request":{"created_at":` + form + `}}}`)
		info, err := newProvider(t, secretK).Inspect(&provider.Request{Body: body})
		if err != nil || !info.OccurTime.Equal(moment) {
			t.Errorf("%s: %v, %v", form, info.OccurTime, err)
		}
		e, state := Decode(body)
		if !e.GetEventTime().AsTime().Equal(moment) || !e.GetSignatureRequest().GetCreatedAt().AsTime().Equal(moment) || state != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
			t.Errorf("%s: %v %v", form, state, e)
		}
	}
}

// One odd element leaves the others their types, in every list there is.
func TestOddElements(t *testing.T) {
	body := `{"event_id":"e","event_name":"signature_request.done","data":{"signature_request":{"id":"sr",
		"signers":[{"id":"a"},null,{"id":"b"},7],"approvers":["x",{"id":"c"}],"documents":[null,{"id":"d"},[]]}}}`
	e, state := Decode([]byte(body))
	sr := e.GetSignatureRequest()
	if len(sr.GetSigners()) != 2 || sr.GetSigners()[1].GetId() != "b" || len(sr.GetApprovers()) != 1 || len(sr.GetDocuments()) != 1 || state != hookstreamv1.DecodeState_DECODE_STATE_PARTIAL {
		t.Errorf("%v %v", state, e)
	}
	const want = `{"approvers":["x"],"documents":[null,[]],"signers":[null,7]}`
	rest, err := sr.GetRest().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if got := compact(t, rest); got != want {
		t.Errorf("rest %s, want %s", got, want)
	}
}

// A key that is sent twice is told by the state, wherever it is.
func TestRepeatedKeysArePartial(t *testing.T) {
	for _, body := range []string{
		`{"event_name":"signer.done","event_name":"signer.done","data":{"signer":{}}}`,
		`{"event_name":"signer.done","event_time":"1","event_time":"1","data":{"signer":{}}}`,
		`{"event_name":"signer.done","data":{"signer":{}},"data":{}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"a"},"signer":{"id":"b"}}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"a","id":"b"}}}`,
		`{"event_name":"signer.done","metadata":{"event_id":"a","event_id":"b"},"data":{"signer":{}}}`,
		`{"event_name":"signer.done","metadata":null,"metadata":{},"data":{"signer":{}}}`,
		`{"event_name":"verification.company.done","data":{"verification":{"id":"a"},"verification":{"id":"b"}}}`,
		`{"event_name":"verification.company.done","data":{"company":{"data":{"a":{"k":1,"k":2}}}}}`,
		`{"event_name":"workflow_session.done","data":{"id":"a","id":"b"}}`,
	} {
		if e, state := Decode([]byte(body)); state != hookstreamv1.DecodeState_DECODE_STATE_PARTIAL {
			t.Errorf("%s: %v %v", body, state, e)
		}
	}
	if _, state := Decode([]byte(`{"event_name":"signer.done","data":{"signer":{"id":"a"}}}`)); state != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
		t.Errorf("%v", state)
	}
}

// Nothing shows other digits than were sent.
func TestDigitsAreKept(t *testing.T) {
	body := []byte(`{"event_id":"e","event_name":"signer.done","x":9007199254740993,"metadata":{"y":9007199254740993},"data":{"z":[9007199254740993],
		"signer":{"w":{"v":9007199254740993},"u":0.12345678901234567890}}}`)
	e, _ := Decode(body)
	shown, err := protojson.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	text := compact(t, shown)
	for _, want := range []string{
		`"rest":{"x":"9007199254740993"}`, `"metadataRest":{"y":"9007199254740993"}`, `"dataRest":{"z":["9007199254740993"]}`,
		`"v":"9007199254740993"`, `"u":"0.12345678901234567890"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
