package lenient

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Text answers the text that a message in wire form holds in a field, empty when
// it has none.
func Text(wire []byte, field protoreflect.FieldNumber) (text string) {
	EachField(wire, func(number protoreflect.FieldNumber, value []byte) {
		if number == field {
			text = string(FieldContent(value))
		}
	})
	return text
}

// EachField calls f with the fields of a message and their values, of which those
// with a length begin with it.
func EachField(wire []byte, f func(number protoreflect.FieldNumber, value []byte)) {
	for len(wire) > 0 {
		number, typ, tag := protowire.ConsumeTag(wire)
		if tag < 0 {
			return
		}
		size := protowire.ConsumeFieldValue(number, typ, wire[tag:])
		if size < 0 {
			return
		}
		f(number, wire[tag:tag+size])
		wire = wire[tag+size:]
	}
}

// FieldContent answers what is in a value that begins with its length.
func FieldContent(value []byte) []byte {
	content, _ := protowire.ConsumeBytes(value)
	return content
}

// begin starts a message within one. It leaves a byte for the length, which is
// enough for most.
func begin(b []byte, field protoreflect.FieldNumber) (_ []byte, start int) {
	b = append(protowire.AppendTag(b, field, protowire.BytesType), 0)
	return b, len(b)
}

// end writes the length of the message that has begun at start.
func end(b []byte, start int) []byte {
	size := len(b) - start
	if more := protowire.SizeVarint(uint64(size)) - 1; more > 0 {
		var room [9]byte
		b = append(b, room[:more]...)
		copy(b[start+more:], b[start:start+size])
	}
	protowire.AppendVarint(b[:start-1], uint64(size))
	return b
}

func appendMessage(b []byte, field protoreflect.FieldNumber, m proto.Message) []byte {
	b, start := begin(b, field)
	return end(AppendMessage(b, m), start)
}

func appendText(b []byte, field protoreflect.FieldNumber, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), clean(s))
}

func appendVarint(b []byte, field protoreflect.FieldNumber, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

func appendBool(b []byte, field protoreflect.FieldNumber, v bool) []byte {
	return appendVarint(b, field, protowire.EncodeBool(v))
}

func appendTimestamp(b []byte, field protoreflect.FieldNumber, t *timestamppb.Timestamp) []byte {
	b, start := begin(b, field)
	if t.Seconds != 0 {
		b = appendVarint(b, 1, uint64(t.Seconds))
	}
	if t.Nanos != 0 {
		b = appendVarint(b, 2, uint64(t.Nanos))
	}
	return end(b, start)
}

// appendNumber writes the bits of a number as those of a field's kind.
func appendNumber(b []byte, field protoreflect.FieldNumber, kind protoreflect.Kind, n uint64) []byte {
	switch kind {
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		return appendVarint(b, field, protowire.EncodeZigZag(int64(n)))
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.AppendFixed32(protowire.AppendTag(b, field, protowire.Fixed32Type), uint32(n))
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.AppendFixed64(protowire.AppendTag(b, field, protowire.Fixed64Type), n)
	}
	return appendVarint(b, field, n)
}
