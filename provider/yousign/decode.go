package yousign

import (
	"bytes"
	"slices"
	"time"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider/lenient"
)

// An Event is filled from up to three objects: the body, `metadata` if the
// envelope is nested there, and `data`. Each has a Struct of its own for what
// has no typed field.
var (
	outerFields = envelopeFields("rest").Skip("data", "metadata", "event_time")
	innerFields = envelopeFields("metadata_rest").Skip("event_time")
	dataFields  = lenient.NewDecoder(&yousignv1.Event{}, "data_rest", append(nodeNames(), "data_reason", "workflow_session_id")...)
)

// What is looked at again of what was read.
var (
	eventNames   = yousignv1.EventName(0).Descriptor()
	eventNameRaw = eventFields.ByName("event_name_raw").Number()
	dataReason   = eventFields.ByName("data_reason").Number()
	rest         = eventFields.ByName("rest").Number()
	metadataRest = eventFields.ByName("metadata_rest").Number()
)

func envelopeFields(rest protoreflect.Name) *lenient.Decoder {
	return lenient.NewDecoder(&yousignv1.Event{}, rest,
		"event_id", "event_name", "subscription_id", "subscription_description", "sandbox")
}

// Decode turns a body into an Event, as far as it goes, and says how far. It
// depends on nothing but the body, and never answers nil.
func Decode(body []byte) (*yousignv1.Event, hookstreamv1.DecodeState) {
	d, state := decode(nil, bytes.Clone(body)) // the message may hold views of it
	d.merge()
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
	wire   []byte
	event  *yousignv1.Event
	data   gjson.Result // what the event is about, as sent
	result lenient.Result
}

// merge makes the two parts one message, for who must see what was read.
func (d *draft) merge() {
	lenient.Merge(d.wire, d.event)
	d.wire = d.wire[:0]
}

// add notes what became of a part of the body.
func (d *draft) add(result lenient.Result) { d.result = d.result.And(result) }

// read has a decoder read an object, and pass on what it leaves.
func (d *draft) read(by *lenient.Decoder, object gjson.Result, pass func(key string, value gjson.Result)) {
	var result lenient.Result
	d.wire, result = by.AppendPassing(d.wire, object, pass)
	d.add(result)
}

func decode(dst, body []byte) (*draft, hookstreamv1.DecodeState) {
	d := &draft{wire: dst[:0], event: &yousignv1.Event{}}
	root, err := lenient.Content(body)
	if err != nil {
		return d, hookstreamv1.DecodeState_DECODE_STATE_FAILED
	}
	d.envelope(root)
	name := lenient.Text(d.wire, eventNameRaw)
	topicName, action := event.SplitType(name)
	t := topics[topicName]
	setAction(d.event, t, topicName, action)
	d.content(t)
	d.workspaces()
	d.notification(action)
	d.reason(action)
	d.setAside(t)
	return d, d.state(name)
}

// setAside withholds what the envelope has beside its own fields when what was read
// from papers may stand there: of events about papers, about nobody knows what, and
// without an object `data`.
func (d *draft) setAside(t topic) {
	if d.data.IsObject() && openNodes[t.node] || !d.hasRest() {
		return
	}
	d.merge()
	e := d.event
	aside := e.Rest
	if e.MetadataRest != nil {
		if aside == nil {
			aside = &structpb.Struct{Fields: make(map[string]*structpb.Value)}
		}
		aside.Fields["metadata"] = structpb.NewStructValue(e.MetadataRest)
	}
	e.EnvelopeRest, e.Rest, e.MetadataRest = aside, nil, nil
}

func (d *draft) hasRest() bool {
	found := d.event.Rest != nil || d.event.MetadataRest != nil
	lenient.EachField(d.wire, func(number protoreflect.FieldNumber, _ []byte) {
		found = found || number == rest || number == metadataRest
	})
	return found
}

func (d *draft) state(name string) hookstreamv1.DecodeState {
	switch {
	case name == "" || !d.data.IsObject():
		return hookstreamv1.DecodeState_DECODE_STATE_FAILED
	case lenient.EnumNumber(eventNames, name) == 0:
		return hookstreamv1.DecodeState_DECODE_STATE_UNKNOWN_TYPE
	case d.result.Partial():
		return hookstreamv1.DecodeState_DECODE_STATE_PARTIAL
	}
	return hookstreamv1.DecodeState_DECODE_STATE_COMPLETE
}

