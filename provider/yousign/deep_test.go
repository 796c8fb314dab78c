package yousign

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hookstream/hookstream/event"
	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
)

// A link to sign is withheld at any depth, also where content becomes text.
func TestSecretsAreWithheldAtAnyDepth(t *testing.T) {
	for _, depth := range []int{1, 5, 19, 20, 21, 22, 23, 24, 30, 55} {
		for _, level := range []string{`{"x":|}`, `[|]`} {
			before, after, _ := strings.Cut(level, "|")
			deep := strings.Repeat(before, depth) + `{"signature_link":"SECRET"}` + strings.Repeat(after, depth)
			for _, body := range []string{
				`{"event_name":"signer.done","data":{"signer":{"id":"s","unknown":` + deep + `}}}`,
				`{"event_name":"signer.done","data":{"unknown":` + deep + `}}`,
				`{"event_name":"signer.done","unknown":` + deep + `,"data":{}}`,
				`{"event_name":"odd","data":{"unknown":` + deep + `}}`,
				`{"event_name":"signature_request.done","data":{"signature_request":{"signers":[null,` + deep + `]}}}`,
			} {
				wire, _ := Encode(nil, []byte(body))
				e, _ := Decode([]byte(body))
				if left, _, ok := event.RedactWire(e.ProtoReflect().Descriptor(), wire, 0); ok && strings.Contains(string(left), "SECRET") {
					t.Errorf("%d: shown in wire form", depth)
				}
				paths := event.Redact(e, 0)
				shown, err := protojson.Marshal(e)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(shown), "SECRET") || len(paths) != 1 {
					t.Errorf("%d levels: %s\nwithheld %v", depth, shown, paths)
				}
			}
		}
	}
}

// What was read from papers is withheld wherever in a body it stands, and what only
// is called as an object is not.
func TestPapersAreWithheldWhereverTheyStand(t *testing.T) {
	paper, resource := `{"paper":{"first":"SECRET"}}`, `{"id":"r","type":"document_analysis","first":"SECRET"}`
	for _, body := range []string{
		`{"event_name":"document_analysis.done","document_analysis":` + paper + `}`,
		`{"event_name":"document_analysis.done","metadata":{"document_analysis":` + paper + `},"data":{}}`,
		`{"event_name":"document_analysis.done","payload":{"documentAnalysis":` + paper + `},"data":{}}`,
		`{"event_name":"verification.company.done","company":[` + paper + `],"data":{}}`,
		`{"event_name":"workflow_session.done","data":{"workflow_session":{"id":"w","action_groups":[{"actions":[{"resource":` + resource + `}]}]}}}`,
		`{"event_name":"workflow_session.done","data":{"workflow_session":{"id":"w","action_groups":[{"actions":[{"previous_attempts":[{"resource":` + resource + `}]}]}]}}}`,
		`{"event_name":"workflow_session.done","data":{"workflow_session":{"id":"w","action_groups":[{"actions":[{"found":` + paper + `}]}]}}}`,
		`{"event_name":"workflow_session.done","data":{"id":"w","status":"done","found":` + paper + `}}`,
		`{"event_name":"workflow_action_group.done","data":{"workflow_session_id":"w","status":"done","found":` + paper + `}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"s","identity_document":` + paper + `}}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"s","deep":[{"identity-document":` + paper + `}]}}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"s","text":"{\"identity_document\": {\"first\":\"SECRET\"}}"}}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"s","identity_document":"{\"first\":\"SECRET\"}"}}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"s","text":"{\"identity_document\":\"{\\\"first\\\":\\\"SECRET\\\"}\"}"}}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"s","socialSecurityNumber":"SECRET"}}}`,
		`{"event_name":"contact.created","data":{"contact":{"id":"c","iban":["SECRET"]}}}`,
		`{"event_name":"applicant.processed","data":{"applicant":{"id":"a","natural_person":{"identity":{"mrz_line_1":"SECRET"}}}}}`,
	} {
		wire, _ := Encode(nil, []byte(body))
		e, _ := Decode([]byte(body))
		if left, _, ok := event.RedactWire(e.ProtoReflect().Descriptor(), wire, 0); ok && strings.Contains(string(left), "SECRET") {
			t.Errorf("%s: shown in wire form", body)
		}
		paths := event.Redact(e, 0)
		if shown, err := protojson.Marshal(e); err != nil || strings.Contains(string(shown), "SECRET") || len(paths) != 1 {
			t.Errorf("%s: %s, %v\nwithheld %v", body, shown, err, paths)
		}
	}
	for _, body := range []string{
		`{"event_name":"contact.created","data":{"contact":{"id":"c","company":"ACME","number":"SHOWN"}}}`,
		`{"event_name":"contact.created","data":{"contact":{"id":"c","text":"{\"company\":\"ACME\"}","number":"SHOWN"}}}`,
		`{"event_name":"signer.done","data":{"signer":{"id":"s","identity_document":"SHOWN","taxation":1}}}`,
	} {
		e, _ := Decode([]byte(body))
		paths := event.Redact(e, 0)
		if shown, err := protojson.Marshal(e); err != nil || !strings.Contains(string(shown), "SHOWN") || paths != nil {
			t.Errorf("%s: %s, %v\nwithheld %v", body, shown, err, paths)
		}
	}
}

