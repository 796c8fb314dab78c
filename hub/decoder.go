package hub

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// payloadDecoder is a provider.Decoder that knows its place in Event.
type payloadDecoder struct {
	provider.Decoder
	field protoreflect.FieldDescriptor
}

var (
	eventFields    = (*hookstreamv1.Event)(nil).ProtoReflect().Descriptor().Fields()
	selectorFields = (*hookstreamv1.EventSelector)(nil).ProtoReflect().Descriptor().Fields()
)

// placeDecoders finds the fields of Event and EventSelector that are named as
// the provider, and refuses a decoder of other types.
func placeDecoders(in map[string]provider.Decoder) (map[string]payloadDecoder, error) {
	out := make(map[string]payloadDecoder, len(in))
	for name, d := range in {
		payload, selector := eventFields.ByName(protoreflect.Name(name)), selectorFields.ByName(protoreflect.Name(name))
		if payload == nil || payload.ContainingOneof() == nil || payload.Message().FullName() != d.Payload {
			return nil, fmt.Errorf("hub: %s is not the payload of provider %q", d.Payload, name)
		}
		if selector == nil || selector.Message().FullName() != d.Selector {
			return nil, fmt.Errorf("hub: %s is not the selector of provider %q", d.Selector, name)
		}
		out[name] = payloadDecoder{d, payload}
	}
	return out, nil
}
