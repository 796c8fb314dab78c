package event

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	_ "google.golang.org/protobuf/types/known/structpb"

	optionsv1 "github.com/hookstream/hookstream/gen/hookstream/options/v1"
)

// redactSchema is a provider's schema in small: secrets at every depth, and
// Structs for what the schema does not know.
const redactSchema = `
name: "redact_test.proto" package: "redacttest" syntax: "proto3"
dependency: "google/protobuf/struct.proto"
message_type {
  name: "Event"
  field { name: "id" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "token" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "signer" number: 3 type: TYPE_MESSAGE type_name: ".redacttest.Signer" label: LABEL_OPTIONAL }
  field { name: "documents" number: 4 type: TYPE_MESSAGE type_name: ".redacttest.Document" label: LABEL_REPEATED }
  field { name: "by_role" number: 5 type: TYPE_MESSAGE type_name: ".redacttest.Event.ByRoleEntry" label: LABEL_REPEATED }
  field { name: "rest" number: 6 type: TYPE_MESSAGE type_name: ".google.protobuf.Struct" label: LABEL_OPTIONAL }
  field { name: "anything" number: 7 type: TYPE_MESSAGE type_name: ".google.protobuf.Value" label: LABEL_REPEATED }
  nested_type {
    name: "ByRoleEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".redacttest.Signer" label: LABEL_OPTIONAL }
  }
}
message_type {
  name: "Signer"
  field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "signature_link" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "delegate" number: 3 type: TYPE_MESSAGE type_name: ".redacttest.Signer" label: LABEL_OPTIONAL }
  field { name: "keys" number: 4 type: TYPE_STRING label: LABEL_REPEATED }
}
message_type {
  name: "Document"
  field { name: "title" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
  field { name: "token" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
}
`

// sensitiveInTest are the secrets of the schema and their names in JSON.
var sensitiveInTest = map[protoreflect.FullName]*optionsv1.FieldFacts{
	"redacttest.Event.token":           {Sensitivity: optionsv1.Sensitivity_SENSITIVITY_ACCESS, Json: "verificationToken", JsonAliases: []string{"proofToken"}},
	"redacttest.Document.token":        {Sensitivity: optionsv1.Sensitivity_SENSITIVITY_ACCESS},
	"redacttest.Signer.signature_link": {Sensitivity: optionsv1.Sensitivity_SENSITIVITY_ACCESS},
	"redacttest.Signer.keys":           {Sensitivity: optionsv1.Sensitivity_SENSITIVITY_ACCESS, Json: "session_keys"},
}

func redactTestType(t testing.TB) protoreflect.MessageDescriptor {
	t.Helper()
	file := new(descriptorpb.FileDescriptorProto)
	if err := prototext.Unmarshal([]byte(redactSchema), file); err != nil {
		t.Fatal(err)
	}
	for _, m := range file.MessageType {
		for _, f := range m.Field {
			if facts := sensitiveInTest[protoreflect.FullName("redacttest."+m.GetName()+"."+f.GetName())]; facts != nil {
				f.Options = new(descriptorpb.FieldOptions)
				proto.SetExtension(f.Options, optionsv1.E_Field, facts)
			}
		}
	}
	fd, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return fd.Messages().ByName("Event")
}

