package hub

import (
	"bytes"
	"context"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// An Event is one event for somebody who reads by position and not in order. One
// from the ring is shared: what it shows is made once, also for the streams.
type Event struct {
	hub *Hub
	e   *entry
}

// At answers the event at seq, from the ring or from the chunk of the log that
// holds it. It waits for an event that is not published yet. The error wraps
// eventlog.ErrNotFound when there is none, or the log no longer holds it, and is
// what ended the hub when it has.
func (h *Hub) At(ctx context.Context, seq uint64) (*Event, error) {
	if err := h.waitReady(ctx); err != nil {
		return nil, err
	}
	if err := h.waitPublished(ctx, seq); err != nil {
		return nil, err
	}
	if e := h.ring.get(seq); e != nil {
		return h.event(e), nil
	}
	if first, _ := h.ring.span(); seq >= first {
		return nil, eventlog.ErrNotFound
	}
	return h.inLog(ctx, seq)
}

// waitPublished returns when the ring has passed seq.
func (h *Hub) waitPublished(ctx context.Context, seq uint64) error {
	for {
		h.ring.mu.RLock()
		next, changed, ended := h.ring.next, h.ring.changed, h.ring.ended
		h.ring.mu.RUnlock()
		switch {
		case seq < next:
			return nil
		case ended != nil:
			return ended
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lagTries is how often a replica that does not have an event yet is asked again.
const lagTries = 50

// inLog answers an event that is older than the ring.
func (h *Hub) inLog(ctx context.Context, seq uint64) (*Event, error) {
	for range lagTries {
		p, err := h.chunks.load(ctx, seq)
		if err != nil {
			return nil, err
		}
		for _, e := range p.entries {
			if e.seq == seq {
				h.chunks.goesOn(seq)
				return h.apart(e), nil
			}
		}
		if p.next > seq { // everything around it is there
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	e, err := h.at(ctx, seq)
	if err != nil {
		return nil, err
	}
	return h.event(e), nil
}

func (h *Hub) event(e *entry) *Event { return &Event{hub: h, e: e} }

// apart answers an event of a chunk in memory of its own. Who asks for one event
// may keep it for long, and hundreds that were read at once keep each other.
func (h *Hub) apart(e *entry) *Event {
	if e.route == nil {
		return h.event(e)
	}
	rec := h.event(e).Record()
	rec.Data = bytes.Clone(rec.Data)
	return h.Of(rec)
}

// Find answers the event at seq, which has been published. The error wraps
// eventlog.ErrNotFound when there is none, or the log no longer holds it.
func (h *Hub) Find(ctx context.Context, seq uint64) (*Event, error) {
	e, err := h.at(ctx, seq)
	if err != nil {
		return nil, err
	}
	return h.event(e), nil
}

// InMemory answers the events from one sequence up to before another that are in the
// ring, be they dropped by the log since.
func (h *Hub) InMemory(from, to uint64) (out []*Event) {
	for _, e := range h.ring.between(from, to) {
		out = append(out, h.event(e))
	}
	return out
}

// Of answers the event of a record that the log may no longer hold.
func (h *Hub) Of(rec event.Record) *Event {
	return h.event(h.newEntry(rec, nil))
}

// Head answers the last sequence that is known to be published, 0 before Run has
// begun.
func (h *Hub) Head() uint64 {
	_, next := h.ring.span()
	return max(next, 1) - 1
}

// Seq is its position in the log.
func (e *Event) Seq() uint64 { return e.e.seq }

// Time is when the log stored it.
func (e *Event) Time() time.Time { return e.e.time }

// Readable is false for a record that is not an event: nothing can be shown of
// it.
func (e *Event) Readable() bool { return e.e.route != nil }

// Entity that the event is about, empty for none.
func (e *Event) Entity() string {
	if !e.Readable() {
		return ""
	}
	return event.EntityOf(e.e.meta)
}

// Size is that of the record.
func (e *Event) Size() int { return len(e.e.data) }

// Record as the log keeps it. It has no data when the event is not readable.
func (e *Event) Record() event.Record {
	return event.Record{Seq: e.e.seq, Time: e.e.time, Data: e.e.data}
}

// Matches reports whether the selector selects the event, as the sources stand
// now.
func (e *Event) Matches(ctx context.Context, s *Selector) bool {
	if !e.Readable() {
		return false
	}
	switch s.onRoute(e.e.route) {
	case miss:
		return false
	case hit:
		return true
	}
	return e.hub.onEvent(ctx, s, e.e, e.hub.opts.Sensitive(e.e.route.source))
}

// Cursor is the position after the event.
func (e *Event) Cursor() event.Cursor {
	return event.Cursor{Incarnation: e.hub.inc, Seq: e.e.seq, Time: e.e.time}
}

// Inner answers the content of one element of DeliveryBatch.deliveries, cursor
// and event in the view, without the element's tag and length: further fields of
// the delivery may follow it. The bytes are shared: nobody may change them.
func (e *Event) Inner(view hookstreamv1.EventView) []byte {
	framed := e.hub.framed(e.e, formOf(view, e.hub.opts.Sensitive(e.e.route.source)))
	return event.DeliveryContent(framed.ReadOnlyData())
}

// Withheld answers a *WithheldError when the view is of what the event's source does
// not include.
func (e *Event) Withheld(view hookstreamv1.EventView) error {
	if source := e.e.route.source; formOf(view, e.hub.opts.Sensitive(source)).rawWithheld() {
		return &WithheldError{source}
	}
	return nil
}

// Message answers the event as a stream of the view would send it.
func (e *Event) Message(view hookstreamv1.EventView) (*hookstreamv1.Event, error) {
	if !e.Readable() {
		return nil, event.ErrRecordInvalid
	}
	return e.hub.unframed(e.e, formOf(view, e.hub.opts.Sensitive(e.e.route.source)))
}

// CheckView answers a *WithheldError when the view holds sensitive fields that
// one of the sources that the selector covers does not include.
func (h *Hub) CheckView(view hookstreamv1.EventView, s *Selector) error { return h.checkView(view, s) }