// What stands in the envelope under a name that nobody knows is withheld when it may
// have been read from papers, and shown when it is harmless.
func TestWhatTheEnvelopeHasUnderUnknownNames(t *testing.T) {
	const paper, long = `{"first":"SECRET"}`, `"SECRET, of which there is more: `
	for _, c := range []struct{ body, withheld string }{
		{`{"event_name":"signer.done","kyc":` + paper + `,"data":{}}`, "rest.kyc"},
		{`{"event_name":"signer.done","kyc":["SECRET"],"data":{}}`, "rest.kyc"},
		{`{"event_name":"signer.done","kyc":"{\"first\":\"SECRET\"}","data":{}}`, "rest.kyc"},
		{`{"event_name":"signer.done","kyc":` + long + strings.Repeat("x", 256) + `","data":{}}`, "rest.kyc"},
		{`{"event_name":"signer.done","metadata":{"kyc":` + paper + `},"data":{}}`, "metadata_rest.kyc"},
		{`{"metadata":{"event_name":"signer.done","kyc":[[` + paper + `]]},"data":{"signer":{"id":"s"}}}`, "metadata_rest.kyc"},
		{`{"event_name":"signer.done","first":"SECRET"}`, "envelope_rest"},
		{`{"event_name":"signer.done","data":"SECRET"}`, "envelope_rest"},
		{`{"event_name":"signer.done","data":[` + paper + `]}`, "envelope_rest"},
		{`{"event_name":"signer.done","metadata":"SECRET","data":null}`, "envelope_rest"},
		{`{"metadata":{"event_name":"signer.done","first":"SECRET"}}`, "envelope_rest"},
		{`{"event_name":"document_analysis.done","first":"SECRET","data":{}}`, "envelope_rest"},
		{`{"event_name":"verification.company.done","first":"SECRET","metadata":{"first":"SECRET"},"data":{}}`, "envelope_rest"},
		{`{"event_name":"workflow_session.done","first":"SECRET","data":{"id":"w","status":"done"}}`, "envelope_rest"},
		{`{"event_name":"applicant.processed","first":"SECRET","data":{"applicant":{"id":"a"}}}`, "envelope_rest"},
		{`{"event_name":"kyc.done","first":"SECRET","data":{}}`, "envelope_rest"},
		{`{"event_name":"contact.created","data":{"kyc":` + paper + `}}`, "data_rest"},
		{`{"event_name":"user.completed","data":{"kyc":{"id":"u","first":"SECRET"}}}`, "data_rest"},
	} {
		wire, _ := Encode(nil, []byte(c.body))
		e, _ := Decode([]byte(c.body))
		if all, err := protojson.Marshal(e); err != nil || !strings.Contains(string(all), "SECRET") {
			t.Errorf("%s: lost: %s, %v", c.body, all, err)
		}
		if left, _, ok := event.RedactWire(e.ProtoReflect().Descriptor(), wire, 0); ok && strings.Contains(string(left), "SECRET") {
			t.Errorf("%s: shown in wire form", c.body)
		}
		paths := event.Redact(e, event.KindsOf(optionsv1.Sensitivity_SENSITIVITY_ACCESS))
		if shown, err := protojson.Marshal(e); err != nil || strings.Contains(string(shown), "SECRET") || !slices.Equal(paths, []string{c.withheld}) {
			t.Errorf("%s: %s, %v\nwithheld %v", c.body, shown, err, paths)
		}
	}
	for _, body := range []string{
		`{"event_name":"signer.done","api":"SHOWN","attempt":2,"live":true,"data":{}}`,
		`{"metadata":{"event_name":"signature_request.done","api":"SHOWN"},"data":{"signature_request":{"id":"r"}}}`,
		`{"event_name":"contact.created","data":{"person":{"id":"c","last_name":"SHOWN"}}}`,
	} {
		wire, _ := Encode(nil, []byte(body))
		e, _ := Decode([]byte(body))
		if _, paths, ok := event.RedactWire(e.ProtoReflect().Descriptor(), wire, 0); ok && paths != nil {
			t.Errorf("%s: withheld in wire form %v", body, paths)
		}
		paths := event.Redact(e, 0)
		if shown, err := protojson.Marshal(e); err != nil || !strings.Contains(string(shown), "SHOWN") || paths != nil {
			t.Errorf("%s: %s, %v\nwithheld %v", body, shown, err, paths)
		}
	}
}
