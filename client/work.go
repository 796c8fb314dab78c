package client

import (
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// An identity tells the deliveries of one event apart. What a replay hands out is an event
// of its own: whoever asked for it wants it handled, whatever becomes of others.
type identity struct {
	event    string // its name, and that of the replay
	number   int64  // Delivery.hand_out; 0: the gateway is older than that field
	attempt  int32
	replayed bool
	token    string // as it was handed out
}

func identityOf(d *hookstreamv1.Delivery) identity {
	return identity{d.GetEvent().GetName() + d.GetReplay(), d.GetHandOut(), d.GetAttempt(), d.GetReplayed(), d.GetAckToken()}
}

// numbered reports whether both are of a gateway that numbers them.
func (i identity) numbered(o identity) bool { return i.number != 0 && o.number != 0 }

// same reports whether both are one delivery, said twice.
func (i identity) same(o identity) bool {
	return i.token == o.token || i.numbered(o) && i.number == o.number
}

// before reports whether i is certainly an earlier delivery than o. What is not
// numbered is in the order in which it came.
func (i identity) before(o identity) bool { return i.numbered(o) && i.number < o.number }

// follows reports whether i is certainly the delivery that comes next after o:
// nobody had the event in between, and no Seek or replay wants it handled anew.
// Both begin with the first attempt again, so an attempt that is higher, or the
// same and not the first, excludes them. Between a first attempt that was given
// back and a Seek nothing tells.
//
// Without numbers the next attempt has to do, though a Seek may hide behind it.
func (i identity) follows(o identity) bool {
	switch {
	case i.event != o.event || i.replayed != o.replayed:
		return false
	case i.numbered(o):
		return i.number == o.number+1 && i.attempt >= o.attempt && i.attempt > 1
	case i.number != o.number:
		return false
	}
	return i.attempt == o.attempt+1
}

// A work is our part in one delivery, from when it came to when the gateway has
// heard what became of it. A verdict belongs to its work and to no other: see
// [consumer.replace] for the one exception.
type work struct {
	identity
	stream   *stream
	delivery *hookstreamv1.Delivery // the handler's own once it is begun
	token    string                 // the newest
	phase    phase
	queued   bool    // waiting, and in the queue
	verdict  verdict // when decided
	over     bool    // a newer delivery of the event came: nothing counts any more that is said about this one
	lost     bool    // the gateway leaves it to us no more
	kept     bool    // the gateway does not know how to take it back

	lease      time.Duration // what to ask for
	deadline   time.Time     // when it is over unless extended, as far as we know: rather too early than too late
	extendTime time.Time     // when to ask for more time
	lastTime   time.Time     // after which no more is asked for
}

type phase int

const (
	waiting phase = iota
	running
	decided
)

// live reports whether more time is wanted for a work.
func (w *work) live(now time.Time) bool {
	switch {
	case w.lost || w.over:
		return false
	case w.phase == decided, w.phase == waiting && w.kept:
		return true // until the gateway has heard it: else what was said would not count
	}
	return now.Before(w.lastTime)
}

// releasing reports whether the gateway is being asked to take a work back.
func (w *work) releasing() bool {
	return w.phase == decided && w.verdict.nack != nil && w.verdict.nack.action == hookstreamv1.Settlement_VERDICT_RELEASE
}

// acknowledging reports whether the gateway is being told that a work is handled.
func (w *work) acknowledging() bool { return w.phase == decided && w.verdict.nack == nil }