func fromJSON(t testing.TB, d protoreflect.MessageDescriptor, s string) proto.Message {
	t.Helper()
	m := dynamicpb.NewMessage(d)
	if err := protojson.Unmarshal([]byte(s), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestRedact(t *testing.T) {
	d := redactTestType(t)
	for _, c := range []struct {
		name, in, want string
		paths          []string
	}{
		{"nothing to hide", `{"id": "1", "signer": {"name": "n"}, "rest": {"a": 1}}`, `{"id": "1", "signer": {"name": "n"}, "rest": {"a": 1}}`, nil},
		{"at the top", `{"id": "1", "token": "t"}`, `{"id": "1"}`, []string{"token"}},
		{"in a message", `{"signer": {"name": "n", "signature_link": "s"}}`, `{"signer": {"name": "n"}}`, []string{"signer.signature_link"}},
		{
			"in a type that holds itself", `{"signer": {"delegate": {"delegate": {"signature_link": "s"}}}}`,
			`{"signer": {"delegate": {"delegate": {}}}}`,
			[]string{"signer.delegate.delegate.signature_link"},
		},
		{
			"in lists", `{"documents": [{"token": "a"}, {"title": "b"}, {"token": "c"}]}`,
			`{"documents": [{}, {"title": "b"}, {}]}`,
			[]string{"documents[0].token", "documents[2].token"},
		},
		{"a list itself", `{"signer": {"keys": ["a", "b"]}}`, `{"signer": {}}`, []string{"signer.keys"}},
		{"in a map", `{"by_role": {"boss": {"name": "n", "signature_link": "s"}}}`, `{"by_role": {"boss": {"name": "n"}}}`, []string{"by_role.boss.signature_link"}},
		{
			"by name where there is no schema",
			`{"rest": {"a": [{"signatureLink": "s", "b": 1}], "proof_token": "x", "ok": "y", "verificationToken": {"c": 1}, "SESSION-KEYS": []}}`,
			`{"rest": {"a": [{"b": 1}], "ok": "y"}}`,
			[]string{"rest.SESSION-KEYS", "rest.a[0].signatureLink", "rest.proof_token", "rest.verificationToken"},
		},
		{
			"in values of any kind", `{"anything": ["token", {"token": "s"}, [{"Token": "s"}]]}`,
			`{"anything": ["token", {}, [{}]]}`,
			[]string{"anything[1].token", "anything[2][0].Token"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := fromJSON(t, d, c.in)
			redactsTheSame(t, m)
			paths := Redact(m, 0)
			if diff := cmp.Diff(c.paths, paths); diff != "" {
				t.Errorf("paths:\n%s", diff)
			}
			if diff := cmp.Diff(fromJSON(t, d, c.want), m, protocmp.Transform()); diff != "" {
				t.Errorf("message:\n%s", diff)
			}
			if again := Redact(m, 0); again != nil {
				t.Errorf("a second time it found %v", again)
			}
		})
	}
}

// redactsTheSame holds RedactWire against Redact, where it can tell.
func redactsTheSame(t *testing.T, m proto.Message) {
	t.Helper()
	wire, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := proto.Clone(m)
	wantPaths := Redact(want, 0)
	wire, paths, ok := RedactWire(m.ProtoReflect().Descriptor(), wire, 0)
	if !ok {
		return
	}
	got := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(wire, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("in wire form:\n%s", diff)
	}
	if diff := cmp.Diff(wantPaths, paths); diff != "" {
		t.Errorf("paths in wire form:\n%s", diff)
	}
}

// What RedactWire cannot tell, and what it must not be misled by.
func TestRedactWire(t *testing.T) {
	d := redactTestType(t)
	marshal := func(s string) []byte {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(fromJSON(t, d, s))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	long := strings.Repeat("n", 200)
	for _, c := range []struct {
		name, want string
		in         []byte
		paths      []string
		ok         bool
	}{
		{
			"bytes in another order", `{"id": "1", "signer": {"name": "n"}}`,
			slices.Concat(marshal(`{"signer": {"signature_link": "s", "name": "n"}}`), marshal(`{"token": "t"}`), marshal(`{"id": "1"}`)),
			[]string{"token", "signer.signature_link"},
			true,
		},
		{
			"a length that needs fewer bytes", `{"signer": {"name": "n", "delegate": {}}, "id": "2"}`,
			slices.Concat(marshal(`{"signer": {"name": "n", "delegate": {"signature_link": "`+long+`"}}}`), marshal(`{"id": "2"}`)),
			[]string{"signer.delegate.signature_link"},
			true,
		},
		{
			"a list in several places", `{"documents": [{}, {}, {"title": "b"}], "id": "1"}`,
			slices.Concat(marshal(`{"documents": [{"token": "t"}]}`), marshal(`{"id": "1"}`), marshal(`{"documents": [{"token": "u"}, {"title": "b"}]}`)),
			[]string{"documents[0].token", "documents[1].token"},
			true,
		},
		{"sensitive, sent twice", `{}`, slices.Concat(marshal(`{"token": "t"}`), marshal(`{"token": "u"}`)), []string{"token"}, true},
		{"fields in another order", `{"signer": {}}`, []byte{0x1a, 9, 0x22, 1, 'k', 0x12, 1, 's', 0x22, 1, 'l'}, []string{"signer.signature_link", "signer.keys"}, true},
		{"sensitive and empty", `{"id": "1"}`, slices.Concat([]byte{0x12, 0}, marshal(`{"id": "1"}`)), nil, true},
		{"a message in parts", ``, slices.Concat(marshal(`{"signer": {"name": "a"}}`), marshal(`{"signer": {"signature_link": "s"}}`)), nil, false},
		{"a name without a schema", ``, marshal(`{"rest": {"a": [{"b": {"Proof-Token": "s"}}]}}`), nil, false},
		{
			"content without a schema", `{"rest": {"a": [{"b": {"token_type": "s"}}, null], "c": 1}}`,
			marshal(`{"rest": {"a": [{"b": {"token_type": "s"}}, null], "c": 1}, "token": "t"}`),
			[]string{"token"},
			true,
		},
		{"content that cannot be read", ``, []byte{0x32, 3, 0x0a, 9, 's'}, nil, false},
		{"in a list too", ``, marshal(`{"anything": [{"token": "s"}]}`), nil, false},
		{"a map", ``, marshal(`{"by_role": {"boss": {"signature_link": "s"}}}`), nil, false},
		{"cut short", ``, marshal(`{"signer": {"signature_link": "s"}}`)[:4], nil, false},
		{"cut short within", ``, []byte{0x1a, 3, 0x12, 9, 's'}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			wire, paths, ok := RedactWire(d, c.in, 0)
			if ok != c.ok {
				t.Fatalf("ok is %v", ok)
			}
			if !ok {
				return
			}
			got := dynamicpb.NewMessage(d)
			if err := proto.Unmarshal(wire, got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(fromJSON(t, d, c.want), proto.Message(got), protocmp.Transform()); diff != "" {
				t.Errorf("message:\n%s", diff)
			}
			if diff := cmp.Diff(c.paths, paths); diff != "" {
				t.Errorf("paths:\n%s", diff)
			}
		})
	}
}

func BenchmarkRedact(b *testing.B) {
	d := redactTestType(b)
	m := fromJSON(b, d, `{"id": "1", "signer": {"name": "n"}, "documents": [{"title": "b"}, {"title": "c"}], "rest": {"a": {"b": 1}}}`)
	for b.Loop() {
		Redact(m, 0)
	}
}

// What is nested too deep for a message is kept as text: a secret in it is withheld
// all the same, however it is written and however deep.
func TestRedactText(t *testing.T) {
	d := redactTestType(t)
	deep := strings.Repeat(`{"a":[`, 5000) + `{"signature_link":"SECRET"}` + strings.Repeat(`]}`, 5000)
	again := `{"signature_link":"SECRET"}`
	for range 4 {
		quoted, _ := json.Marshal(map[string]string{"text": again})
		again = string(quoted)
	}
	for why, text := range map[string]string{
		"an object":          `{"x":{"signature_link":"SECRET"}}`,
		"a list":             ` [1,{"signatureLink" : "SECRET"}]`,
		"an escaped key":     `{"signature\u005flink":"SECRET"}`,
		"another's name":     `{"a":"\"","proof_token":"SECRET"}`,
		"deep":               deep,
		"cut":                deep[:len(deep)-100],
		"text within text":   again,
		"after odd escapes":  `{"a\\":"\\\\","Session-Keys":["SECRET"]}`,
		"a key with a quote": `{"a\"":1,"signature_link":"SECRET"}`,
	} {
		in, err := json.Marshal(map[string]any{"rest": map[string]any{"a": text, "ok": "{}", "l": []any{"x", text, "y"}}, "anything": []any{text, 1}})
		if err != nil {
			t.Fatal(err)
		}
		m := fromJSON(t, d, string(in))
		wire, _ := proto.Marshal(m)
		if _, _, ok := RedactWire(d, wire, 0); ok {
			t.Errorf("%s: RedactWire does not notice", why)
		}
		paths := Redact(m, 0)
		want := fromJSON(t, d, `{"rest": {"ok": "{}", "l": ["x", null, "y"]}, "anything": [null, 1]}`)
		if diff := cmp.Diff(want, m, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %.500s", why, diff)
		}
		if diff := cmp.Diff([]string{"rest.a", "rest.l[1]", "anything[0]"}, paths); diff != "" {
			t.Errorf("%s: %s", why, diff)
		}
	}
	for _, text := range []string{
		"", "{", "[]", `{"a":"signature_link"}`, `["signature_link"]`, `{"a":["signature_link",1]}`, "signature_link: x", `{"signature_link_count":1}`, `{"a":"signature_link\":1"}`,
	} {
		in, _ := json.Marshal(map[string]any{"rest": map[string]any{"a": text}})
		m := fromJSON(t, d, string(in))
		wire, _ := proto.Marshal(m)
		if _, _, ok := RedactWire(d, wire, 0); !ok || Redact(m, 0) != nil {
			t.Errorf("%q is withheld", text)
		}
	}
}
