package subscription

import (
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// ring looks after the holds whose time has come.
func (h *home) ring() {
	now := time.Now()
	for hd := h.clock.due(now); hd != nil; hd = h.clock.due(now) {
		if h.holds[hd.key] != hd {
			continue
		}
		switch {
		case hd.stage == given && !hd.deadline.After(now):
			h.expire(hd)
		case hd.stage == given:
			h.clock.set(hd.deadline, hd) // it was extended
		case hd.stage == boxed && !hd.deadline.After(now):
			h.unbox(hd)
		case hd.stage == waiting && !hd.notBefore.IsZero() && !hd.notBefore.After(now):
			hd.notBefore = time.Time{}
			h.makeReady(hd)
		}
	}
}

// expire ends a delivery whose deadline has passed.
func (h *home) expire(hd *hold) {
	h.expired.Add(1)
	h.memos.put(hd.key, memo{turn: hd.turn, verdict: Retry, outcome: Expired})
	h.failed(hd, 0, "the deadline of the last attempt passed")
}

// failed ends an attempt: another follows after the delay, or the event is
// parked.
func (h *home) failed(hd *hold, delay time.Duration, reason string) {
	h.withdraw(hd)
	switch {
	case h.spent(hd):
		h.parkLater(hd, reason)
	case h.lanes != nil && h.lanes.serving():
		hd.failed++
		hd.attempt++
		h.wait(hd, delay)
	default:
		h.drop(hd)
		h.say(hd.key, hd.word(eventlog.Back, delay))
	}
}

// spent reports whether the attempt that ends was the last.
func (h *home) spent(hd *hold) bool {
	if h.lanes != nil {
		return hd.failed+1 >= h.sub.MaxAttempts
	}
	return hd.attempt >= h.sub.MaxAttempts
}

// wait keeps a hold here until its next attempt may begin.
func (h *home) wait(hd *hold, delay time.Duration) {
	if delay <= 0 {
		h.makeReady(hd)
		return
	}
	hd.stage, hd.notBefore = waiting, time.Now().Add(delay)
	h.clock.set(hd.notBefore, hd)
}

func (h *home) makeReady(hd *hold) {
	hd.stage = ready
	h.ready = append(h.ready, hd)
}

// withdraw takes a hold out of its consumer's hands.
func (h *home) withdraw(hd *hold) {
	if c := hd.consumer; c != nil {
		c.release(hd)
		hd.consumer = nil
		c.poke()
	}
	if hd.stage == boxed || hd.stage == given || hd.stage == settling {
		h.bytes -= hd.size
		h.force--
	}
	hd.stage = waiting
	h.poke()
}

// drop forgets a hold. What comes next of its entity is free.
func (h *home) drop(hd *hold) {
	h.withdraw(hd)
	delete(h.holds, hd.key)
	h.clock.forget(hd)
	if h.lanes != nil {
		if next := h.lanes.remove(hd); next != nil {
			h.makeReady(next)
		}
	}
}

// giveBack gives a hold to whichever gateway. It reached no consumer, so it was
// no attempt.
func (h *home) giveBack(hd *hold) {
	h.drop(hd)
	h.m.tellSpared(h.uid, h.sub.Generation, hd.key)
	h.say(hd.key, hd.word(eventlog.Back, hearTime))
}

// unbox makes a hold ready again that was chosen for a consumer and not sent.
func (h *home) unbox(hd *hold) {
	h.withdraw(hd)
	h.makeReady(hd)
}

// standDown gives back everything that is not in a consumer's hands.
func (h *home) standDown() {
	h.closePullers()
	for _, a := range h.arrived.clear() {
		h.bounce(a)
	}
	h.giveBackIdle()
}

// bounce gives back what arrived and nobody is there to take.
func (h *home) bounce(a arrival) {
	h.m.tellSpared(h.uid, a.generation, a.key)
	h.say(a.key, eventlog.Word{Seq: a.seq, Turn: a.hand.Turn, Attempt: a.hand.Attempt, Say: eventlog.Back, Delay: hearTime})
	h.pin.Release()
}

// hearTime is how long the others have to hear that a hand-out was no attempt,
// before it is handed out again.
const hearTime = 50 * time.Millisecond

func (h *home) giveBackIdle() {
	h.ready = nil
	var idle []*hold
	for _, hd := range h.holds {
		if hd.stage == waiting || hd.stage == ready || hd.stage == boxed {
			idle = append(idle, hd)
		}
	}
	for _, hd := range idle {
		if h.holds[hd.key] == hd {
			h.giveBack(hd)
		}
	}
	h.ready = nil // what giving back made ready is given back too
}

func (h *home) closePullers() {
	for _, p := range []*eventlog.Puller{h.puller, h.replayer} {
		if p != nil {
			p.Stop()
		}
	}
	h.puller, h.replayer = nil, nil
	if h.lanes != nil {
		h.lanes.stop()
	}
	h.pin.Release()
}
