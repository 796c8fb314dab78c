package ignisign

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/lenient"
	"github.com/hookstream/hookstream/provider/lenient/lenienttest"
	"github.com/hookstream/hookstream/provider/providertest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden is what is on file for an example.
func golden(t *testing.T, event *ignisignv1.Event, state hookstreamv1.DecodeState) []byte {
	t.Helper()
	body, err := protojson.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	// The white space of protojson differs from build to build, on purpose.
	out, err := json.MarshalIndent(map[string]any{"decodeState": state.String(), "event": json.RawMessage(body)}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

func TestGolden(t *testing.T) {
	names := exampleNames()
	for _, name := range names {
		body, _ := example(name)
		got := golden(t, first(Decode(body)), second(Decode(body)))
		file := filepath.Join("testdata", "golden", name+".json")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	files, err := filepath.Glob("testdata/golden/*.json")
	if err != nil || len(files) != len(names) {
		t.Errorf("%d golden files for %d examples", len(files), len(names))
	}
}

func first(event *ignisignv1.Event, _ hookstreamv1.DecodeState) *ignisignv1.Event { return event }

func second(_ *ignisignv1.Event, state hookstreamv1.DecodeState) hookstreamv1.DecodeState {
	return state
}

// Nothing that was sent is lost: every leaf of every example is in the message.
func TestCoverage(t *testing.T) {
	for _, name := range exampleNames() {
		body, _ := example(name)
		event, _ := Decode(body)
		for _, leaf := range lenienttest.Missing(body, event) {
			t.Errorf("%s lost %s", name, leaf)
		}
	}
}

// indexEntry is what the collectors of the examples say of one.
type indexEntry struct {
	File, Topic, Action, MsgNature  string
	CanonicalTopic, CanonicalAction string
	ContentShape                    *string
}

func TestIndex(t *testing.T) {
	text, err := os.ReadFile("testdata/examples-index.json")
	if err != nil {
		t.Fatal(err)
	}
	var index []indexEntry
	if err := json.Unmarshal(text, &index); err != nil {
		t.Fatal(err)
	}
	if len(index) != 62 {
		t.Errorf("%d entries", len(index))
	}
	for _, entry := range index {
		body, err := example(strings.TrimSuffix(entry.File, ".json"))
		if err != nil {
			t.Errorf("%s: %v", entry.File, err)
			continue
		}
		event, state := Decode(body)
		checkEntry(t, entry, event, state)
	}
}

func checkEntry(t *testing.T, entry indexEntry, event *ignisignv1.Event, state hookstreamv1.DecodeState) {
	if event.GetTopicRaw() != entry.Topic || event.GetActionRaw() != entry.Action || event.GetMsgNatureRaw() != entry.MsgNature {
		t.Errorf("%s: raw names %s %s %s", entry.File, event.GetTopicRaw(), event.GetActionRaw(), event.GetMsgNatureRaw())
	}
	shape := ""
	if entry.ContentShape != nil {
		shape = *entry.ContentShape
	}
	if got := shapeOf(event); got != shape {
		t.Errorf("%s: content %s, want %s", entry.File, got, shape)
	}
	if shape == "unknown" {
		if action := actionField(event); state != hookstreamv1.DecodeState_DECODE_STATE_UNKNOWN_TYPE || action != nil {
			t.Errorf("%s: %v with the action %v", entry.File, state, action)
		}
		return
	}
	if state != hookstreamv1.DecodeState_DECODE_STATE_COMPLETE {
		t.Errorf("%s: %v", entry.File, state)
	}
	topic := lenient.EnumWire(topicDesc, event.GetTopic().Number())
	if action := typedAction(event); topic != entry.CanonicalTopic || action != entry.CanonicalAction {
		t.Errorf("%s: canonical %s.%s", entry.File, topic, action)
	}
}

// shapeOf names the content as the index does.
func shapeOf(event *ignisignv1.Event) string {
	switch c := event.GetContent().(type) {
	case nil:
		return ""
	case *ignisignv1.Event_UnknownContent:
		return "unknown"
	case *ignisignv1.Event_SignatureSignerImage:
		return "signature_image"
	case *ignisignv1.Event_SignatureProof:
		if c.SignatureProof.Documents != nil {
			return "signature_proof.success"
		}
		return "signature_proof.flat"
	}
	m := event.ProtoReflect()
	return string(m.WhichOneof(eventDesc.Oneofs().ByName("content")).Name())
}

func actionField(event *ignisignv1.Event) protoreflect.FieldDescriptor {
	return event.ProtoReflect().WhichOneof(eventDesc.Oneofs().ByName("action"))
}

// typedAction is the canonical name of the typed action.
func typedAction(event *ignisignv1.Event) string {
	field := actionField(event)
	if field == nil {
		return ""
	}
	return lenient.EnumWire(field.Enum(), event.ProtoReflect().Get(field).Enum())
}

// Names that have never been seen together with others, from the sheet of facts.
func TestAliases(t *testing.T) {
	for _, c := range []struct{ topic, action, want string }{
		{"APPLICATION", "ARCHIVED", "APP.ARCHIVED"},
		{"SIGNATURE_IMAGE", "FAILED", "SIGNATURE_SIGNER_IMAGE.FAILED"},
		{"SIGNER_ID_PROOFING", "LAUNCHED", "ID_PROOFING.LAUNCHED"},
		{"SIGNATURE", "SIGNATURE_SUCCESS", "SIGNATURE.FINALIZED"},
		{"SIGNATURE", "CREATED", "SIGNATURE.FINALIZED"},
		{"SIGNATURE", "SIGNATURE_FAILED", "SIGNATURE.FAILED"},
		{"SIGNATURE_REQUEST", "INIT", "SIGNATURE_REQUEST.INITIALIZED"},
		{"SIGNATURE_REQUEST", "UPDATE", "SIGNATURE_REQUEST.UPDATED"},
		{"SIGNATURE_REQUEST", "CHILDREN_GERENATED", "SIGNATURE_REQUEST.CHILDREN_GENERATED"},
		{"SIGNER", "CLAIM_UPDATED", "SIGNER.INPUTS_ADDED"},
		{"SIGNER", "CLAIMS_UPDATED", "SIGNER.INPUTS_ADDED"},
		{"SIGNATURE_SESSION", "STARTED", "SIGNATURE_SESSION.INITIALIZED"},
		{"SIGNATURE_PROOF", "SIGNATURE_PROOF_GENERATED", "SIGNATURE_PROOF.GENERATED"},
		{"SIGNATURE_PROOF", "ADVANCED_PROOF_GENERATED", "SIGNATURE_PROOF.ADV_GENERATED"},
		// One topic's name for an action means nothing in another.
		{"SIGNER", "INIT", "SIGNER."},
		{"APP", "FINALIZED", "APP."},
		// No certain counterpart: never guessed.
		{"SIGNATURE_REQUEST", "PUBLISH", "SIGNATURE_REQUEST.PUBLISH"},
		{"SIGNATURE_REQUEST", "CLOSED", "SIGNATURE_REQUEST.CLOSED"},
		// Withdrawn topics, and what only looks like a name.
		{"DOCUMENT", "X", "."},
		{"PDF", "X", "."},
		{"SIGNER_KEY", "X", "."},
		{"ALL", "ALL", "."},
		{"UNSPECIFIED", "UNSPECIFIED", "."},
		{"app", "archived", "."},
	} {
		event, _ := Decode([]byte(`{"topic":"` + c.topic + `","action":"` + c.action + `"}`))
		got := lenient.EnumWire(topicDesc, event.GetTopic().Number()) + "." + typedAction(event)
		if got != c.want {
			t.Errorf("%s.%s: got %s, want %s", c.topic, c.action, got, c.want)
		}
	}
}

func TestDecode(t *testing.T) {
	const envelope = `"topic":"SIGNATURE_REQUEST","action":"LAUNCHED"`
	for _, c := range []struct {
		why, body string
		state     hookstreamv1.DecodeState
		want      string // of the event, without the envelope above
	}{
		{"not JSON", `x`, failed, `{}`},
		{"not an object", `[]`, failed, `{}`},
		{"no action", `{"topic":"SIGNER","content":{"signerId":"s"}}`, failed, `{"topic":"TOPIC_SIGNER","topicRaw":"SIGNER","signer":{"signerId":"s"}}`},
		{"no content", `{` + envelope + `}`, complete, `{}`},
		{"null content", `{` + envelope + `,"content":null}`, complete, `{}`},
		{"empty content", `{` + envelope + `,"content":{}}`, complete, `{"signatureRequest":{}}`},
		{"content of another kind", `{` + envelope + `,"content":["x"]}`, partial, `{"rest":{"content":["x"]}}`},
		{
			"the first content counts", `{` + envelope + `,"content":{"status":"READY"},"content":{"status":"DRAFT"}}`, partial,
			`{"signatureRequest":{"status":"SIGNATURE_REQUEST_STATUS_READY","statusRaw":"READY"}}`,
		},
		{"a null first", `{` + envelope + `,"content":null,"content":{"status":"DRAFT"}}`, partial, `{}`},
		{"a new field", `{` + envelope + `,"content":{"new":1}}`, partial, `{"signatureRequest":{"rest":{"new":1}}}`},
		{"a new field of the envelope", `{` + envelope + `,"sentAt":"now"}`, partial, `{"rest":{"sentAt":"now"}}`},
		{
			"our names are not Ignisign's", `{` + envelope + `,"app_id":"x","content":{"signature_request_id":"y","signers_by_side":[{}]}}`, partial,
			`{"rest":{"app_id":"x"},"signatureRequest":{"rest":{"signature_request_id":"y","signers_by_side":[{}]}}}`,
		},
		{"an older name", `{` + envelope + `,"content":{"externalId":"e"}}`, complete, `{"signatureRequest":{"signatureRequestExternalId":"e"}}`},
		{"a new status", `{` + envelope + `,"content":{"status":"ODD"}}`, complete, `{"signatureRequest":{"statusRaw":"ODD"}}`},
		{
			"groups", `{` + envelope + `,"content":{"signers":{"signersBySide":[{"signerId":"a"}],"signersEmbedded":[{"signerId":"b","token":"t"}]}}}`, complete,
			`{"signatureRequest":{"signersBySide":[{"signerId":"a"}],"signersEmbedded":[{"signerId":"b","token":"t"}]}}`,
		},
		{
			"one group", `{` + envelope + `,"content":{"signers":{"signersEmbedded":[{"signerId":"b"}]}}}`, complete,
			`{"signatureRequest":{"signersEmbedded":[{"signerId":"b"}]}}`,
		},
		{
			"groups of what is no signature request", `{"topic":"SIGNER","action":"CREATED","content":{"signerId":"s","signers":{"signersBySide":[]}}}`, partial,
			`{"topic":"TOPIC_SIGNER","topicRaw":"SIGNER","actionRaw":"CREATED","signerAction":"SIGNER_ACTION_CREATED",
			"signer":{"signerId":"s","rest":{"signers":{"signersBySide":[]}}}}`,
		},
		{"no groups", `{` + envelope + `,"content":{"signers":{}}}`, complete, `{"signatureRequest":{}}`},
		{
			"a group within and beside", `{` + envelope + `,"content":{"signersBySide":[{"signerId":"a"}],"signers":{"signersBySide":[{"signerId":"b"}]}}}`, partial,
			`{"signatureRequest":{"signersBySide":[{"signerId":"a"}],"signersRest":{"signersBySide":[{"signerId":"b"}]}}}`,
		},
		{
			"a new group", `{` + envelope + `,"content":{"signers":{"approvers":[{"token":"t"}]},"x":1}}`, partial,
			`{"signatureRequest":{"signersRest":{"approvers":[{"token":"t"}]},"rest":{"x":1}}}`,
		},
		{"a new field beside groups", `{` + envelope + `,"content":{"signers":{},"x":1}}`, partial, `{"signatureRequest":{"rest":{"x":1}}}`},
		{"a list", `{` + envelope + `,"content":{"signers":[{"signerId":"a"}]}}`, complete, `{"signatureRequest":{"signersUngrouped":[{"signerId":"a"}]}}`},
		{
			"a list with an odd one", `{` + envelope + `,"content":{"signers":[{"signerId":"a"},"b"]}}`, partial,
			`{"signatureRequest":{"signersUngrouped":[{"signerId":"a"}],"rest":{"signers":["b"]}}}`,
		},
		{
			"groups with odd ones", `{` + envelope + `,"content":{"signers":{"signersBySide":[null,{"signerId":"a"},"b"]},"documents":[null]}}`, partial,
			`{"signatureRequest":{"signersBySide":[{"signerId":"a"}],"signersRest":{"signersBySide":[null,"b"]},"rest":{"documents":[null]}}}`,
		},
		{
			"an odd document of a proof", `{"topic":"SIGNATURE_PROOF","action":"GENERATED","content":{"documents":[null,{"token":"t"},7]}}`, partial,
			`{"topic":"TOPIC_SIGNATURE_PROOF","topicRaw":"SIGNATURE_PROOF","actionRaw":"GENERATED","signatureProofAction":"SIGNATURE_PROOF_ACTION_GENERATED",
			"signatureProof":{"documents":[{"token":"t"}],"rest":{"documents":[null,7]}}}`,
		},
		{
			"an unknown action of a known topic", `{"topic":"SIGNER","action":"NEW","content":{"signerId":"s","authSecret":"x"}}`, unknownType,
			`{"topic":"TOPIC_SIGNER","topicRaw":"SIGNER","actionRaw":"NEW","signer":{"signerId":"s","authSecret":"x"}}`,
		},
		{
			"an unknown topic", `{"topic":"NEW","action":"CREATED","content":{"a":{"b":null}}}`, unknownType,
			`{"topicRaw":"NEW","actionRaw":"CREATED","unknownContent":{"a":{"b":null}}}`,
		},
		{
			"an error", `{` + envelope + `,"error":{"errorCode":"SIGNER_CREATION__SIGNER_ALREADY_EXISTS","message":"m","context":{"a":1}}}`, complete,
			`{"error":{"errorCode":"ERROR_CODE_SIGNER_CREATION_SIGNER_ALREADY_EXISTS","errorCodeRaw":"SIGNER_CREATION__SIGNER_ALREADY_EXISTS","message":"m","context":{"a":1}}}`,
		},
		{
			"an error of another kind", `{` + envelope + `,"error":{"errorCode":"NEW","message":{"a":1},"context":"c"}}`, partial,
			`{"error":{"errorCodeRaw":"NEW","rest":{"message":{"a":1},"context":"c"}}}`,
		},
		{"an error that is text", `{` + envelope + `,"error":"odd"}`, partial, `{"rest":{"error":"odd"}}`},
		{
			"both names of a proof's token", `{"topic":"SIGNATURE_PROOF","action":"GENERATED","content":{"documents":[{"documentProofToken":"old","token":"new"}]}}`, partial,
			`{"topic":"TOPIC_SIGNATURE_PROOF","topicRaw":"SIGNATURE_PROOF","actionRaw":"GENERATED","signatureProofAction":"SIGNATURE_PROOF_ACTION_GENERATED",
			"signatureProof":{"documents":[{"token":"new","rest":{"documentProofToken":"old"}}]}}`,
		},
	} {
		checkEncode(t, []byte(c.body))
		event, state := Decode([]byte(c.body))
		if state != c.state {
			t.Errorf("%s: state %v, want %v", c.why, state, c.state)
		}
		if event.GetTopicRaw() == "SIGNATURE_REQUEST" {
			event.Topic, event.TopicRaw, event.ActionRaw, event.Action = 0, nil, nil, nil
		}
		want := &ignisignv1.Event{}
		if err := protojson.Unmarshal([]byte(c.want), want); err != nil {
			t.Fatal(c.why, err)
		}
		if !proto.Equal(want, event) {
			t.Errorf("%s: got %v, want %v", c.why, event, want)
		}
	}
}

func TestEncodeIsDecode(t *testing.T) {
	redacted := 0
	for _, name := range exampleNames() {
		body, _ := example(name)
		if checkEncode(t, body) > 0 {
			redacted++
		}
	}
	if redacted == 0 {
		t.Error("no example is redacted in wire form: nothing is compared")
	}
}

// checkEncode holds Encode against Decode, and answers what CheckRedaction does.
func checkEncode(t *testing.T, body []byte) int {
	t.Helper()
	own := bytes.Clone(body)
	want, wantState := Decode(own)
	clear(own) // the message holds nothing of it
	wire, state := Encode([]byte("used before"), body)
	got := &ignisignv1.Event{}
	if err := proto.Unmarshal(wire, got); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	if state != wantState || !proto.Equal(got, want) {
		t.Errorf("%s: %v, want %v\n%s", body, state, wantState, cmp.Diff(protojson.Format(want), protojson.Format(got)))
	}
	return providertest.CheckRedaction(t, want, wire)
}

const (
	complete    = hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
	partial     = hookstreamv1.DecodeState_DECODE_STATE_PARTIAL
	unknownType = hookstreamv1.DecodeState_DECODE_STATE_UNKNOWN_TYPE
	failed      = hookstreamv1.DecodeState_DECODE_STATE_FAILED
)

// Decode never fails on what Check lets through, can always be sent on, and shows
// the envelope that was verified.
func FuzzDecode(f *testing.F) {
	for _, name := range exampleNames() {
		body, _ := example(name)
		f.Add(body)
	}
	f.Add([]byte(`{"topic":"SIGNATURE_REQUEST","action":"X","content":{"signers":{"a":1}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		event, state := Decode(body)
		if _, err := proto.Marshal(event); err != nil {
			t.Fatal(err)
		}
		if state == hookstreamv1.DecodeState_DECODE_STATE_UNSPECIFIED {
			t.Error("no state")
		}
		checkEncode(t, body)
		e, err := readEnvelope(body)
		if err != nil || !e.whole {
			return
		}
		if event.GetAppId() != e.appID || event.GetAppEnvRaw() != e.appEnv || event.GetTopicRaw() != e.topic ||
			event.GetActionRaw() != e.action || event.GetMsgNatureRaw() != e.nature || event.GetVerificationToken() != e.token {
			t.Errorf("verified %+v, decoded %v", e, event)
		}
		if state == failed && !slices.Contains([]string{e.appID, e.appEnv, e.topic, e.action}, "") {
			t.Error("an intact envelope failed")
		}
		if !utf8.Valid(body) || ambiguousKeys(gjson.ParseBytes(body)) || !shallow(body) {
			return // what is lost then is said in package lenient
		}
		if missing := lenienttest.Missing(body, event); missing != nil {
			t.Errorf("lost %q", missing)
		}
	})
}

// ambiguousKeys reports whether an object of a document has a key twice, of which
// only the first counts, or an empty one, which Missing does not follow.
func ambiguousKeys(value gjson.Result) bool {
	if !value.IsObject() && !value.IsArray() {
		return false
	}
	found := false
	seen := map[string]bool{"": true}
	value.ForEach(func(key, value gjson.Result) bool {
		if key.Type == gjson.String {
			found = found || seen[key.Str]
			seen[key.Str] = true
		}
		found = found || ambiguousKeys(value)
		return !found
	})
	return found
}

// shallow reports whether a document is nested less deep than Structs hold.
func shallow(body []byte) bool {
	return bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) < 20
}
