package yousign

import (
	"time"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/ingress/lenient"
)

// An Event is filled from up to three objects: the body, `metadata` if the
// envelope is nested there, and `data`. Each has a Struct of its own for what
// has no typed field.
var (
	outerFields = envelopeFields("rest").Skip("data", "metadata", "event_time")
	innerFields = envelopeFields("metadata_rest").Skip("event_time")
	dataFields  = lenient.NewDecoder(&yousignv1.Event{}, "data_rest", append(nodeNames(), "data_reason", "workflow_session_id")...)
)

func envelopeFields(rest protoreflect.Name) *lenient.Decoder {
	return lenient.NewDecoder(&yousignv1.Event{}, rest,
		"event_id", "event_name", "subscription_id", "subscription_description", "sandbox")
}

// Decode turns a body into an Event, as far as it goes, and says how far. It
// depends on nothing but the body, and never answers nil.
func Decode(body []byte) (*yousignv1.Event, hookstreamv1.DecodeState) {
	ev := &yousignv1.Event{}
	if lenient.Check(body) != nil {
		return ev, hookstreamv1.DecodeState_DECODE_STATE_FAILED
	}
	root := gjson.ParseBytes(body)
	e := readEnvelope(root)
	result := decodeEnvelope(ev, root, &e)
	topicName, action := event.SplitType(ev.GetEventNameRaw())
	t := topics[topicName]
	setAction(ev, t, topicName, action)
	result = result.And(decodeData(ev, t, e.data))
	setReason(ev, action)
	return ev, stateOf(ev, &e, result)
}

func stateOf(ev *yousignv1.Event, e *envelope, result lenient.Result) hookstreamv1.DecodeState {
	switch {
	case ev.GetEventNameRaw() == "" || !e.data.IsObject():
		return hookstreamv1.DecodeState_DECODE_STATE_FAILED
	case ev.GetEventName() == yousignv1.EventName_EVENT_NAME_UNSPECIFIED:
		return hookstreamv1.DecodeState_DECODE_STATE_UNKNOWN_TYPE
	case result.Rest || result.Lost:
		return hookstreamv1.DecodeState_DECODE_STATE_PARTIAL
	}
	return hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
}

// decodeEnvelope reads the envelope, flat or nested.
func decodeEnvelope(ev *yousignv1.Event, root gjson.Result, e *envelope) lenient.Result {
	result := outerFields.Decode(root, ev)
	result = result.And(setTime(ev, &ev.Rest, e.outer.eventTime))
	if e.metadata.IsObject() {
		result = result.And(innerFields.Decode(e.metadata, ev))
		result = result.And(setTime(ev, &ev.MetadataRest, e.inner.eventTime))
	} else {
		result = result.And(keep(&ev.Rest, "metadata", e.metadata))
	}
	if !e.data.IsObject() {
		result = result.And(keep(&ev.Rest, "data", e.data))
	}
	return result
}

// setTime reads the time of the event, which is sent as a string or as a number.
// What is neither, or comes second, goes to the rest.
func setTime(ev *yousignv1.Event, rest **structpb.Struct, value gjson.Result) lenient.Result {
	raw, t := eventTime(value)
	if raw == "" || ev.EventTimeRaw != nil {
		return keep(rest, "event_time", value)
	}
	ev.EventTimeRaw = proto.String(valid(raw))
	if t != (time.Time{}) {
		ev.EventTime = timestamppb.New(t)
	}
	return lenient.Result{}
}

// keep puts a value into a Struct. null is nothing to keep.
func keep(rest **structpb.Struct, name string, value gjson.Result) lenient.Result {
	if value.Type == gjson.Null {
		return lenient.Result{}
	}
	if *rest == nil {
		*rest = &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	}
	(*rest).Fields[name] = lenient.Value(value)
	return lenient.Result{Rest: true}
}

// setAction sets the enums of the two levels of the event's name.
func setAction(ev *yousignv1.Event, t topic, topicName, action string) {
	ev.Topic = yousignv1.Topic(lenient.EnumNumber(ev.Topic.Descriptor(), topicName))
	if t.action == "" {
		return
	}
	field := eventFields.ByName(t.action)
	if number := lenient.EnumNumber(field.Enum(), action); number != 0 {
		ev.ProtoReflect().Set(field, protoreflect.ValueOfEnum(number))
	}
}

// decodeData reads the objects the event is about.
func decodeData(ev *yousignv1.Event, t topic, data gjson.Result) lenient.Result {
	if !data.IsObject() {
		return lenient.Result{}
	}
	key, node := t.find(data)
	switch {
	case key != "" && key != string(t.node):
		result := dataFields.Skip(key).Decode(data, ev)
		return result.And(decodeNode(ev, t, node))
	case key == "" && t.flat:
		return decodeFlat(ev, t, data)
	}
	return dataFields.Decode(data, ev)
}

// decodeNode reads an object that stands under another name than its field's.
func decodeNode(ev *yousignv1.Event, t topic, node gjson.Result) lenient.Result {
	m := ev.ProtoReflect().Mutable(eventFields.ByName(t.node)).Message()
	return lenient.DecodeObject(node, m.Interface())
}

// setReason finds why, in the order of the evidence for where it is. It is not
// set from a decline that came before the event.
func setReason(ev *yousignv1.Event, action string) {
	var reason string
	switch action {
	case "declined":
		reason = ev.GetSignatureRequest().GetDeclineInformation().GetReason()
	case "rejected":
		reason = ev.GetSignatureRequest().GetRejectionInformation().GetReason()
	}
	if reason == "" {
		reason = ev.GetDataReason()
	}
	if reason != "" {
		ev.Reason = proto.String(reason)
	}
}
