package client

import (
	"slices"
	"time"
)

const (
	// mostLate and longestLate bound what is remembered: what is forgotten is
	// handled again. An event whose acknowledgement came too late comes back
	// soon, or to somebody else.
	mostLate    = 4096
	longestLate = 10 * time.Minute
)

// lateVerdicts remembers what was decided about events when the gateway would no
// longer hear it, so that they need not be handled again when they come back. The
// zero value remembers nothing yet.
type lateVerdicts struct {
	byEvent map[string]lateVerdict
	order   []string // events, the oldest first
}

type lateVerdict struct {
	attempt int32
	verdict verdict
	time    time.Time
}

func (l *lateVerdicts) add(w *work, now time.Time) {
	if l.byEvent == nil {
		l.byEvent = make(map[string]lateVerdict)
	}
	l.forget(w.event)
	if len(l.order) >= mostLate {
		l.forget(l.order[0])
	}
	l.byEvent[w.event] = lateVerdict{w.attempt, w.verdict, now}
	l.order = append(l.order, w.event)
}

// take answers, once, what was decided about an event on an earlier attempt. An
// attempt that is not later belongs to a new count, after a Seek, and one that is
// replayed was asked for by an operator: those are to be handled again.
func (l *lateVerdicts) take(w *work, now time.Time) (verdict, bool) {
	late, ok := l.byEvent[w.event]
	if !ok {
		return verdict{}, false
	}
	l.forget(w.event)
	return late.verdict, w.attempt > late.attempt && !w.replayed && now.Sub(late.time) < longestLate
}

func (l *lateVerdicts) forget(event string) {
	if _, ok := l.byEvent[event]; !ok {
		return
	}
	delete(l.byEvent, event)
	l.order = slices.DeleteFunc(l.order, func(e string) bool { return e == event })
}
