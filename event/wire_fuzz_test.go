package event_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// FuzzWire: what is written by hand is what the generated code makes of the same
// message, of any event in any view, in a delivery of a stream or of a subscription.
func FuzzWire(f *testing.F) {
	f.Add([]byte{})
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		seed := make([]byte, 1+rnd.IntN(3000))
		for i := range seed {
			seed[i] = byte(rnd.Uint32())
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &dice{left: data}
		var handed, streamed batch
		for range 1 + d.roll(3) {
			e, raw := d.kept()
			view, want := d.view(t, e, raw)
			c := event.Cursor{Incarnation: 3, Seq: 1 + uint64(d.roll(200)), Time: time.Unix(int64(d.roll(200)), 5)}
			element := view.Delivery(c)
			streamed.add(element, &hookstreamv1.Delivery{Cursor: c.String(), Event: want})
			h, delivery := d.handed(t)
			content := append(bytes.Clone(event.DeliveryContent(element)), h...)
			delivery.Cursor, delivery.Event = c.String(), want
			handed.add(append(event.AppendDeliveryHead(nil, len(content)), content...), delivery)
			if n := event.DeliverySize(len(content)); n != len(handed.last) {
				t.Errorf("a delivery of %d bytes is said to have %d", len(handed.last), n)
			}
		}
		handed.check(t, nil)
		streamed.check(t, &event.Cursor{Incarnation: 3, Seq: uint64(d.roll(200))})
	})
}

// A batch is one in wire form, and as a message.
type batch struct {
	wire, last []byte
	message    hookstreamv1.DeliveryBatch
}

func (b *batch) add(element []byte, d *hookstreamv1.Delivery) {
	b.last, b.wire = element, append(b.wire, element...)
	b.message.Deliveries = append(b.message.Deliveries, d)
}

func (b *batch) check(t *testing.T, c *event.Cursor) {
	t.Helper()
	want := &hookstreamv1.SubscribeResponse{Frame: &hookstreamv1.SubscribeResponse_Batch{Batch: &b.message}}
	var out []byte
	if c != nil {
		want.Cursor = c.String()
		out = event.AppendResponseCursor(out, *c)
	}
	out = append(event.AppendBatchHead(out, len(b.wire)), b.wire...)
	if len(out)-len(b.wire) > event.ResponseHeadSize {
		t.Errorf("a head of %d bytes", len(out)-len(b.wire))
	}
	same(t, want, new(hookstreamv1.SubscribeResponse), out)
}

