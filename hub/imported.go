package hub

import (
	"context"
	"errors"
	"sort"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// What was imported stands before all that the log received itself, with the names
// that it had: by logs, one behind the other, and of each in its order. So a name is
// found by halving, twice.

// Position answers where the event with a name lies. The error wraps
// eventlog.ErrNotFound when the log never held it, or holds it no more.
func (h *Hub) Position(ctx context.Context, name string) (uint64, error) {
	inc, seq, err := event.ParseName(name)
	if err != nil {
		return 0, eventlog.ErrNotFound
	}
	if inc == h.inc {
		return seq, nil
	}
	b, err := h.bounds.Get(ctx, struct{}{})
	if err != nil {
		return 0, err
	}
	l := &lookup{hub: h, ctx: ctx, last: h.head(b)}
	for from := b.First; l.err == nil; {
		own, _, ok := l.from(from)
		if !ok || own == h.inc {
			break
		}
		to := l.first(from, func(i event.Incarnation, _ uint64) bool { return i != own }) // behind the run
		if own != inc {
			from = to
			continue
		}
		at := l.first(from, func(i event.Incarnation, s uint64) bool { return i != own || s >= seq })
		if i, s, ok := l.from(at); ok && i == inc && s == seq {
			return l.at, nil
		}
		break
	}
	if l.err != nil {
		return 0, l.err
	}
	return 0, eventlog.ErrNotFound
}

// lookup reads the names of events.
type lookup struct {
	hub  *Hub
	ctx  context.Context
	last uint64
	at   uint64 // the position of what was read last
	err  error
}

// from answers the name of the first readable event from a position on.
func (l *lookup) from(seq uint64) (event.Incarnation, uint64, bool) {
	for ; seq <= l.last && l.err == nil; seq++ {
		e, err := l.hub.at(l.ctx, seq)
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			l.err = err
		}
		if err != nil || e.route == nil {
			continue
		}
		l.at = seq
		if inc, n, err := event.ParseName(string(e.name)); err == nil {
			return inc, n, true
		}
		return l.hub.inc, seq, true
	}
	return 0, 0, false
}

// first answers the first position from one on whose event is as asked, or past the
// end; all behind it are.
func (l *lookup) first(from uint64, is func(event.Incarnation, uint64) bool) uint64 {
	return from + uint64(sort.Search(int(l.last+1-from), func(i int) bool {
		inc, seq, ok := l.from(from + uint64(i))
		return !ok || is(inc, seq)
	}))
}
