package subscription

import (
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// actOnDue looks after the holds whose time has come.
func (h *home) actOnDue() {
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
			h.recallBoxed(hd)
		case hd.stage == waiting && !hd.notBefore.IsZero() && !hd.notBefore.After(now):
			hd.notBefore = time.Time{}
			h.makeReady(hd)
		}
	}
}

// recallBoxed takes back what a consumer did not take before its deadline would have
// passed: one that is frozen, or reads nothing. When there is no other here, another
// gateway is to have one.
func (h *home) recallBoxed(hd *hold) {
	hd.consumer.stuck = true
	h.hearsNothingOf(hd.consumer)
	h.unbox(hd)
	if h.idle() {
		h.standDown()
	}
}

// expire ends a delivery whose deadline has passed. Its consumer is deaf until it
// says something.
func (h *home) expire(hd *hold) {
	h.expired.Add(1)
	if c := hd.consumer; c != nil {
		c.deaf = true
		h.hearsNothingOf(c)
		h.mayBeLate(hd)
	}
	h.fail(hd, lost, "the deadline of the last attempt passed")
}

// fail ends a delivery that settled nothing: another follows, after the back-off
// when it was an attempt that failed, or the event is parked.
func (h *home) fail(hd *hold, how ending, reason string) {
	var failed bool
	hd.tally, failed = hd.ended(how, !hd.shared)
	h.memos.put(hd.key, memo{hand: uint64(hd.HandOut), verdict: Retry, outcome: Expired, by: hd.consumer, releases: hd.releases, reason: reason})
	hd.last = hd.consumer
	h.withdraw(hd)
	var delay time.Duration
	if failed {
		delay = h.sub.backoff(hd.Failed)
	}
	switch {
	case failed && h.spent(hd):
		h.note(hd)
		h.parkLater(hd, reason)
	case h.lanes != nil && h.lanes.serving():
		h.note(hd)
		h.wait(hd, delay)
	default:
		h.drop(hd)
		h.back(hd, delay)
	}
}

// note has kept what is known of a hold that stays here.
func (h *home) note(hd *hold) { h.m.tallies.put(hd.queue.Name, hd.seq, hd.tally, nil) }

// spent reports whether there are no attempts left.
func (h *home) spent(hd *hold) bool { return hd.Failed >= h.sub.MaxAttempts }

// wait keeps a hold here until its next attempt may begin.
func (h *home) wait(hd *hold, delay time.Duration) {
	if delay <= 0 {
		hd.notBefore = time.Time{}
		h.makeReady(hd)
		return
	}
	hd.stage, hd.notBefore = waiting, time.Now().Add(delay)
	h.clock.set(hd.notBefore, hd)
}

func (h *home) makeReady(hd *hold) {
	switch {
	case time.Now().Before(hd.notBefore):
		h.wait(hd, time.Until(hd.notBefore))
	case h.spent(hd): // the last attempt ended with its gateway, or the bound was lowered
		h.parkLater(hd, "its attempts were spent before")
	case hd.Suspect:
		hd.stage, hd.readyAt = ready, time.Now()
		h.suspects = addSuspect(h.suspects, hd)
	default:
		hd.stage = ready
		h.ready = append(h.ready, hd)
	}
}

// withdraw takes a hold out of its consumer's hands.
func (h *home) withdraw(hd *hold) {
	if c := hd.consumer; c != nil {
		c.release(hd)
		hd.consumer = nil
		c.poke()
	}
	hd.shared = false
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
	wait := time.Until(hd.notBefore) // its back-off goes with it
	h.drop(hd)
	h.back(hd, max(wait, 0))
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
		h.follow(a)
		h.bounce(a)
	}
	h.giveBackIdle()
}

// bounce gives back what arrived and nobody is there to take.
func (h *home) bounce(a arrival) {
	h.m.bounce(h.queueOf(a.key), a.hand, 0, h.surely)
	h.pin.Release()
}

// bounce gives back what reached no consumer.
//
// Surely is how long JetStream holds at least what it has handed out.
func (m *Manager) bounce(q queue.Config, hand queue.Hand, delay, surely time.Duration) {
	word := queue.Word{Seq: hand.Seq, Turn: hand.Turn, Attempt: hand.Attempt, Say: queue.Back, Delay: delay, Until: hand.Asked.Add(surely)}
	m.reachedNobody(q.Name, hand, func(error) { m.engine.Say(q, word) })
}

// reachedNobody has it kept that a hand-out reached no consumer: those who are handed the
// message next must know that nobody died with it.
func (m *Manager) reachedNobody(queue string, hand queue.Hand, done func(error)) {
	t := m.tallies.get(queue, hand.Seq)
	if !t.unexplained(hand.Attempt) { // else it is for the next to find out
		t = t.told(hand.Attempt)
	}
	m.tallies.put(queue, hand.Seq, t, done)
}

func (h *home) giveBackIdle() {
	h.ready, h.suspects = nil, nil
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
	h.ready, h.suspects = nil, nil // what giving back made ready is given back too
}

func (h *home) closePullers() {
	for _, p := range []Puller{h.puller, h.replayer} {
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
