package hub

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// entry is one event in memory, with what was made of it so far. What it shows
// is made by whoever wants it first and shared by all.
type entry struct {
	seq   uint64
	time  time.Time
	route *route // nil when the record is not an event: lost, or of no known form
	name  []byte // of an event that was imported
	data  []byte // the record; the others are parts of it
	meta  []byte
	raw   []byte
	proof []byte

	forms [formCount]atomic.Pointer[mem.Buffer]
	typed [event.AllKinds + 1]atomic.Pointer[typed] // by the kinds that are shown
	plain atomic.Pointer[hookstreamv1.Event]

	// mu is held while something is made, so that it is made once, and guards what
	// follows. It is taken last.
	mu      sync.Mutex
	size    int64         // bytes, of the record and what was made of it
	account *atomic.Int64 // what size is counted into; nil when nobody counts
}

// typed is the typed content of an event. Nobody changes it once it is made.
type typed struct {
	payload  proto.Message // nil when there is none
	state    hookstreamv1.DecodeState
	redacted []string // paths into the event
	event    atomic.Pointer[hookstreamv1.Event]
}

// entryOverhead is what an entry costs beyond its bytes, roughly.
const entryOverhead = 256

// newEntry answers the entry of a record. account is charged with its size until
// release.
func (h *Hub) newEntry(rec event.Record, account *atomic.Int64) *entry {
	e := &entry{seq: rec.Seq, time: rec.Time, account: account}
	if rec.Lost {
		return e
	}
	parts, err := event.Split(rec.Data)
	if err != nil {
		// Nothing can be shown of it. Nobody but who damaged the log is helped by
		// ending every stream here for ever.
		h.broken.Add(1)
		if len(rec.Data) > 0 { // else the log has told of it
			h.logger.Error("a record of the log is not an event and is left out", "seq", rec.Seq, "err", err)
		}
	} else {
		e.route, e.name = h.routes.of(parts), parts.Name
		e.data, e.meta, e.raw, e.proof = rec.Data, parts.Meta, parts.Raw, parts.Proof
	}
	e.grow(int64(len(rec.Data)) + entryOverhead)
	return e
}

// grow counts what was made. The caller holds mu, or is the only one who knows
// the entry.
func (e *entry) grow(n int64) {
	e.size += n
	if e.account != nil {
		e.account.Add(n)
	}
}

// release ends the counting: the entry is not cached any more. Streams that hold
// it may still make something of it.
func (e *entry) release() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.account != nil {
		e.account.Add(-e.size)
		e.account = nil
	}
}

// typedOf answers the typed content of the event, with sensitive fields of no kinds
// but those that are shown.
func (h *Hub) typedOf(e *entry, shown event.Kinds) *typed {
	if t := e.typed[shown].Load(); t != nil {
		return t
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.typed[shown].Load(); t != nil {
		return t
	}
	t := h.decode(e, shown)
	e.typed[shown].Store(t)
	e.grow(int64(2*len(e.raw)) + entryOverhead) // a guess: a message has no size in memory
	return t
}

func (h *Hub) decode(e *entry, shown event.Kinds) *typed {
	t := new(typed)
	ok := h.guarded(e, func(d payloadDecoder, body []byte) {
		t.payload, t.state = d.Decode(body)
		if t.payload != nil {
			t.redacted = within(e.route.provider, event.Redact(t.payload, shown))
		}
	})
	if !ok {
		return &typed{state: hookstreamv1.DecodeState_DECODE_STATE_FAILED}
	}
	return t
}

// guarded has the event's decoder do something with the body, and reports whether
// there is one and it did.
func (h *Hub) guarded(e *entry, do func(d payloadDecoder, body []byte)) (ok bool) {
	d, ok := h.decoders[e.route.provider]
	if !ok {
		return false
	}
	// A body that breaks a decoder must not end every stream that meets it, again
	// whenever it comes back.
	defer func() {
		if r := recover(); r != nil {
			h.decodeFailures.Add(1)
			h.logger.Error("a decoder panicked", "provider", e.route.provider, "seq", e.seq)
			ok = false
		}
	}()
	do(d, event.Parts{Raw: e.raw}.Body())
	return true
}

// plainOf answers the event as a message without payload and raw.
func (h *Hub) plainOf(e *entry) *hookstreamv1.Event {
	if m := e.plain.Load(); m != nil {
		return m
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if m := e.plain.Load(); m != nil {
		return m
	}
	m := h.message(e)
	e.plain.Store(m)
	e.grow(int64(2 * len(e.meta)))
	return m
}

// messageOf answers the event as the view TYPED shows it.
func (h *Hub) messageOf(e *entry, shown event.Kinds) *hookstreamv1.Event {
	t := h.typedOf(e, shown)
	if m := t.event.Load(); m != nil {
		return m
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if m := t.event.Load(); m != nil {
		return m
	}
	m := h.message(e)
	m.DecodeState, m.RedactedFields = t.state, append(m.RedactedFields, t.redacted...)
	if t.payload != nil {
		m.ProtoReflect().Set(h.decoders[e.route.provider].field, protoreflect.ValueOfMessage(t.payload.ProtoReflect()))
	}
	t.event.Store(m)
	e.grow(int64(2 * len(e.meta)))
	return m
}

func (h *Hub) message(e *entry) *hookstreamv1.Event {
	m := new(hookstreamv1.Event)
	// Split has walked these bytes, so that an error can only be text that is not
	// UTF-8: the fields before it are there.
	_ = proto.Unmarshal(e.meta, m)
	m.Name = event.NameOf(h.inc, e.seq, m.Name)
	return m
}
