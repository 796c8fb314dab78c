package hub

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Decoder turns the bodies of one provider into its typed payload, and holds
// that against the provider's typed selector. Made by NewDecoder.
type Decoder struct {
	decode            func(body []byte) (proto.Message, hookstreamv1.DecodeState)
	encode            func(dst, body []byte) ([]byte, hookstreamv1.DecodeState) // nil: by way of decode
	match             func(selector, payload proto.Message) bool
	payload, selector protoreflect.FullName
}

// NewDecoder makes a decoder of a provider's two functions, which must be pure,
// never panic and may be called from many goroutines at once. decode answers a
// message of its own that nobody else holds; nil stands for an empty one. match
// is given what decode answered, sensitive fields possibly cleared.
func NewDecoder[E, S proto.Message](decode func(body []byte) (E, hookstreamv1.DecodeState), match func(selector S, payload E) bool) Decoder {
	var e E
	var s S
	return Decoder{
		decode: func(body []byte) (proto.Message, hookstreamv1.DecodeState) {
			m, state := decode(body)
			if !m.ProtoReflect().IsValid() {
				return nil, state
			}
			return m, state
		},
		match: func(selector, payload proto.Message) bool {
			m, _ := payload.(E) // nil when there is no payload
			return match(selector.(S), m)
		},
		payload:  e.ProtoReflect().Descriptor().FullName(),
		selector: s.ProtoReflect().Descriptor().FullName(),
	}
}

// Encoding answers a decoder that has a quicker way to the bytes of a payload.
// encode answers what decode does, in wire form and in dst's memory when there is
// room; the same rules hold for it.
func (d Decoder) Encoding(encode func(dst, body []byte) ([]byte, hookstreamv1.DecodeState)) Decoder {
	d.encode = encode
	return d
}

// payloadDecoder is a Decoder that knows its place in Event.
type payloadDecoder struct {
	Decoder
	field protoreflect.FieldDescriptor
}

var (
	eventFields    = (*hookstreamv1.Event)(nil).ProtoReflect().Descriptor().Fields()
	selectorFields = (*hookstreamv1.EventSelector)(nil).ProtoReflect().Descriptor().Fields()
)

// placeDecoders finds the fields of Event and EventSelector that are named as
// the provider, and refuses a decoder of other types.
func placeDecoders(in map[string]Decoder) (map[string]payloadDecoder, error) {
	out := make(map[string]payloadDecoder, len(in))
	for provider, d := range in {
		payload, selector := eventFields.ByName(protoreflect.Name(provider)), selectorFields.ByName(protoreflect.Name(provider))
		if payload == nil || payload.ContainingOneof() == nil || payload.Message().FullName() != d.payload {
			return nil, fmt.Errorf("hub: %s is not the payload of provider %q", d.payload, provider)
		}
		if selector == nil || selector.Message().FullName() != d.selector {
			return nil, fmt.Errorf("hub: %s is not the selector of provider %q", d.selector, provider)
		}
		out[provider] = payloadDecoder{d, payload}
	}
	return out, nil
}
