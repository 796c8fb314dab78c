package hub

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// form is what is shown of an event: a view, and whether the event's source
// includes sensitive fields now. A source that changes its mind is thereby
// noticed: its events are shown in another form.
type form uint8

const (
	formMetadata form = iota
	formTyped
	formTypedRedacted
	formRaw
	formRawWithheld
	formFull
	formFullRedacted
	formCount
)

func formOf(view hookstreamv1.EventView, open bool) form {
	forms := [2]form{formTypedRedacted, formTyped}
	switch view {
	case hookstreamv1.EventView_EVENT_VIEW_METADATA:
		return formMetadata
	case hookstreamv1.EventView_EVENT_VIEW_RAW:
		forms = [2]form{formRawWithheld, formRaw}
	case hookstreamv1.EventView_EVENT_VIEW_FULL:
		forms = [2]form{formFullRedacted, formFull}
	}
	return forms[index(open)]
}

func (f form) typed() bool {
	return f == formTyped || f == formTypedRedacted || f == formFull || f == formFullRedacted
}

func (f form) raw() bool         { return f == formRaw || f == formFull }
func (f form) rawWithheld() bool { return f == formRawWithheld || f == formFullRedacted }
func (f form) open() bool        { return f == formTyped || f == formRaw || f == formFull }

// Field numbers of what is joined here. A test holds the bytes against what the
// generated code makes of the same message.
const (
	fieldBatchDeliveries = 1
	fieldDeliveryCursor  = 1
	fieldDeliveryEvent   = 2
	fieldEventName       = 1
	fieldEventState      = 13
	fieldEventRedacted   = 16
)

// maxEventBytes bounds an event as it is sent: clients refuse a message of 4 MiB.
// An event that would be larger is sent without its payload, and if that is not
// enough without raw; redacted_fields says so.
const maxEventBytes = 3<<20 - 1<<10

// framed answers the event as one element of DeliveryBatch.deliveries: tag,
// length and message. It is made once, in the form in which gRPC takes it: to put
// bytes into a mem.Buffer is an allocation, a tenth of what a delivery costs.
// Nobody may change it.
func (h *Hub) framed(e *entry, f form) mem.Buffer {
	if b := e.forms[f].Load(); b != nil {
		return *b
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if b := e.forms[f].Load(); b != nil {
		return *b
	}
	var b mem.Buffer = mem.SliceBuffer(h.frame(e, f))
	e.forms[f].Store(&b)
	e.grow(int64(b.Len()))
	return b
}

func (h *Hub) frame(e *entry, f form) []byte {
	p := h.pieces(e, f)
	eventBytes := p.size()
	delivery := protowire.SizeTag(fieldDeliveryCursor) + protowire.SizeBytes(event.EncodedCursorLen) +
		protowire.SizeTag(fieldDeliveryEvent) + protowire.SizeBytes(eventBytes)
	b := make([]byte, 0, protowire.SizeTag(fieldBatchDeliveries)+protowire.SizeBytes(delivery))
	b = appendHead(b, fieldBatchDeliveries, delivery)
	b = appendHead(b, fieldDeliveryCursor, event.EncodedCursorLen)
	b = event.Cursor{Incarnation: h.inc, Seq: e.seq, Time: e.time}.AppendTo(b)
	b = appendHead(b, fieldDeliveryEvent, eventBytes)
	return p.appendTo(b)
}

func appendHead(b []byte, field protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(size))
}

// pieces of an event in wire form. Protobuf fields may come in any order and
// from anywhere, so that the metadata, marshalled when the event was kept, are
// never marshalled again.
type pieces struct {
	name         string
	meta         []byte
	state        hookstreamv1.DecodeState
	redacted     []string
	payload      proto.Message // nil: none
	payloadField protowire.Number
	payloadSize  int
	raw          []byte
	rawWithheld  bool
}

// pieces chooses what is shown of the event. The caller holds e.mu.
func (h *Hub) pieces(e *entry, f form) pieces {
	p := pieces{name: event.Name(h.inc, e.seq), meta: e.meta}
	if f.typed() {
		t := e.typed[index(f.open())].Load()
		if t == nil {
			// Not kept: most events are framed once and never decoded again, and a
			// message takes ten times the memory of its bytes.
			t = h.decode(e, f.open())
		}
		p.state, p.redacted = t.state, t.redacted
		if t.payload != nil {
			p.payload, p.payloadField, p.payloadSize = t.payload, h.decoders[e.route.provider].field.Number(), proto.Size(t.payload)
		}
	}
	switch {
	case f.raw():
		p.raw = e.raw
	case f.rawWithheld() && len(e.raw) > 0:
		p.rawWithheld = true
	}
	p.bound(e.route.provider)
	return p
}

// bound leaves out what would make the event too large to be received.
func (p *pieces) bound(provider string) {
	if p.size() > maxEventBytes && p.payload != nil {
		p.payload, p.state = nil, hookstreamv1.DecodeState_DECODE_STATE_FAILED
		p.redacted = []string{provider}
	}
	if p.size() > maxEventBytes && p.raw != nil {
		p.raw, p.rawWithheld = nil, true
	}
	if p.rawWithheld {
		p.redacted = append(p.redacted[:len(p.redacted):len(p.redacted)], "raw")
	}
}

func (p *pieces) size() int {
	n := protowire.SizeTag(fieldEventName) + protowire.SizeBytes(len(p.name)) + len(p.meta) + len(p.raw)
	if p.state != 0 {
		n += protowire.SizeTag(fieldEventState) + protowire.SizeVarint(uint64(p.state))
	}
	for _, path := range p.redacted {
		n += protowire.SizeTag(fieldEventRedacted) + protowire.SizeBytes(len(path))
	}
	if p.payload != nil {
		n += protowire.SizeTag(p.payloadField) + protowire.SizeBytes(p.payloadSize)
	}
	return n
}

func (p *pieces) appendTo(b []byte) []byte {
	b = protowire.AppendString(protowire.AppendTag(b, fieldEventName, protowire.BytesType), p.name)
	b = append(b, p.meta...)
	if p.state != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, fieldEventState, protowire.VarintType), uint64(p.state))
	}
	for _, path := range p.redacted {
		b = protowire.AppendString(protowire.AppendTag(b, fieldEventRedacted, protowire.BytesType), path)
	}
	if p.payload != nil {
		b = appendHead(b, p.payloadField, p.payloadSize)
		// Text that is not UTF-8 is the only error there is; decoders make none. The
		// bytes are complete all the same.
		b, _ = proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, p.payload)
	}
	return append(b, p.raw...)
}
