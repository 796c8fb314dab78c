package hub

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Get answers the event with the resource name, as a stream of the view would
// send it. The error wraps eventlog.ErrNotFound when there is none or the log no
// longer holds it, and is a *WithheldError when the view holds sensitive fields
// that the event's source does not include.
func (h *Hub) Get(ctx context.Context, name string, view hookstreamv1.EventView) (*hookstreamv1.Event, error) {
	e, err := h.named(ctx, name)
	if err != nil {
		return nil, err
	}
	f := formOf(view, h.opts.Sensitive(e.route.source))
	if f.rawWithheld() {
		return nil, &WithheldError{e.route.source}
	}
	return h.unframed(e, f)
}

// Kept answers the event as it is kept, raw request and proof included, whatever its
// source shows: for who looks at it and shows nothing of it.
func (h *Hub) Kept(ctx context.Context, name string) (*hookstreamv1.Event, error) {
	e, err := h.Named(ctx, name)
	if err != nil {
		return nil, err
	}
	return event.Decode(h.inc, e.Record())
}

// Named answers the event with the resource name. The error wraps eventlog.ErrNotFound
// when there is none or the log no longer holds it.
func (h *Hub) Named(ctx context.Context, name string) (*Event, error) {
	e, err := h.named(ctx, name)
	if err != nil {
		return nil, err
	}
	return h.event(e), nil
}

// named answers the readable entry of an event's resource name.
func (h *Hub) named(ctx context.Context, name string) (*entry, error) {
	seq, err := h.Position(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	e, err := h.at(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if e.route == nil {
		return nil, fmt.Errorf("%s: %w", name, event.ErrRecordInvalid)
	}
	return e, nil
}

func (h *Hub) unframed(e *entry, f form) (*hookstreamv1.Event, error) {
	e.mu.Lock()
	p := h.pieces(e, f, nil)
	b := p.AppendTo(make([]byte, 0, p.Size()))
	e.mu.Unlock()
	m := new(hookstreamv1.Event)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %w", event.ErrRecordInvalid, err)
	}
	return m, nil
}
