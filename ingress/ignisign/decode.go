package ignisign

import (
	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress/lenient"
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
)

// Decode turns a body into an Event. It is a pure function of the body, never
// fails, and never answers nil: what has no typed field is in a Struct beside.
//
// The content of a known topic is typed even when its action is not known, so
// that what is secret in it is known as such; the state is UNKNOWN_TYPE then.
func Decode(body []byte) (*ignisignv1.Event, hookstreamv1.DecodeState) {
	event := &ignisignv1.Event{}
	if lenient.Check(body) != nil {
		return event, hookstreamv1.DecodeState_DECODE_STATE_FAILED
	}
	doc := gjson.ParseBytes(body)
	partial := envelopeDecoder.Decode(doc, event).Rest
	knownAction := decodeAction(event)
	partial = decodeContent(member(doc, "content"), event) || partial
	switch {
	case event.GetTopicRaw() == "" || event.GetActionRaw() == "":
		return event, hookstreamv1.DecodeState_DECODE_STATE_FAILED
	case !knownAction:
		return event, hookstreamv1.DecodeState_DECODE_STATE_UNKNOWN_TYPE
	case partial:
		return event, hookstreamv1.DecodeState_DECODE_STATE_PARTIAL
	}
	return event, hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
}

// decodeAction sets the action of the event's topic and reports whether it knows
// it.
func decodeAction(event *ignisignv1.Event) bool {
	c := contentOf(event.GetTopic())
	number := c.actionOf(event.GetActionRaw())
	if number == 0 {
		return false
	}
	event.ProtoReflect().Set(c.action, protoreflect.ValueOfEnum(number))
	return true
}

// decodeContent sets the content of the event's topic and reports whether
// something in it has no typed field.
func decodeContent(value gjson.Result, event *ignisignv1.Event) (partial bool) {
	if value.Type == gjson.Null {
		return false // absent, or null, which says no more
	}
	if !value.IsObject() {
		keep(event, "content", value)
		return true
	}
	c := contentOf(event.GetTopic())
	if c == nil {
		event.Content = &ignisignv1.Event_UnknownContent{UnknownContent: lenient.Value(value).GetStructValue()}
		return true
	}
	m := event.ProtoReflect()
	message := m.NewField(c.message)
	result := decodeMessage(value, message.Message().Interface())
	m.Set(c.message, message)
	return result.Rest
}

func decodeMessage(value gjson.Result, m proto.Message) lenient.Result {
	request, ok := m.(*ignisignv1.SignatureRequest)
	if signers := member(value, "signers"); ok && signers.IsObject() {
		flat := requestDecoder.Decode(value, request)
		grouped := groupsDecoder.Decode(signers, request)
		return lenient.Result{Rest: flat.Rest || grouped.Rest}
	}
	return lenient.DecodeObject(value, m)
}

// keep puts a part of the envelope as sent into its rest.
func keep(event *ignisignv1.Event, key string, value gjson.Result) {
	if event.Rest == nil {
		event.Rest = &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	}
	event.Rest.Fields[key] = lenient.Value(value)
}
