package event

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// wire appends fields in wire form, as proto.Marshal does but without asking what
// a message is: each event is written while its sender waits. What is empty is
// left out. A test holds the field numbers against the schema.
type wire struct {
	notUTF8 bool // some text is not
}

func (w *wire) event(b []byte, e *hookstreamv1.Event) []byte {
	b = w.text(b, fieldName, e.Name)
	b = w.text(b, fieldSource, e.Source)
	b = w.text(b, fieldProvider, e.Provider)
	b = w.text(b, fieldEnvironment, e.Environment)
	b = w.text(b, fieldTopic, e.Topic)
	b = w.text(b, fieldAction, e.Action)
	b = w.text(b, fieldType, e.Type)
	b = w.text(b, fieldEntity, e.Entity)
	b = w.text(b, fieldProviderID, e.ProviderEventId)
	b = w.time(b, 10, e.OccurTime)
	b = w.time(b, 11, e.ReceiveTime)
	b = w.verification(b, fieldVerified, e.Verification)
	b = w.number(b, fieldState, int64(e.DecodeState))
	b = w.text(b, 14, e.PossibleDuplicateOf)
	b = w.text(b, 15, e.TraceParent)
	for _, path := range e.RedactedFields {
		b = w.element(b, fieldRedacted, path)
	}
	if e.ProviderAttempt != nil {
		b = w.varint(b, 17, int64(*e.ProviderAttempt))
	}
	for _, path := range e.OmittedFields {
		b = w.element(b, fieldOmitted, path)
	}
	b = w.time(b, 19, e.ImportTime)
	return b
}

func (w *wire) verification(b []byte, num protowire.Number, v *hookstreamv1.Verification) []byte {
	if v == nil {
		return b
	}
	var room [256]byte
	in := w.number(room[:0], 1, int64(v.State))
	in = w.text(in, 2, v.Method)
	in = w.time(in, 3, v.VerifyTime)
	in = w.text(in, 4, v.Reason)
	in = w.number(in, 5, int64(v.SecretIndex))
	in = w.number(in, 6, int64(v.Coverage))
	for _, field := range v.CoveredFields {
		in = w.element(in, 7, field)
	}
	in = w.time(in, 8, v.PromoteTime)
	return w.bytes(b, num, in)
}

func (w *wire) headers(b []byte, num protowire.Number, lines []*hookstreamv1.RawRequest_Header) []byte {
	for _, l := range lines {
		var room [256]byte
		in := w.text(room[:0], 1, l.Name)
		in = w.text(in, 2, l.Value)
		b = w.bytes(b, num, in)
	}
	return b
}

// proof is the content of the field.
func (w *wire) proof(b []byte, p *hookstreamv1.Proof) []byte {
	for _, l := range p.GetHeaders() {
		var room [256]byte
		in := w.text(room[:0], 1, l.Name)
		in = w.text(in, 2, l.Value)
		if len(l.BinaryValue) > 0 {
			in = w.bytes(in, 3, l.BinaryValue)
		}
		b = w.bytes(b, 1, in)
	}
	b = w.text(b, 2, p.GetKeyFingerprint())
	if a := p.GetAnswer(); a != nil {
		in := w.number(nil, 1, int64(a.Status))
		if len(a.Body) > 0 {
			in = w.bytes(in, 2, a.Body)
		}
		in = w.truth(in, 3, a.Cut)
		b = w.bytes(b, 3, in)
	}
	if len(p.GetSalt()) > 0 {
		b = w.bytes(b, 4, p.GetSalt())
	}
	return b
}

func (w *wire) time(b []byte, num protowire.Number, t *timestamppb.Timestamp) []byte {
	if t == nil {
		return b
	}
	return w.timestamp(b, num, t.Seconds, int(t.Nanos))
}

func (w *wire) timestamp(b []byte, num protowire.Number, seconds int64, nanos int) []byte {
	var room [32]byte
	in := w.number(room[:0], 1, seconds)
	in = w.number(in, 2, int64(nanos))
	return w.bytes(b, num, in)
}

func (w *wire) text(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return w.element(b, num, s)
}

// element is text in a list, where it may be empty.
func (w *wire) element(b []byte, num protowire.Number, s string) []byte {
	w.notUTF8 = w.notUTF8 || !utf8.ValidString(s)
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func (w *wire) bytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func (w *wire) number(b []byte, num protowire.Number, v int64) []byte {
	if v == 0 {
		return b
	}
	return w.varint(b, num, v)
}

func (w *wire) truth(b []byte, num protowire.Number, v bool) []byte {
	if !v {
		return b
	}
	return w.varint(b, num, 1)
}

func (w *wire) varint(b []byte, num protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(v))
}
