package event_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// What Encode writes is what proto.Marshal would, whatever fields an event has: of
// the schema, not of those that somebody thought of here.
func TestEncodeIsMarshal(t *testing.T) {
	full, raw := new(hookstreamv1.Event), new(hookstreamv1.RawRequest)
	fill(full.ProtoReflect(), 1)
	fill(raw.ProtoReflect(), 1)
	full.Name, full.Payload, full.Raw = "", nil, nil
	for _, e := range append(eachAlone(full), full, new(hookstreamv1.Event)) {
		for _, r := range append(eachAlone(raw), raw, nil, new(hookstreamv1.RawRequest)) {
			got, err := event.Encode(e, r)
			if err != nil {
				t.Fatal(err)
			}
			want := proto.CloneOf(e)
			want.Raw = r
			plain, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if form, ok := bytes.CutPrefix(got, formNow); !ok || !bytes.Equal(form, plain) {
				t.Errorf("%v\nbecame %x\nwant   %x", want, got, plain)
			}
			if cap(got)-len(got) < event.Spare {
				t.Errorf("no room behind %v", want)
			}
		}
	}
}

// formNow stands before every event that is kept: field 40 and event.Form.
var formNow = protowire.AppendVarint(protowire.AppendTag(nil, 40, protowire.VarintType), event.Form)

// What was kept before there were forms: written by the gateway of that day.
func TestRecordsOfBefore(t *testing.T) {
	kept, err := os.ReadFile("testdata/record.0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := event.Split(kept)
	if err != nil || string(p.Type) != "signer.done" || string(p.Body()) != `{"event_name":"signer.done"}` || p.Proof != nil {
		t.Errorf("%+v, %v", p, err)
	}
	e, err := event.Decode(3, event.Record{Seq: 1, Data: kept})
	if err != nil || e.GetVerification().GetState() != hookstreamv1.Verification_STATE_VERIFIED || e.GetProof() != nil {
		t.Errorf("%v, %v", e, err)
	}
}

// A gateway of before reads what is kept today: it takes the form for a field that
// it does not know, and the proof for a part of what follows the body.
func TestRecordsForGatewaysOfBefore(t *testing.T) {
	e, raw := sample()
	data, err := event.Encode(e, raw)
	if err != nil {
		t.Fatal(err)
	}
	got := new(hookstreamv1.Event)
	if err := proto.Unmarshal(data, got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.ProtoReflect().GetUnknown()); n != len(formNow) {
		t.Errorf("%d bytes are not known", n)
	}
	got.ProtoReflect().SetUnknown(nil)
	e.Raw = raw
	if !proto.Equal(e, got) {
		t.Errorf("%v", got)
	}
}

// A record of a form to come is told from one that is damaged, and is no event
// here.
func TestRecordsOfFormsToCome(t *testing.T) {
	next := protowire.AppendVarint(protowire.AppendTag(nil, 40, protowire.VarintType), event.Form+1)
	for _, tail := range []string{"", "\x12\x01s", "\xff\xff"} {
		data := append(bytes.Clone(next), tail...)
		if _, err := event.Split(data); !errors.Is(err, event.ErrRecordNewer) || !errors.Is(err, event.ErrRecordInvalid) {
			t.Errorf("%x: %v", data, err)
		}
		if _, err := event.Decode(3, event.Record{Seq: 1, Data: data}); !errors.Is(err, event.ErrRecordNewer) {
			t.Errorf("%x: %v", data, err)
		}
	}
}

// fill sets every field that is not in a oneof of messages, two elements to a list;
// depth tells values apart.
func fill(m protoreflect.Message, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		f := m.Descriptor().Fields().Get(i)
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			continue
		}
		if f.IsList() {
			l := m.Mutable(f).List()
			for j := range 2 {
				v := l.NewElement()
				if f.Message() != nil {
					fill(v.Message(), depth+1)
				} else {
					v = scalar(f, depth+j)
				}
				l.Append(v)
			}
			continue
		}
		if f.Message() != nil {
			fill(m.Mutable(f).Message(), depth+1)
			continue
		}
		m.Set(f, scalar(f, depth))
	}
}

