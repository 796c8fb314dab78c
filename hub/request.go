package hub

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Request says what one stream is given.
type Request struct {
	// Selector chooses events; required.
	Selector *Selector
	// View is how much of them is sent; not unspecified.
	View  hookstreamv1.EventView
	Start Start
	Stop  Stop

	// BatchEvents and BatchBytes bound a batch; a larger event is sent alone.
	// BatchWait is how long a batch may wait to be filled.
	BatchEvents, BatchBytes int
	BatchWait               time.Duration
	// Heartbeat is how often a frame is sent when there is nothing to send.
	Heartbeat time.Duration
	// SkipExpired goes on with the oldest event that is left, after a Gap, where
	// the stream would end with ErrCursorExpired.
	SkipExpired bool

	// Opened is the first frame.
	Opened *hookstreamv1.Opened
}

// Start is where a stream begins. The zero value is latest: with the first event
// published after the stream opened.
type Start struct {
	// Earliest: with the oldest event that the log holds.
	Earliest bool
	// After a cursor, when not nil.
	After *event.Cursor
	// At: with the first event published at or after this time, when not nil.
	At *time.Time
}

// Stop is where a stream ends. The zero value is never.
type Stop struct {
	// AtHead: after the last event that the log held when the stream opened.
	AtHead bool
	// Until: before the first event published after this time, when not nil.
	Until *time.Time
}

// A Frame is one response of a stream.
type Frame struct {
	// Cursor is the position after the frame.
	Cursor event.Cursor
	// Deliveries are elements of DeliveryBatch.deliveries: tag, length and message
	// each. The bytes are shared: nobody may change or free them. The list is the frame's
	// until Send returns.
	Deliveries mem.BufferSlice
	// Message is what any other frame than a batch says: an Opened, Heartbeat,
	// CaughtUp, FellBehind, Gap or Draining.
	Message proto.Message
}

// begin finds where a stream begins.
func (s *stream) begin(ctx context.Context) error {
	h := s.hub
	b, err := h.bounds.Get(ctx, struct{}{})
	if err != nil {
		return err
	}
	s.head = h.head(b)
	switch start := s.req.Start; {
	case start.After != nil:
		s.pos = start.After.Seq + 1
		if err := h.checkCursor(ctx, *start.After, b, s.head); err != nil && (!s.req.SkipExpired || !errors.Is(err, ErrCursorExpired)) {
			return err
		}
	case start.Earliest:
		s.pos, s.floating = b.First, true
	case start.At != nil:
		if s.pos, err = h.log.SeqAt(ctx, *start.At); err != nil {
			return err
		}
		s.floating = true
	default:
		s.pos = s.head + 1
	}
	s.cursor, err = h.cursorAt(ctx, s.pos-1)
	return err
}

// checkCursor says whether the events after the cursor are there, and are those
// of the log that the cursor was made from.
func (h *Hub) checkCursor(ctx context.Context, c event.Cursor, b eventlog.Bounds, head uint64) error {
	if c.Incarnation != h.inc || c.Seq > head {
		return ErrCursorUnknown
	}
	first, _ := h.ring.span()
	if c.Seq+1 < min(b.First, first) {
		return ErrCursorExpired
	}
	if c.Time.IsZero() {
		return nil
	}
	stored, err := h.cursorAt(ctx, c.Seq)
	if err != nil {
		return err
	}
	if !stored.Time.IsZero() && !stored.Time.Equal(c.Time) {
		return ErrCursorUnknown
	}
	return nil
}

// cursorAt answers the cursor after seq, with the time of the event there if
// there is one.
func (h *Hub) cursorAt(ctx context.Context, seq uint64) (event.Cursor, error) {
	c := event.Cursor{Incarnation: h.inc, Seq: seq}
	if seq == 0 {
		return c, nil
	}
	e, err := h.at(ctx, seq)
	switch {
	case errors.Is(err, eventlog.ErrNotFound):
		return c, nil
	case err != nil:
		return c, err
	}
	c.Time = e.time
	return c, nil
}

// checkView refuses a view with sensitive fields of all kinds unless every source
// that the selector covers includes them all.
func (h *Hub) checkView(view hookstreamv1.EventView, s *Selector) error {
	if view != hookstreamv1.EventView_EVENT_VIEW_RAW && view != hookstreamv1.EventView_EVENT_VIEW_FULL {
		return nil
	}
	for _, source := range s.covers(h.opts.Sources) {
		if h.opts.Sensitive(source) != event.AllKinds {
			return &WithheldError{source}
		}
	}
	return nil
}

func (s *Selector) covers(all func() []string) []string {
	if s.sources == nil {
		return all()
	}
	out := make([]string, 0, len(s.sources))
	for source := range s.sources {
		out = append(out, source)
	}
	return out
}
