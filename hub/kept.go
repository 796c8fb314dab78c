package hub

import (
	"context"

	"github.com/hookstream/hookstream/event"
)

// A Run is what the log held at one moment, from some position on, to be read once
// as it is kept.
type Run struct {
	hub        *Hub
	next, last uint64
}

// Kept is one event of a run, or a hole in it.
type Kept struct {
	// Record is the event; Missed is how many are not there, when that is not 0: the
	// log has lost them, has dropped them meanwhile, or cannot read them.
	Record event.Record
	Missed uint64
	// Cursor is the position behind it.
	Cursor event.Cursor
}

// RunAfter answers what follows a cursor, or for nil what begins with the oldest event that
// is left, up to the last that is published now. Its errors are those of Stream.
func (h *Hub) RunAfter(ctx context.Context, after *event.Cursor) (*Run, error) {
	if err := h.waitReady(ctx); err != nil {
		return nil, err
	}
	b, err := h.bounds.Get(ctx, struct{}{})
	if err != nil {
		return nil, err
	}
	r := &Run{hub: h, next: b.First, last: h.head(b)}
	if after == nil {
		return r, nil
	}
	r.next = after.Seq + 1
	return r, h.checkCursor(ctx, *after, b, r.last)
}

// Events is how many positions of the log are ahead.
func (r *Run) Events() uint64 { return r.last + 1 - min(r.next, r.last+1) }

// Cursor is the position before what comes next.
func (r *Run) Cursor(ctx context.Context) (event.Cursor, error) { return r.hub.cursorAt(ctx, r.next-1) }

// How much of the log is read at once.
const runEvents, runBytes = 256, 4 << 20

// Each calls fn with all of the run in the order of the log.
func (r *Run) Each(ctx context.Context, fn func(Kept) error) error {
	for r.next <= r.last {
		recs, err := r.hub.log.Read(ctx, r.next, runEvents, runBytes)
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			break
		}
		for _, rec := range recs {
			if err := r.hole(min(rec.Seq, r.last+1), fn); err != nil || rec.Seq > r.last {
				return err
			}
			if err := r.one(rec, fn); err != nil {
				return err
			}
		}
	}
	return r.hole(r.last+1, fn)
}

// hole tells of what is missing before a position.
func (r *Run) hole(to uint64, fn func(Kept) error) error {
	if to <= r.next {
		return nil
	}
	k := Kept{Missed: to - r.next, Cursor: event.Cursor{Incarnation: r.hub.inc, Seq: to - 1}}
	r.next = to
	return fn(k)
}

func (r *Run) one(rec event.Record, fn func(Kept) error) error {
	if _, err := event.Split(rec.Data); rec.Lost || err != nil {
		return r.hole(rec.Seq+1, fn)
	}
	r.next = rec.Seq + 1
	return fn(Kept{Record: rec, Cursor: event.Cursor{Incarnation: r.hub.inc, Seq: rec.Seq, Time: rec.Time}})
}

// Includes reports whether a source includes sensitive fields of all kinds now.
func (h *Hub) Includes(source string) bool { return h.opts.Sensitive(source) == event.AllKinds }