func scalar(f protoreflect.FieldDescriptor, n int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(strings.Repeat("ä", 50*n) + string(f.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{0xff}, 9000))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(2)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(-int32(n) - int32(f.Number()))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(-int64(n) - int64(f.Number()))
	}
	panic("a field of a kind that no event had: " + f.FullName())
}

// eachAlone answers messages that have one field of m each, and such that have all
// but zeroes in it.
func eachAlone[M proto.Message](m M) []M {
	var all []M
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		alone := m.ProtoReflect().New()
		alone.Set(f, v)
		all = append(all, alone.Interface().(M))
		empty := m.ProtoReflect().New()
		switch {
		case f.IsList():
			l := empty.Mutable(f).List()
			l.Append(l.NewElement())
		case f.Message() != nil || f.HasPresence():
			empty.Set(f, empty.NewField(f))
		}
		all = append(all, empty.Interface().(M))
		return true
	})
	return all
}

func TestEncodeRefusesTextThatIsNot(t *testing.T) {
	const bad = "\xff"
	for _, e := range []*hookstreamv1.Event{
		{Source: bad},
		{TraceParent: bad},
		{RedactedFields: []string{bad}},
		{Verification: &hookstreamv1.Verification{Reason: bad}},
	} {
		if _, err := event.Encode(e, nil); err == nil {
			t.Errorf("%v was encoded", e)
		}
	}
	for _, r := range []*hookstreamv1.RawRequest{
		{ContentType: bad}, {Headers: []*hookstreamv1.RawRequest_Header{{Value: bad}}},
	} {
		if _, err := event.Encode(new(hookstreamv1.Event), r); err == nil {
			t.Errorf("%v was encoded", r)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	e, raw := sample()
	raw.Body = bytes.Repeat([]byte("x"), 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Encode(e, raw); err != nil {
			b.Fatal(err)
		}
	}
}

// A type without an action had a dot at its end once, and is kept so in logs.
func TestTypeWithoutActionHasNoDot(t *testing.T) {
	for _, c := range []struct{ topic, action, kept, want string }{
		{"ping", "", "ping.", "ping"},
		{"ping", "", "ping", "ping"},
		{"a.b", "", "a.b.", "a.b"},
		{"a.", "", "a.", "a."}, // today's, of a topic that ends so
		{"", "", ".", ""},
		{"", "", "", ""},
		{"", "x", ".x", ".x"},
		{"a", "b", "a.b", "a.b"},
	} {
		if got := event.JoinType(c.topic, c.action); got != c.want {
			t.Errorf("JoinType(%q, %q) = %q, want %q", c.topic, c.action, got, c.want)
		}
		for _, raw := range []*hookstreamv1.RawRequest{nil, {Body: []byte("{}")}} {
			data, err := event.Encode(&hookstreamv1.Event{Source: "sources/s", Topic: c.topic, Action: c.action, Type: c.kept, Entity: "e/1"}, raw)
			if err != nil {
				t.Fatal(err)
			}
			before := slices.Clone(data[:cap(data)])
			parts, err := event.Split(data)
			if err != nil {
				t.Fatal(err)
			}
			if string(parts.Type) != c.want {
				t.Errorf("Split: type %q of a kept %q, want %q", parts.Type, c.kept, c.want)
			}
			view := new(hookstreamv1.Event)
			if err := proto.Unmarshal(append(slices.Clip(parts.Meta), parts.Raw...), view); err != nil {
				t.Fatal(err)
			}
			if view.Type != c.want || view.Entity != "e/1" || string(view.GetRaw().GetBody()) != string(raw.GetBody()) {
				t.Errorf("a view of a kept %q: %v, want type %q", c.kept, view, c.want)
			}
			if e, err := event.Decode(1, event.Record{Seq: 1, Data: data}); err != nil || e.Type != c.want {
				t.Errorf("Decode: %v, %v, want type %q", e, err, c.want)
			}
			if !slices.Equal(before, data[:cap(data)]) {
				t.Error("the record was changed")
			}
		}
	}
	for _, pattern := range []string{"ping", "ping.", "*", "p*g"} {
		if !event.CompilePatterns([]string{pattern}).Match("ping") {
			t.Errorf("%q does not match ping", pattern)
		}
	}
}
