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
	// Marks are what the log tells repetitions of the event by, for another log to
	// which it is brought; nil where the log does not show them.
	Marks []byte
	// Lost: something was here once and is lost. There is no Data.
	Lost bool
}

// Field numbers of hookstream.v1.Event that are read without decoding, or joined to
// what was kept. A test holds them against the schema.
const (
	fieldName        = 1
	fieldSource      = 2
	fieldProvider    = 3
	fieldEnvironment = 4
	fieldTopic       = 5
	fieldAction      = 6
	fieldType        = 7
	fieldEntity      = 8
	fieldProviderID  = 9
	fieldVerified    = 12
	fieldState       = 13
	fieldRedacted    = 16
	fieldOmitted     = 18
	fieldRaw         = 30
	fieldProof       = 31
	fieldForm        = 40 // reserved there: in the log alone
)

// fieldBody is a field of hookstream.v1.RawRequest.
const fieldBody = 2

// Spare is the room behind an encoded event, for what a log adds to it.
const Spare = 48

// Form is the form in which Encode writes. Split reads it and all before it: what
// was kept before there were numbers is form 0, and has no proof.
const Form = 1

// Encode answers the form in which an event is kept: its number, then the wire
// form of hookstream.v1.Event without name and payload, which are derived (an event
// that was imported has the name that it had), with the raw request and then the proof last. A view of the event is then made by
// joining pieces, and an event is marshalled once in its life.
//
// The raw request is given apart, e.Raw is nil; raw may be nil. The slice has
// room for Spare bytes behind it.
func Encode(e *hookstreamv1.Event, raw *hookstreamv1.RawRequest) ([]byte, error) {
	if e.Name != "" && e.ImportTime == nil || e.Payload != nil || e.Raw != nil {
		return nil, errors.New("event: the name, but for one that was imported, and the payload are derived, and raw is given apart")
	}
	var w wire
	var metaRoom, headRoom, proofRoom [512]byte
	meta := w.event(w.varint(metaRoom[:0], fieldForm, Form), e)
	// Of the raw request what stands before and behind its body, of which there may
	// be megabytes.
	before := w.headers(headRoom[:0], 1, raw.GetHeaders())
	fields := len(before)
	before = w.text(before, 3, raw.GetContentType())
	before, behind := before[:fields], before[fields:]
	proof := w.proof(proofRoom[:0], e.Proof)
	if w.notUTF8 {
		return nil, errors.New("event: text is not valid UTF-8")
	}
	size := len(before) + len(behind)
	if n := len(raw.GetBody()); n > 0 {
		size += protowire.SizeTag(fieldBody) + protowire.SizeBytes(n)
	}
	out := append(make([]byte, 0, len(meta)+size+len(proof)+16+Spare), meta...)
	if raw != nil {
		out = protowire.AppendTag(out, fieldRaw, protowire.BytesType)
		out = append(protowire.AppendVarint(out, uint64(size)), before...)
		if len(raw.Body) > 0 {
			out = w.bytes(out, fieldBody, raw.Body)
		}
		out = append(out, behind...)
	}
	if e.Proof != nil {
		out = w.bytes(out, fieldProof, proof)
	}
	return out, nil
}

// Parts are the pieces of a kept event. They alias Record.Data.
type Parts struct {
	// Meta is the wire form of the event without name, payload, raw and proof.
	Meta []byte
	// Raw is the wire form of the field `raw`, tag and length included; empty
	// when the event has none.
	Raw []byte
	// Proof is that of the field `proof`.
	Proof []byte
	// Name is the resource name of an event that was imported; that of all others is
	// their position's.
	Name []byte
	// Source is the resource name; the others are as in hookstream.v1.Event.
	Source, Provider, Environment, Topic, Action, Type []byte
	// Entity and ProviderEventID are as there, too.
	Entity, ProviderEventID []byte

	verification []byte
}

// State answers how the origin of the request was proved.
func (p Parts) State() hookstreamv1.Verification_State {
	for rest := p.verification; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			break
		}
		if num == 1 && typ == protowire.VarintType {
			state, _ := protowire.ConsumeVarint(rest[n:])
			return hookstreamv1.Verification_State(state)
		}
		m := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if m < 0 {
			break
		}
		rest = rest[n+m:]
	}
	return hookstreamv1.Verification_STATE_UNSPECIFIED
}

// ErrRecordInvalid says that the bytes of a record are not an event.
var ErrRecordInvalid = errors.New("record is not an event")

// ErrRecordNewer says that a record has a form that only newer gateways read.
var ErrRecordNewer = fmt.Errorf("%w of a form known here", ErrRecordInvalid)

// formOf answers the form of a kept event, and what follows its number.
func formOf(data []byte) (form uint64, rest []byte, err error) {
	num, typ, n := protowire.ConsumeTag(data)
	if n < 0 || num != fieldForm || typ != protowire.VarintType {
		return 0, data, nil
	}
	form, m := protowire.ConsumeVarint(data[n:])
	switch {
	case m < 0:
		return 0, nil, fmt.Errorf("%w: %w", ErrRecordInvalid, protowire.ParseError(m))
	case form > Form:
		return 0, nil, fmt.Errorf("%w: form %d", ErrRecordNewer, form)
	}
	return form, data[n+m:], nil
}

// Split finds the pieces of a kept event without decoding it.
func Split(data []byte) (Parts, error) {
	var p Parts
	if len(data) == 0 { // a message without a field, to those who read messages
		return Parts{}, fmt.Errorf("%w: it is empty", ErrRecordInvalid)
	}
	_, data, err := formOf(data)
	if err != nil {
		return Parts{}, err
	}
	p.Meta = data // up to where the first of the others begins
	for rest := data; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return Parts{}, fmt.Errorf("%w: %w", ErrRecordInvalid, protowire.ParseError(n))
		}
		m := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if m < 0 {
			return Parts{}, fmt.Errorf("%w: %w", ErrRecordInvalid, protowire.ParseError(m))
		}
		field := rest[: n+m : n+m]
		switch {
		case num == fieldRaw:
			p.Raw = field
		case num == fieldProof:
			p.Proof = field
		case typ == protowire.BytesType && len(p.Raw)+len(p.Proof) == 0:
			v, _ := protowire.ConsumeBytes(rest[n:])
			p.set(num, v)
		}
		if len(p.Meta) == len(data) && len(p.Raw)+len(p.Proof) > 0 {
			at := len(data) - len(rest)
			p.Meta = data[:at:at]
		}
		rest = rest[n+m:]
	}
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
	case fieldName:
		p.Name = v
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
	case fieldEntity:
		p.Entity = v
	case fieldProviderID:
		p.ProviderEventID = v
	case fieldVerified:
		p.verification = v
	}
}

// Body answers the raw body of the request, without decoding the rest. It
// aliases the record.
func (p Parts) Body() []byte { return find(find(p.Raw, fieldRaw), fieldBody) }

// Decode answers the kept event as a message, with name, raw request and proof but
// without payload.
func Decode(inc Incarnation, r Record) (*hookstreamv1.Event, error) {
	_, data, err := formOf(r.Data)
	if err != nil {
		return nil, err
	}
	e := new(hookstreamv1.Event)
	if err := proto.Unmarshal(data, e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecordInvalid, err)
	}
	if dotted(e.Topic, e.Action, e.Type) {
		e.Type = e.Topic
	}
	e.Name = NameOf(inc, r.Seq, e.Name)
	return e, nil
}