// envelope reads the envelope, flat or nested.
func (d *draft) envelope(root gjson.Result) {
	var sent, nested, metadata gjson.Result // sent and nested are times
	d.read(outerFields, root, func(key string, value gjson.Result) {
		switch key {
		case "data":
			keepFirst(&d.data, value)
		case "metadata":
			keepFirst(&metadata, value)
		case "event_time":
			keepFirst(&sent, value)
		}
	})
	d.add(setTime(d.event, &d.event.Rest, sent))
	if metadata.IsObject() {
		d.read(innerFields, metadata, func(_ string, value gjson.Result) { keepFirst(&nested, value) })
		d.add(setTime(d.event, &d.event.MetadataRest, nested))
	} else {
		d.add(keep(&d.event.Rest, "metadata", metadata))
	}
	if !d.data.IsObject() {
		d.add(keep(&d.event.Rest, "data", d.data))
	}
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
	kept, result := lenient.Value(value)
	(*rest).Fields[name] = kept
	return result.And(lenient.Result{Rest: true})
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

// content reads the objects the event is about.
func (d *draft) content(t topic) {
	if !d.data.IsObject() {
		return
	}
	key, node := t.find(d.data)
	switch {
	case key != "" && key != string(t.node):
		d.read(dataFields.Skip(key), d.data, nil)
		d.node(t, key, node)
	case key == "" && t.flat:
		d.add(decodeFlat(d.event, t, d.data))
	default:
		d.read(dataFields, d.data, nil)
	}
}

// node reads an object that stands under another name than its field's. What of it
// has no field is withheld when the name says nothing: it may be another object.
func (d *draft) node(t topic, key string, node gjson.Result) {
	d.merge()
	m := d.event.ProtoReflect().Mutable(eventFields.ByName(t.node)).Message()
	d.add(lenient.DecodeObject(node, m.Interface()))
	rest := m.Descriptor().Fields().ByName("rest")
	if !openNodes[t.node] || !m.Has(rest) {
		return
	}
	if d.event.DataRest == nil {
		d.event.DataRest = &structpb.Struct{Fields: make(map[string]*structpb.Value)}
	}
	d.event.DataRest.Fields[key] = structpb.NewStructValue(m.Get(rest).Message().Interface().(*structpb.Struct))
	m.Clear(rest)
}

// reason finds why, in the order of the evidence for where it is. It is not set
// from a decline that came before the event.
func (d *draft) reason(action string) {
	var reason string
	switch action {
	case "declined":
		d.merge()
		reason = d.event.GetSignatureRequest().GetDeclineInformation().GetReason()
	case "rejected":
		d.merge()
		reason = d.event.GetSignatureRequest().GetRejectionInformation().GetReason()
	}
	if reason == "" {
		reason = d.event.GetDataReason() + lenient.Text(d.wire, dataReason) // in one of the two
	}
	if reason != "" {
		d.event.Reason = proto.String(reason)
	}
}

// workspaces lists those that the objects name. What was read is in wire form, so
// that a look at it costs little.
func (d *draft) workspaces() {
	add := func(id string) {
		if id != "" && !slices.Contains(d.event.WorkspaceIds, id) {
			d.event.WorkspaceIds = append(d.event.WorkspaceIds, id)
		}
	}
	lenient.EachField(d.wire, func(node protoreflect.FieldNumber, value []byte) {
		field, ok := workspaceFields[node]
		if !ok {
			return
		}
		lenient.EachField(lenient.FieldContent(value), func(number protoreflect.FieldNumber, value []byte) {
			switch text := lenient.FieldContent(value); {
			case number != field:
			case node == userField:
				add(lenient.Text(text, workspaceID))
			default:
				add(string(text))
			}
		})
	})
	if len(d.wire) == 0 || d.event.WorkflowSession != nil { // what is not in wire form
		for _, id := range workspaces(d.event) {
			add(id)
		}
	}
}

// workspaceFields say by the field of an object in which of its own it names its
// workspace: the user's is a list of them.
var (
	workspaceFields = func() map[protoreflect.FieldNumber]protoreflect.FieldNumber {
		fields := map[protoreflect.FieldNumber]protoreflect.FieldNumber{
			userField: eventFields.ByName("user").Message().Fields().ByName("workspaces").Number(),
		}
		for i := range eventFields.Len() {
			if m := eventFields.Get(i).Message(); m != nil {
				if f := m.Fields().ByName("workspace_id"); f != nil {
					fields[eventFields.Get(i).Number()] = f.Number()
				}
			}
		}
		return fields
	}()
	userField   = eventFields.ByName("user").Number()
	workspaceID = (*yousignv1.WorkspaceReference)(nil).ProtoReflect().Descriptor().Fields().ByName("id").Number()
)

// notification finds why an email was not delivered. Yousign documents the words,
// and not where they stand.
func (d *draft) notification(action string) {
	if action != "notification_delivery_failed" || !d.data.IsObject() {
		return
	}
	d.data.ForEach(func(key, value gjson.Result) bool {
		if nodes[key.Str] == "" {
			d.event.NotificationDeliveryStatus = deliveryStatus(value, 0)
		}
		return d.event.NotificationDeliveryStatus == 0
	})
}

// maxStatusDepth is how deep the words are looked for.
const maxStatusDepth = 4

func deliveryStatus(value gjson.Result, depth int) (found yousignv1.NotificationDeliveryStatus) {
	switch {
	case value.Type == gjson.String:
		return yousignv1.NotificationDeliveryStatus(lenient.EnumNumber(found.Descriptor(), value.Str))
	case value.IsObject() || value.IsArray():
		value.ForEach(func(_, value gjson.Result) bool {
			if depth < maxStatusDepth {
				found = deliveryStatus(value, depth+1)
			}
			return found == 0
		})
	}
	return found
}
