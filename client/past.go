package client

import "time"

const (
	// mostPast and longestLate bound what is remembered: what is forgotten is
	// handled again. An event whose acknowledgement came too late comes back
	// soon, or to somebody else.
	mostPast    = 4096
	longestLate = 10 * time.Minute
)

// past remembers the newest delivery of each of the last events, when it is held
// no more: so that what is said twice is noticed, and that an event which was
// handled, but acknowledged too late, need not be handled again when it comes
// back. The zero value remembers nothing yet.
type past struct {
	byEvent map[string]bygone
	ring    []bygone // as they came, the next to be forgotten at next
	next    int
}

// A bygone is a delivery that is held no more.
type bygone struct {
	identity
	late bool // handled, and acknowledged too late
	time time.Time
}

func (p *past) add(i identity, late bool, now time.Time) {
	if p.byEvent == nil {
		p.byEvent, p.ring = make(map[string]bygone), make([]bygone, mostPast)
	}
	if old := p.ring[p.next]; p.byEvent[old.event] == old {
		delete(p.byEvent, old.event)
	}
	b := bygone{i, late, now}
	p.ring[p.next], p.byEvent[i.event] = b, b
	p.next = (p.next + 1) % mostPast
}

// last answers the newest delivery of an event that is remembered.
func (p *past) last(event string) (bygone, bool) {
	b, ok := p.byEvent[event]
	return b, ok
}

// covers reports whether the acknowledgement of b counts for the delivery i too.
func (b bygone) covers(i identity, now time.Time) bool {
	return b.late && i.follows(b.identity) && now.Sub(b.time) < longestLate
}
