package hub

import (
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// form is what is shown of an event: a view, and the kinds of sensitive fields that
// the event's source includes now. A source that changes its mind is thereby
// noticed: its events are shown in another form.
type form uint8

const (
	kindSets = form(event.AllKinds) + 1

	formMetadata    form = 0
	formTyped       form = 1                    // and the kinds
	formFull        form = formTyped + kindSets // and the kinds
	formRawWithheld form = formFull + kindSets
	formRaw         form = formRawWithheld + 1
	formCount       form = formRaw + 1
)

func formOf(view hookstreamv1.EventView, shown event.Kinds) form {
	switch view {
	case hookstreamv1.EventView_EVENT_VIEW_METADATA:
		return formMetadata
	case hookstreamv1.EventView_EVENT_VIEW_RAW:
		if shown == event.AllKinds {
			return formRaw
		}
		return formRawWithheld
	case hookstreamv1.EventView_EVENT_VIEW_FULL:
		return formFull + form(shown)
	}
	return formTyped + form(shown)
}

func (f form) typed() bool { return formTyped <= f && f < formRawWithheld }
func (f form) full() bool  { return formFull <= f && f < formRawWithheld }

// shown are the kinds of sensitive fields in a typed form.
func (f form) shown() event.Kinds { return event.Kinds((f - formTyped) % kindSets) }

// raw reports whether the raw request is shown: all or nothing, as it holds fields
// of every kind.
func (f form) raw() bool { return f == formRaw || f.full() && f.shown() == event.AllKinds }

func (f form) rawWithheld() bool { return f == formRawWithheld || f.full() && !f.raw() }

// maxEventBytes bounds an event as it is sent: clients refuse a message of 4 MiB.
// An event that would be larger is sent without its payload, and if that is not
// enough without raw and proof; omitted_fields says so.
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
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	p := h.pieces(e, f, (*room)[:0])
	if n := cap(p.Payload); n > 0 && n <= maxRoom {
		*room = p.Payload
	}
	return p.Delivery(event.Cursor{Incarnation: h.inc, Seq: e.seq, Time: e.time})
}

// rooms hold payloads until they are part of a frame.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// maxRoom is the largest payload whose memory is kept for the next.
const maxRoom = 64 << 10

// pieces are what is shown of an event.
type pieces struct {
	event.View
	withheld []string // raw and proof, when the source does not include what they hold
}

// pieces chooses what is shown of the event. Its payload may be in room. The
// caller holds e.mu.
func (h *Hub) pieces(e *entry, f form, room []byte) pieces {
	p := pieces{View: event.View{Meta: e.meta}}
	if e.name == nil {
		p.Name = event.Name(h.inc, e.seq)
	}
	if f.typed() {
		h.addTyped(&p, e, f.shown(), room)
	}
	switch {
	case f.raw():
		p.Raw = e.raw
		if f.full() {
			p.Proof = e.proof
		}
	case f.full():
		p.withheld = present(e.raw, e.proof)
	case f.rawWithheld():
		p.withheld = present(e.raw, nil)
	}
	p.bound(e.route.provider)
	return p
}

// addTyped adds the typed content. What it makes for that is not kept: most events
// are framed once and never decoded again, and a message takes ten times the
// memory of its bytes.
func (h *Hub) addTyped(p *pieces, e *entry, shown event.Kinds, room []byte) {
	d := h.decoders[e.route.provider]
	t := e.typed[shown].Load()
	if t == nil && d.Encode != nil && h.addEncoded(p, e, shown, room) {
		return
	}
	if t == nil {
		t = h.decode(e, shown)
	}
	p.State, p.Redacted = t.state, t.redacted
	if t.payload != nil {
		p.PayloadField = d.field.Number()
		// Text that is not UTF-8 is the only error there is; decoders make none. The
		// bytes are complete all the same.
		p.Payload, _ = proto.MarshalOptions{}.MarshalAppend(room, t.payload)
	}
}

// addEncoded adds the typed content without a message being made of it; false when
// that cannot be.
func (h *Hub) addEncoded(p *pieces, e *entry, shown event.Kinds, room []byte) bool {
	told := true
	ok := h.guarded(e, func(d payloadDecoder, body []byte) {
		var paths []string
		p.Payload, p.State = d.Encode(room, body)
		p.Payload, paths, told = event.RedactWire(d.field.Message(), p.Payload, shown)
		p.PayloadField, p.Redacted = d.field.Number(), within(e.route.provider, paths)
	})
	if !ok || !told { // nothing of it may be sent
		p.Payload, p.PayloadField, p.Redacted = nil, 0, nil
		p.State = hookstreamv1.DecodeState_DECODE_STATE_FAILED
	}
	return told
}

// within answers paths into the payload as paths into the event.
func within(provider string, paths []string) []string {
	for i, path := range paths {
		paths[i] = provider + "." + path
	}
	return paths
}

// bound leaves out what would make the event too large to be received.
func (p *pieces) bound(provider string) {
	if p.Size() > maxEventBytes && p.PayloadField != 0 {
		p.PayloadField, p.Redacted, p.Omitted = 0, nil, []string{provider}
	}
	if p.Size() > maxEventBytes && len(p.Raw) > 0 {
		p.Omitted = append(p.Omitted, present(p.Raw, p.Proof)...)
		p.Raw, p.Proof = nil, nil
	}
	if len(p.withheld) > 0 {
		p.Redacted = append(p.Redacted[:len(p.Redacted):len(p.Redacted)], p.withheld...)
	}
}

// present names those fields that the event has.
func present(raw, proof []byte) []string {
	switch {
	case len(raw) > 0 && len(proof) > 0:
		return []string{"raw", "proof"}
	case len(raw) > 0:
		return []string{"raw"}
	case len(proof) > 0:
		return []string{"proof"}
	}
	return nil
}
