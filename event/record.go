package event

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Record is one event as the log keeps it.
type Record struct {
	// Seq is its position in the log, from 1.
	Seq uint64
	// Time is when the log stored it.
	Time time.Time
	// Data is the event as Encode wrote it. Not to be changed.
	Data []byte
}

// Field numbers of hookstream.v1.Event that are read here without decoding. A
// test holds them against the schema.
const (
	fieldSource      = 2
	fieldProvider    = 3
	fieldEnvironment = 4
	fieldTopic       = 5
	fieldAction      = 6
	fieldType        = 7
	fieldRaw         = 30
)

// fieldBody is a field of hookstream.v1.RawRequest.
const fieldBody = 2

// Spare is the room behind an encoded event, for what a log adds to it.
const Spare = 48

// Encode answers the form in which an event is kept: the wire form of
// hookstream.v1.Event without name and payload, which are derived, and with the
// raw request last. A view of the event is then made by joining pieces, and an
// event is marshalled once in its life.
//
// The raw request is given apart, e.Raw is nil; raw may be nil. The slice has
// room for Spare bytes behind it.
func Encode(e *hookstreamv1.Event, raw *hookstreamv1.RawRequest) ([]byte, error) {
	if e.Name != "" || e.Payload != nil || e.Raw != nil {
		return nil, errors.New("event: name and payload are derived, and raw is given apart")
	}
	var w wire
	var metaRoom, headRoom [512]byte
	meta := w.event(metaRoom[:0], e)
	// Of the raw request what stands before and behind its body, of which there may
	// be megabytes.
	before := w.headers(headRoom[:0], 1, raw.GetHeaders())
	fields := len(before)
	before = w.text(before, 3, raw.GetContentType())
	before, behind := before[:fields], before[fields:]
	if w.notUTF8 {
		return nil, errors.New("event: text is not valid UTF-8")
	}
	size := len(before) + len(behind)
	if n := len(raw.GetBody()); n > 0 {
		size += protowire.SizeTag(fieldBody) + protowire.SizeBytes(n)
	}
	out := append(make([]byte, 0, len(meta)+size+8+Spare), meta...)
	if raw == nil {
		return out, nil
	}
	out = protowire.AppendTag(out, fieldRaw, protowire.BytesType)
	out = append(protowire.AppendVarint(out, uint64(size)), before...)
	if len(raw.Body) > 0 {
		out = w.bytes(out, fieldBody, raw.Body)
	}
	return append(out, behind...), nil
}

// Parts are the pieces of a kept event. They alias Record.Data.
type Parts struct {
	// Meta is the wire form of the event without name, payload and raw.
	Meta []byte
	// Raw is the wire form of the field `raw`, tag and length included; empty
	// when the event has none.
	Raw []byte
	// Source is the resource name; the others are as in hookstream.v1.Event.
	Source, Provider, Environment, Topic, Action, Type []byte
}

// ErrRecordInvalid says that the bytes of a record are not an event.
var ErrRecordInvalid = errors.New("record is not an event")

// Split finds the pieces of a kept event without decoding it.
func Split(data []byte) (Parts, error) {
	var p Parts
	rest := data
	for len(rest) > 0 {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return Parts{}, fmt.Errorf("%w: %w", ErrRecordInvalid, protowire.ParseError(n))
		}
		if num == fieldRaw {
			p.Meta, p.Raw = data[:len(data)-len(rest)], rest
			p.mendType()
			return p, nil
		}
		m := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if m < 0 {
			return Parts{}, fmt.Errorf("%w: %w", ErrRecordInvalid, protowire.ParseError(m))
		}
		if typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(rest[n:])
			p.set(num, v)
		}
		rest = rest[n+m:]
	}
	p.Meta = data
	p.mendType()
	return p, nil
}

// dotted reports whether a type is one that older versions kept for an event
// without an action: its topic, with a dot at the end.
func dotted[T string | []byte](topic, action, typ T) bool {
	return len(action) == 0 && len(typ) == len(topic)+1 && typ[len(topic)] == '.' && string(typ[:len(topic)]) == string(topic)
}

// mendType gives such an event the type that it has now. Of a field that comes
// twice the last counts, so the metadata gets one more.
func (p *Parts) mendType() {
	if !dotted(p.Topic, p.Action, p.Type) {
		return
	}
	p.Type = p.Topic
	meta := slices.Clip(p.Meta) // the record stays as it is
	p.Meta = protowire.AppendBytes(protowire.AppendTag(meta, fieldType, protowire.BytesType), p.Type)
}

func (p *Parts) set(num protowire.Number, v []byte) {
	switch num {
	case fieldSource:
		p.Source = v
	case fieldProvider:
		p.Provider = v
	case fieldEnvironment:
		p.Environment = v
	case fieldTopic:
		p.Topic = v
	case fieldAction:
		p.Action = v
	case fieldType:
		p.Type = v
	}
}

// Body answers the raw body of the request, without decoding the rest. It
// aliases the record.
func (p Parts) Body() []byte {
	_, _, n := protowire.ConsumeTag(p.Raw)
	if n < 0 {
		return nil
	}
	raw, m := protowire.ConsumeBytes(p.Raw[n:])
	if m < 0 {
		return nil
	}
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return nil
		}
		if num == fieldBody && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(raw[n:])
			return v
		}
		m := protowire.ConsumeFieldValue(num, typ, raw[n:])
		if m < 0 {
			return nil
		}
		raw = raw[n+m:]
	}
	return nil
}

// Decode answers the kept event as a message, with name and raw request but
// without payload.
func Decode(inc Incarnation, r Record) (*hookstreamv1.Event, error) {
	e := new(hookstreamv1.Event)
	if err := proto.Unmarshal(r.Data, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecordInvalid, err)
	}
	if dotted(e.Topic, e.Action, e.Type) {
		e.Type = e.Topic
	}
	e.Name = Name(inc, r.Seq)
	return e, nil
}