// same says that wire is the message: in as many bytes, whatever their order.
func same(t *testing.T, want, got proto.Message, wire []byte) {
	t.Helper()
	if err := proto.Unmarshal(wire, got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(want, got) {
		t.Errorf("not the message:\n%s", cmp.Diff(want, got, protocmp.Transform()))
	}
	if n := proto.Size(want); n != len(wire) {
		t.Errorf("%d bytes, and the generated code makes %d", len(wire), n)
	}
}

// dice make messages of what a fuzzer says. At the end of it they show 0.
type dice struct{ left []byte }

// roll answers 0 to n.
func (d *dice) roll(n int) int {
	if len(d.left) == 0 {
		return 0
	}
	v := int(d.left[0]) % (n + 1)
	d.left = d.left[1:]
	return v
}

// kept are an event and its request as they may be kept; the request may be nil.
func (d *dice) kept() (*hookstreamv1.Event, *hookstreamv1.RawRequest) {
	e, raw := new(hookstreamv1.Event), new(hookstreamv1.RawRequest)
	d.fill(e.ProtoReflect(), 3)
	d.fill(raw.ProtoReflect(), 2)
	e.Name, e.Payload, e.Raw = "", nil, nil
	if e.ImportTime != nil { // it has the name that it had
		e.Name = event.Name(9, uint64(1+d.roll(200)))
	}
	if e.Type == e.Topic+"." { // of old, and mended: TestTypeWithoutActionHasNoDot
		e.Type = ""
	}
	if d.roll(3) == 3 {
		raw = nil
	}
	return e, raw
}

// view keeps the event and shows it again, in pieces and as the message that they
// must be.
func (d *dice) view(t *testing.T, e *hookstreamv1.Event, raw *hookstreamv1.RawRequest) (event.View, *hookstreamv1.Event) {
	t.Helper()
	data, err := event.Encode(e, raw)
	if err != nil {
		t.Fatal(err)
	}
	whole := proto.CloneOf(e)
	whole.Raw = raw
	plain, err := proto.MarshalOptions{Deterministic: true}.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if form, ok := bytes.CutPrefix(data, formNow); !ok || !bytes.Equal(form, plain) {
		t.Errorf("%v\nis kept as %x\nand made  %x", whole, data, plain)
	}
	parts, err := event.Split(data)
	if err != nil {
		t.Fatal(err)
	}
	if got := event.EntityOf(parts.Meta); got != e.Entity || !bytes.Equal(parts.Body(), raw.GetBody()) {
		t.Errorf("entity %q, body %q", got, parts.Body())
	}
	v := event.View{Name: event.Name(3, uint64(1+d.roll(200))), Meta: parts.Meta}
	want := proto.CloneOf(e)
	want.Proof = nil
	if string(parts.Name) != e.Name {
		t.Errorf("named %q, want %q", parts.Name, e.Name)
	}
	if want.Name == "" {
		want.Name = v.Name
	} else {
		v.Name = ""
	}
	if d.roll(1) == 1 {
		v.Raw, want.Raw = parts.Raw, raw
	}
	if d.roll(1) == 1 {
		v.Proof, want.Proof = parts.Proof, e.Proof
	}
	if want.DecodeState == 0 { // it is kept of what has no payload to decode
		v.State = hookstreamv1.DecodeState(d.roll(4))
		want.DecodeState = v.State
	}
	for range d.roll(2) {
		v.Redacted, v.Omitted = append(v.Redacted, d.text()), append(v.Omitted, d.text())
	}
	want.RedactedFields, want.OmittedFields = append(want.RedactedFields, v.Redacted...), append(want.OmittedFields, v.Omitted...)
	d.payload(t, &v, want)
	b := v.AppendTo(nil)
	if len(b) != v.Size() {
		t.Errorf("a view of %d bytes is said to have %d", len(b), v.Size())
	}
	same(t, want, new(hookstreamv1.Event), b)
	return v, want
}

// payload gives the view a payload, or none. What of it is sensitive is withheld
// from the bytes and from the message.
func (d *dice) payload(t *testing.T, v *event.View, want *hookstreamv1.Event) {
	t.Helper()
	fields := want.ProtoReflect().Descriptor().Oneofs().ByName("payload").Fields()
	chosen := d.roll(fields.Len())
	if chosen == fields.Len() {
		return
	}
	f := fields.Get(chosen)
	m := want.ProtoReflect().Mutable(f).Message()
	if f.Message().FullName() != "google.protobuf.Any" { // whose content would be another message's
		d.fill(m, 4)
	}
	b, err := proto.Marshal(m.Interface())
	if err != nil {
		t.Fatal(err)
	}
	shown := event.Kinds(d.roll(int(event.AllKinds)))
	redacted, paths, ok := event.RedactWire(f.Message(), bytes.Clone(b), shown)
	if !ok {
		redacted, paths = b, nil
	} else if wantPaths := event.Redact(m.Interface(), shown); !cmp.Equal(wantPaths, paths) {
		t.Errorf("withheld %q, and of the message %q", paths, wantPaths)
	}
	v.PayloadField, v.Payload = f.Number(), redacted
	v.Redacted, want.RedactedFields = append(v.Redacted, paths...), append(want.RedactedFields, paths...)
}

// handed is what a subscription says of a delivery, which is written byte for byte
// as the generated code would.
func (d *dice) handed(t *testing.T) ([]byte, *hookstreamv1.Delivery) {
	t.Helper()
	h := event.Handed{
		AckToken: d.text(), Attempt: d.roll(200), HandOut: int64(d.roll(200)), Replayed: d.roll(1) == 1,
		Deadline: time.Unix(int64(d.roll(200))<<d.roll(24), int64(d.roll(200))<<d.roll(21)),
		Replay:   d.text(),
	}
	want := &hookstreamv1.Delivery{
		AckToken: h.AckToken, Attempt: int32(h.Attempt), HandOut: h.HandOut, Replayed: h.Replayed, Replay: h.Replay, AckDeadline: timestamppb.New(h.Deadline),
	}
	plain, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := h.AppendTo(nil)
	if !bytes.Equal(got, plain) {
		t.Errorf("%v\nbecame %x\nwant   %x", want, got, plain)
	}
	return got, want
}

// text is one of any length, most of them short.
func (d *dice) text() string {
	return strings.Repeat([]string{"a", "ä", "☂", "x."}[d.roll(3)], d.roll(3)*d.roll(3)*d.roll(60))
}

// fill sets some fields of a message, and of those within, so deep.
func (d *dice) fill(m protoreflect.Message, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		if len(d.left) == 0 {
			return
		}
		if f := m.Descriptor().Fields().Get(i); d.roll(2) > 0 && (f.Message() == nil || depth > 0) {
			d.set(m, f, depth)
		}
	}
}

func (d *dice) set(m protoreflect.Message, f protoreflect.FieldDescriptor, depth int) {
	switch {
	case f.IsMap():
		key, value := protoreflect.ValueOfString(d.text()).MapKey(), m.Mutable(f).Map().NewValue()
		if f.MapKey().Kind() == protoreflect.StringKind {
			m.Mutable(f).Map().Set(key, d.value(f.MapValue(), value, depth))
		}
	case f.IsList():
		for range d.roll(2) {
			m.Mutable(f).List().Append(d.value(f, m.Mutable(f).List().NewElement(), depth))
		}
	default:
		m.Set(f, d.value(f, m.NewField(f), depth))
	}
}

// value answers one of a field's, of which zero is at hand.
func (d *dice) value(f protoreflect.FieldDescriptor, zero protoreflect.Value, depth int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind:
		d.fill(zero.Message(), depth-1)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(d.text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{0xff}, d.roll(200)*d.roll(40)))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(d.roll(1) == 1)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(d.roll(4)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(d.roll(200)-100) << d.roll(24))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(d.roll(200)-100) << d.roll(56))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(d.roll(200)))
	}
	return zero // of kinds that no event has, and where zero will do
}
