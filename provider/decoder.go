package provider

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Decoder turns the bodies of one provider into its typed payload, and holds
// that against the provider's typed selector. Made by NewDecoder.
type Decoder struct {
	// Decode answers the payload of a body, a message of its own that nobody else
	// holds; nil stands for an empty one.
	Decode func(body []byte) (proto.Message, hookstreamv1.DecodeState)
	// Encode answers what Decode does, in wire form and in dst's memory when there
	// is room. nil: there is no quicker way than Decode.
	Encode func(dst, body []byte) ([]byte, hookstreamv1.DecodeState)
	// Match holds a payload, sensitive fields possibly cleared, against a selector.
	Match func(selector, payload proto.Message) bool
	// Payload and Selector are the messages that they are about.
	Payload, Selector protoreflect.FullName
}

// NewDecoder makes a decoder of a provider's two functions, which must be pure,
// never panic and may be called from many goroutines at once. decode answers a
// message of its own that nobody else holds; nil stands for an empty one. match
// is given what decode answered, sensitive fields possibly cleared.
func NewDecoder[E, S proto.Message](decode func(body []byte) (E, hookstreamv1.DecodeState), match func(selector S, payload E) bool) Decoder {
	var e E
	var s S
	return Decoder{
		Decode: func(body []byte) (proto.Message, hookstreamv1.DecodeState) {
			m, state := decode(body)
			if !m.ProtoReflect().IsValid() {
				return nil, state
			}
			return m, state
		},
		Match: func(selector, payload proto.Message) bool {
			m, _ := payload.(E) // nil when there is no payload
			return match(selector.(S), m)
		},
		Payload:  e.ProtoReflect().Descriptor().FullName(),
		Selector: s.ProtoReflect().Descriptor().FullName(),
	}
}

// Encoding answers a decoder that has a quicker way to the bytes of a payload.
// encode answers what decode does, in wire form and in dst's memory when there is
// room; the same rules hold for it.
func (d Decoder) Encoding(encode func(dst, body []byte) ([]byte, hookstreamv1.DecodeState)) Decoder {
	d.Encode = encode
	return d
}
