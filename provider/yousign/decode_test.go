package yousign

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider/lenient"
	"github.com/hookstream/hookstream/provider/lenient/lenienttest"
	"github.com/hookstream/hookstream/provider/providertest"
)

var update = flag.Bool("update", false, "write what Decode answers to testdata/golden")

// bodies are the example of every event and the variants of bodies that Yousign
// may send, by name.
func bodies(t testing.TB) map[string][]byte {
	t.Helper()
	bodies := make(map[string][]byte)
	for _, pattern := range []string{"examples/*.json", "testdata/variants/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			bodies[strings.TrimSuffix(filepath.Base(file), ".json")] = body
		}
	}
	return bodies
}

func addExamples(f *testing.F) {
	for _, body := range bodies(f) {
		var small bytes.Buffer
		if err := json.Compact(&small, body); err != nil {
			f.Fatal(err)
		}
		f.Add(small.Bytes())
	}
}

func TestSchemaLosesNothing(t *testing.T) {
	if err := lenient.Lint(&yousignv1.Event{}); err != nil {
		t.Error(err)
	}
}

// golden is a file of testdata/golden.
type golden struct {
	DecodeState string          `json:"decode_state"`
	Event       json.RawMessage `json:"event"`
}

func TestGolden(t *testing.T) {
	for name, body := range bodies(t) {
		t.Run(name, func(t *testing.T) {
			ev, state := Decode(body)
			compact, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(ev)
			if err != nil {
				t.Fatal(err)
			}
			// Through encoding/json, for protojson varies its white space.
			got, err := json.MarshalIndent(golden{state.String(), compact}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			file := filepath.Join("testdata/golden", name+".json")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryLeafIsKept(t *testing.T) {
	for name, body := range bodies(t) {
		ev, _ := Decode(body)
		for _, leaf := range lenienttest.Missing(body, ev) {
			t.Errorf("%s: %s is lost", name, leaf)
		}
	}
}

// The examples of the events as they are known today have a field for everything.
func TestExamplesAreComplete(t *testing.T) {
	for _, typ := range Catalog() {
		if _, state := Decode([]byte(typ.GetExample())); state != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
			t.Errorf("%s: %v", typ.GetType(), state)
		}
	}
}

func TestDecodeState(t *testing.T) {
	for body, want := range map[string]hookstreamv1.DecodeState{
		``:                                hookstreamv1.DecodeState_DECODE_STATE_FAILED,
		`[]`:                              hookstreamv1.DecodeState_DECODE_STATE_FAILED,
		`{}`:                              hookstreamv1.DecodeState_DECODE_STATE_FAILED,
		`{"event_name":"signer.done"}`:    hookstreamv1.DecodeState_DECODE_STATE_FAILED,
		`{"event_name":1,"data":{}}`:      hookstreamv1.DecodeState_DECODE_STATE_FAILED,
		`{"event_name":"a.b","data":"x"}`: hookstreamv1.DecodeState_DECODE_STATE_FAILED,
		`{"event_name":"signer.danced","data":{}}`:                   hookstreamv1.DecodeState_DECODE_STATE_UNKNOWN_TYPE,
		`{"event_name":"signer.done","data":{}}`:                     hookstreamv1.DecodeState_DECODE_STATE_COMPLETE,
		`{"event_name":"signer.done","data":{"signer":{"age":3}}}`:   hookstreamv1.DecodeState_DECODE_STATE_PARTIAL,
		`{"event_name":"signer.done","data":{"odd":{}}}`:             hookstreamv1.DecodeState_DECODE_STATE_PARTIAL,
		`{"event_name":"signer.done","data":{},"metadata":"x"}`:      hookstreamv1.DecodeState_DECODE_STATE_PARTIAL,
		`{"event_name":"signer.done","data":{},"metadata":{"a":1}}`:  hookstreamv1.DecodeState_DECODE_STATE_PARTIAL,
		`{"event_name":"signer.done","data":{},"event_time":{}}`:     hookstreamv1.DecodeState_DECODE_STATE_PARTIAL,
		`{"metadata":{"event_name":"signer.done"},"data":{}}`:        hookstreamv1.DecodeState_DECODE_STATE_COMPLETE,
		`{"event_name":"signer.done","metadata":{},"data":{}}`:       hookstreamv1.DecodeState_DECODE_STATE_COMPLETE,
		`{"event_name":"signer.done","event_time":"soon","data":{}}`: hookstreamv1.DecodeState_DECODE_STATE_COMPLETE,
	} {
		ev, got := Decode([]byte(body))
		if got != want || ev == nil {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
}

func TestPlacesOfContent(t *testing.T) {
	for _, c := range []struct{ why, body, want string }{
		{
			"the body before metadata, and nothing of either lost",
			`{"event_id":"a","metadata":{"event_id":"b","event_name":"signer.done","event_time":7,"sandbox":false,"tenant":"x"},"event_time":"8","data":{}}`,
			`{"event_id":"a","event_name":"EVENT_NAME_SIGNER_DONE","event_name_raw":"signer.done","topic":"TOPIC_SIGNER",
				"signer_action":"SIGNER_ACTION_DONE","event_time":"1970-01-01T00:00:08Z","event_time_raw":"8","sandbox":false,
				"metadata_rest":{"event_id":"b","event_time":7,"tenant":"x"}}`,
		},
		{
			"null in the body leaves it to metadata",
			`{"event_id":null,"event_name":"a.b","metadata":{"event_id":"b"},"data":{}}`,
			`{"event_id":"b","event_name_raw":"a.b"}`,
		},
		{
			"a verification's own name before verification",
			`{"event_name":"verification.company.done","data":{"verification":{"id":"a"},"company":{"id":"b"}}}`,
			`{"event_name":"EVENT_NAME_VERIFICATION_COMPANY_DONE","event_name_raw":"verification.company.done",
				"topic":"TOPIC_VERIFICATION_COMPANY","verification_action":"VERIFICATION_ACTION_DONE",
				"company":{"id":"b"},"data_rest":{"verification":{"id":"a"}}}`,
		},
		{
			"verification before the only object",
			`{"event_name":"verification.company.done","data":{"thing":{"id":"a"},"verification":{"id":"b"}}}`,
			`{"event_name":"EVENT_NAME_VERIFICATION_COMPANY_DONE","event_name_raw":"verification.company.done",
				"topic":"TOPIC_VERIFICATION_COMPANY","verification_action":"VERIFICATION_ACTION_DONE",
				"company":{"id":"b"},"data_rest":{"thing":{"id":"a"}}}`,
		},
		{
			"the only object, whatever its name",
			`{"event_name":"monitoring.natural_person.updated","data":{"person":{"id":"a","status":"active"},"note":"n"}}`,
			`{"event_name":"EVENT_NAME_MONITORING_NATURAL_PERSON_UPDATED","event_name_raw":"monitoring.natural_person.updated",
				"topic":"TOPIC_MONITORING_NATURAL_PERSON","monitoring_action":"MONITORING_ACTION_UPDATED",
				"monitoring":{"id":"a","status":"MONITORING_STATUS_ACTIVE","status_raw":"active"},"data_rest":{"note":"n"}}`,
		},
		{
			"of two objects neither",
			`{"event_name":"user.completed","data":{"person":{"id":"a"},"other":{"id":"b"}}}`,
			`{"event_name":"EVENT_NAME_USER_COMPLETED","event_name_raw":"user.completed","topic":"TOPIC_USER",
				"user_action":"USER_ACTION_COMPLETED","data_rest":{"person":{"id":"a"},"other":{"id":"b"}}}`,
		},
		{
			"an object that has a field of its own is not taken for another",
			`{"event_name":"user.completed","data":{"contact":{"id":"a"}}}`,
			`{"event_name":"EVENT_NAME_USER_COMPLETED","event_name_raw":"user.completed","topic":"TOPIC_USER",
				"user_action":"USER_ACTION_COMPLETED","contact":{"id":"a"}}`,
		},
		{
			"a documented name is not guessed at",
			`{"event_name":"signer.done","data":{"person":{"id":"a"}}}`,
			`{"event_name":"EVENT_NAME_SIGNER_DONE","event_name_raw":"signer.done","topic":"TOPIC_SIGNER",
				"signer_action":"SIGNER_ACTION_DONE","data_rest":{"person":{"id":"a"}}}`,
		},
		{
			"a group of actions without an object of its own, beside a session with one",
			`{"event_name":"workflow_action_group.done","data":{"workflow_session_id":"s","action_group_id":"g","status":"done",
				"workflow_session":{"id":"s"},"new":1}}`,
			`{"event_name":"EVENT_NAME_WORKFLOW_ACTION_GROUP_DONE","event_name_raw":"workflow_action_group.done",
				"topic":"TOPIC_WORKFLOW_ACTION_GROUP","workflow_action_group_action":"WORKFLOW_ACTION_GROUP_ACTION_DONE",
				"workflow_session_id":"s","workflow_session":{"id":"s"},
				"workflow_action_group":{"id":"g","status":"WORKFLOW_STATUS_DONE","status_raw":"done","rest":{"new":1}}}`,
		},
		{
			"a decline before the event is not its reason",
			`{"event_name":"signature_request.deleted","data":{"signature_request":{"decline_information":{"reason":"no"}}}}`,
			`{"event_name":"EVENT_NAME_SIGNATURE_REQUEST_DELETED","event_name_raw":"signature_request.deleted",
				"topic":"TOPIC_SIGNATURE_REQUEST","signature_request_action":"SIGNATURE_REQUEST_ACTION_DELETED",
				"signature_request":{"decline_information":{"reason":"no"}}}`,
		},
		{
			"the reason beside an object under another name",
			`{"event_name":"verification.company.done","data":{"reason":"a","verification":{"id":"b"}}}`,
			`{"event_name":"EVENT_NAME_VERIFICATION_COMPANY_DONE","event_name_raw":"verification.company.done",
				"topic":"TOPIC_VERIFICATION_COMPANY","verification_action":"VERIFICATION_ACTION_DONE",
				"reason":"a","data_reason":"a","company":{"id":"b"}}`,
		},
		{
			"an object under another name, which is also under its own in another spelling",
			`{"event_name":"verification.identity_video.done","data":{"identityVideo":{"id":"a"},"verification":{"id":"b","workspace_id":"c"}}}`,
			`{"event_name":"EVENT_NAME_VERIFICATION_IDENTITY_VIDEO_DONE","event_name_raw":"verification.identity_video.done",
				"topic":"TOPIC_VERIFICATION_IDENTITY_VIDEO","verification_action":"VERIFICATION_ACTION_DONE",
				"workspace_ids":["c"],"identity_video":{"id":"a","workspace_id":"c","rest":{"id":"b"}}}`,
		},
		{
			"the signer's words before the reason beside",
			`{"event_name":"signer.declined","data":{"reason":"b","signature_request":{"decline_information":{"reason":"a"}}}}`,
			`{"event_name":"EVENT_NAME_SIGNER_DECLINED","event_name_raw":"signer.declined","topic":"TOPIC_SIGNER",
				"signer_action":"SIGNER_ACTION_DECLINED","reason":"a","data_reason":"b",
				"signature_request":{"decline_information":{"reason":"a"}}}`,
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, _ := Decode([]byte(c.body))
			want := &yousignv1.Event{}
			if err := protojson.Unmarshal([]byte(c.want), want); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, want) {
				t.Error(cmp.Diff(protojson.Format(want), protojson.Format(got)))
			}
		})
	}
}

func TestEncodeIsDecode(t *testing.T) {
	for name, body := range bodies(t) {
		checkEncode(t, name, body)
	}
	const secret = `{"event_name":"signer.notified","data":{"signer":{"id":"a","signature_link":"https://b"}}}`
	if n := checkEncode(t, "redacted in wire form", []byte(secret)); n != 1 {
		t.Errorf("%d paths are redacted", n)
	}
	const renamed = `{"event_name":"signer.notified","data":{"signer":{"id":"a","signatureLink":"https://b","x":{"Signature-Link":"https://c"}}}}`
	if n := checkEncode(t, "redacted as a message", []byte(renamed)); n != -1 {
		t.Errorf("%d paths are redacted", n)
	}
	for name, body := range map[string]string{
		"no JSON":                                 "x",
		"parts of the envelope in both places":    `{"event_id":"a","x":1,"event_time":{},"metadata":{"event_id":"b","event_name":"signer.done","event_time":7,"y":2},"data":"z"}`,
		"a node under another name, and a reason": `{"event_name":"verification.company.done","data":{"reason":"a","verification":{"id":"b"}}}`,
		"a session without a node":                `{"event_name":"workflow_session.done","data":{"id":"a","reason":"b","x":1}}`,
		"declined":                                `{"event_name":"signature_request.declined","data":{"signature_request":{"decline_information":{"reason":"a"}},"x":1}}`,
	} {
		checkEncode(t, name, []byte(body))
	}
}

// checkEncode holds Encode against Decode, and answers what CheckRedaction does.
func checkEncode(t *testing.T, name string, body []byte) int {
	t.Helper()
	own := bytes.Clone(body)
	want, wantState := Decode(own)
	clear(own) // the message holds nothing of it
	wire, state := Encode([]byte("used before"), body)
	got := &yousignv1.Event{}
	if err := proto.Unmarshal(wire, got); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if state != wantState || !proto.Equal(got, want) {
		t.Errorf("%s: %v, want %v\n%s", name, state, wantState, cmp.Diff(protojson.Format(want), protojson.Format(got)))
	}
	return providertest.CheckRedaction(t, want, wire)
}

func FuzzDecode(f *testing.F) {
	addExamples(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		ev, state := Decode(body)
		wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(ev)
		if err != nil || state == hookstreamv1.DecodeState_DECODE_STATE_UNSPECIFIED {
			t.Errorf("%v, %v", state, err)
		}
		if _, err := protojson.Marshal(ev); err != nil {
			t.Errorf("cannot be shown as JSON: %v", err)
		}
		again, _ := Decode(slices.Clone(body))
		if more, _ := (proto.MarshalOptions{Deterministic: true}).Marshal(again); !bytes.Equal(wire, more) {
			t.Error("the same body made another event")
		}
		checkEncode(t, "fuzzed", body)
	})
}

// The body of usual size is the one that the gateway is measured with.
func BenchmarkDecode(b *testing.B) {
	usual, err := os.ReadFile("../../bench/load/bodies/yousign-1KB.json")
	if err != nil {
		b.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"usual": usual, "signer.done": bodies(b)["signer.done"], "electronic_seal.done": bodies(b)["electronic_seal.done"],
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				Decode(body)
			}
		})
		b.Run("wire/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var wire []byte
			for b.Loop() {
				wire, _ = Encode(wire, body)
			}
		})
	}
}
