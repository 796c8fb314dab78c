// Package cloudevent shows events of Hookstream as CloudEvents 1.0: their
// attributes, the JSON and the Protobuf form. It is the one place that says what of
// an event becomes what.
package cloudevent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// What Hookstream itself says begins its types.
const typePrefix = "dev.hookstream."

const (
	jsonType   = "application/json"
	binaryType = "application/octet-stream"
)

// Event is a CloudEvent. The fields that are empty are left out.
type Event struct {
	ID, Source, Type string // required
	Subject          string
	Time             time.Time
	ContentType      string
	// Extensions in the order in which they are shown.
	Extensions []Extension
	// JSON is the data, when that is JSON; Data when it is anything else, or is to
	// stay as it is byte for byte.
	JSON json.RawMessage
	Data []byte
}

// Extension is an attribute beyond those that CloudEvents names. Value is a string,
// bool, int32 or time.Time.
type Extension struct {
	Name  string
	Value any
}

func (e *Event) text(name, value string) {
	if value != "" {
		e.Extensions = append(e.Extensions, Extension{name, clean(value)})
	}
}

func (e *Event) when(name string, t *timestamppb.Timestamp) {
	if t != nil {
		e.Extensions = append(e.Extensions, Extension{name, t.AsTime()})
	}
}

// OfDelivery answers an event as a stream shows it: the body when the view shows it,
// else the typed payload. What was withheld or left out is not there, and named.
func OfDelivery(d *hookstreamv1.Delivery) (*Event, error) {
	in := d.GetEvent()
	e := &Event{
		ID: strings.TrimPrefix(in.GetName(), "events/"), Source: in.GetSource(),
		Type: clean(typePrefix + in.GetProvider() + "." + in.GetType()), Subject: clean(in.GetEntity()),
		Time: happened(in).AsTime(),
	}
	e.text("cursor", d.GetCursor())
	e.origin(in)
	e.shown(in)
	e.handed(d)
	return e, e.content(in)
}

// happened is by the same rule for all events of a source, as CloudEvents wants: when
// the sender says, or else when it was received.
func happened(in *hookstreamv1.Event) *timestamppb.Timestamp {
	if t := in.GetOccurTime(); t != nil {
		return t
	}
	return in.GetReceiveTime()
}

// origin says where the event is from and how that was proved.
func (e *Event) origin(in *hookstreamv1.Event) {
	e.text("provider", in.GetProvider())
	e.text("environment", in.GetEnvironment())
	e.text("providereventid", in.GetProviderEventId())
	e.when("receivetime", in.GetReceiveTime())
	v := in.GetVerification()
	e.text("verification", word(v.GetState().String(), "STATE_"))
	e.text("verifymethod", v.GetMethod())
	e.text("verifyreason", v.GetReason())
	e.text("verifycoverage", word(v.GetCoverage().String(), "COVERAGE_"))
	e.text("duplicateof", strings.TrimPrefix(in.GetPossibleDuplicateOf(), "events/"))
	if in.ProviderAttempt != nil {
		e.Extensions = append(e.Extensions, Extension{"providerattempt", in.GetProviderAttempt()})
	}
	e.text("traceparent", in.GetTraceParent()) // of the extension "distributed tracing"
	e.when("importtime", in.GetImportTime())
}

// shown says what of the event is not there.
func (e *Event) shown(in *hookstreamv1.Event) {
	e.text("decodestate", word(in.GetDecodeState().String(), "DECODE_STATE_"))
	e.text("redactedfields", strings.Join(in.GetRedactedFields(), " "))
	e.text("omittedfields", strings.Join(in.GetOmittedFields(), " "))
}

// handed says what a delivery of a subscription does beside the event.
func (e *Event) handed(d *hookstreamv1.Delivery) {
	if d.GetAckToken() == "" {
		return
	}
	e.text("acktoken", d.GetAckToken())
	e.when("ackdeadline", d.GetAckDeadline())
	e.Extensions = append(e.Extensions, Extension{"attempt", d.GetAttempt()}, Extension{"replayed", d.GetReplayed()})
	e.text("handout", fmt.Sprint(d.GetHandOut())) // a CloudEvent's integers have 32 bits
}

// content is the body as it came, or the typed payload.
func (e *Event) content(in *hookstreamv1.Event) (err error) {
	if raw := in.GetRaw(); raw != nil {
		e.Data, e.ContentType = raw.GetBody(), mediaType(raw.GetContentType())
		return nil
	}
	m := in.ProtoReflect()
	fd := m.WhichOneof(m.Descriptor().Oneofs().ByName("payload"))
	if fd == nil {
		return nil
	}
	e.ContentType = jsonType
	e.JSON, err = compact(m.Get(fd).Message().Interface())
	return err
}

// compact answers the JSON of a message, always the same.
func compact(m proto.Message) (json.RawMessage, error) {
	b, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Compact(&out, b)
	return out.Bytes(), err
}

// mediaType answers what the sender says the body is, when it says that in a way that
// others understand.
func mediaType(sent string) string {
	if _, _, err := mime.ParseMediaType(sent); err != nil || clean(sent) != sent {
		return binaryType
	}
	return sent
}

// word answers a value of an enum as filters know it, empty for the one that says
// nothing.
func word(name, prefix string) string {
	if name = strings.TrimPrefix(name, prefix); name == "UNSPECIFIED" {
		return ""
	}
	return strings.ToLower(name)
}

// clean replaces characters that no attribute may hold.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Noncharacter_Code_Point, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
