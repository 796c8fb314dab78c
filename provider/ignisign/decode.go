package ignisign

import (
	"bytes"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider/lenient"
)

var (
	envelopeDecoder = lenient.NewDecoder(&ignisignv1.Event{}, "rest",
		"app_id", "app_env", "topic", "action_raw", "msg_nature", "error", "verification_token").Skip("content")

	// Version 4 wraps two groups of signers in an object, under the key that is
	// version 3's list.
	requestDecoder = lenient.NewDecoder(&ignisignv1.SignatureRequest{}, "rest",
		"signature_request_id", "signature_request_external_id", "status", "initial_signature_request_id",
		"signers_by_side", "signers_embedded").Skip("signers")
	groupsDecoder = lenient.NewDecoder(&ignisignv1.SignatureRequest{}, "signers_rest",
		"signers_by_side", "signers_embedded")

	topicRaw  = eventDesc.Fields().ByName("topic_raw").Number()
	actionRaw = eventDesc.Fields().ByName("action_raw").Number()
)

// Decode turns a body into an Event. It is a pure function of the body, never
// fails, and never answers nil: what has no typed field is in a Struct beside.
//
// The content of a known topic is typed even when its action is not known, so
// that what is secret in it is known as such; the state is UNKNOWN_TYPE then.
func Decode(body []byte) (*ignisignv1.Event, hookstreamv1.DecodeState) {
	d, state := decode(nil, bytes.Clone(body)) // the message may hold views of it
	lenient.Merge(d.wire, d.event)
	return d.event, state
}

// Encode answers the Event of Decode in wire form, in dst's memory when there is
// room, at half the cost. The same body makes the same bytes.
func Encode(dst, body []byte) ([]byte, hookstreamv1.DecodeState) {
	d, state := decode(dst, body)
	return lenient.AppendMessage(d.wire, d.event), state
}

// A draft is an Event in the making, in two parts: what was read of the body by
// the schema alone is in wire form, what this package adds is a message. Protobuf
// reads messages that follow one another as one.
type draft struct {
	wire    []byte
	event   *ignisignv1.Event
	partial bool // something has no typed field
}

// add notes what became of a part of the body.
func (d *draft) add(wire []byte, result lenient.Result) {
	d.wire, d.partial = wire, d.partial || result.Partial()
}

func decode(dst, body []byte) (*draft, hookstreamv1.DecodeState) {
	d := &draft{wire: dst[:0], event: &ignisignv1.Event{}}
	doc, err := lenient.Content(body)
	if err != nil {
		return d, hookstreamv1.DecodeState_DECODE_STATE_FAILED
	}
	var content gjson.Result
	d.add(envelopeDecoder.AppendPassing(d.wire, doc, func(_ string, value gjson.Result) {
		if !content.Exists() { // of keys that are repeated, the first counts
			content = value
		}
	}))
	topic, action := lenient.Text(d.wire, topicRaw), lenient.Text(d.wire, actionRaw)
	c := contentOf(topicOf(topic))
	number := c.actionOf(action)
	if number != 0 {
		d.event.ProtoReflect().Set(c.action, protoreflect.ValueOfEnum(number))
	}
	d.content(c, content)
	switch {
	case topic == "" || action == "":
		return d, hookstreamv1.DecodeState_DECODE_STATE_FAILED
	case number == 0:
		return d, hookstreamv1.DecodeState_DECODE_STATE_UNKNOWN_TYPE
	case d.partial:
		return d, hookstreamv1.DecodeState_DECODE_STATE_PARTIAL
	}
	return d, hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
}

// content reads the content of the event's topic.
func (d *draft) content(c *content, value gjson.Result) {
	switch {
	case value.Type == gjson.Null: // absent, or null, which says no more
	case !value.IsObject():
		kept, _ := lenient.Value(value)
		d.event.Rest = &structpb.Struct{Fields: map[string]*structpb.Value{"content": kept}}
		d.partial = true
	case c == nil:
		kept, _ := lenient.Value(value)
		d.event.Content = &ignisignv1.Event_UnknownContent{UnknownContent: kept.GetStructValue()}
		d.partial = true
	case c == contentOf(ignisignv1.Topic_TOPIC_SIGNATURE_REQUEST) && member(value, "signers").IsObject():
		d.request(value)
	default:
		d.add(c.decoder.AppendField(d.wire, c.message.Number(), value))
	}
}

// request reads a signature request of version 4.
func (d *draft) request(value gjson.Result) {
	request := &ignisignv1.SignatureRequest{}
	flat := requestDecoder.Decode(value, request)
	grouped := groupsDecoder.Decode(member(value, "signers"), request)
	d.event.Content = &ignisignv1.Event_SignatureRequest{SignatureRequest: request}
	d.partial = d.partial || flat.And(grouped).Partial()
}
