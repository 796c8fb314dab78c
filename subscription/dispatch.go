package subscription

import "time"

// dispatch gives what is ready to consumers that have room: suspects first, each
// alone, for they have waited longest.
func (h *home) dispatch() {
	if h.sub.Paused || len(h.consumers) == 0 || h.lanes != nil && !h.lanes.serving() || h.mustAskToYield() {
		return
	}
	h.suspects = h.handTo(h.suspects, h.emptyFor)
	h.spare()
	h.ready = h.handTo(h.ready, h.roomFor)
}

// handTo gives each of some to the consumer that choose answers, and answers what
// is left when there is none.
func (h *home) handTo(some []*hold, choose func(*hold) *consumer) []*hold {
	deadline := time.Now().Add(h.sub.AckDeadline)
	left := some[:0]
	full := false
	for _, hd := range some {
		if h.holds[hd.key] != hd || hd.stage != ready {
			continue
		}
		// Nobody else may be handed it before this delivery is over.
		if full || deadline.After(hd.sure) {
			left = append(left, hd)
			continue
		}
		c := choose(hd)
		if c == nil {
			full = true
			left = append(left, hd)
			continue
		}
		h.box(hd, c, deadline)
	}
	clear(some[len(left):])
	return left
}

func (h *home) box(hd *hold, c *consumer, deadline time.Time) {
	hd.stage, hd.consumer, hd.clientID, hd.deadline = boxed, c, c.opts.ClientID, deadline
	h.bytes += hd.size
	h.force++
	c.assign(hd)
	h.clock.set(deadline, hd)
	if hd.Suspect {
		c.alone = true
	}
}

// spare keeps one consumer from getting more while a suspect waits and all have
// something in hands: so the suspect has its turn when what one consumer holds is
// settled, and the others go on.
func (h *home) spare() {
	if len(h.suspects) == 0 || h.spared != nil && h.spared.held == nil {
		h.spared = nil
	}
	if len(h.suspects) == 0 || h.spared != nil {
		return
	}
	for _, c := range h.consumers {
		if c.alone || c.pull || c.waits() { // it is not for one of these to get others
			continue
		}
		if h.spared == nil || len(c.held) < len(h.spared.held) {
			h.spared = c
		}
	}
}

// inBounds reports whether the subscription has room for one more delivery.
func (h *home) inBounds(hd *hold) bool {
	return h.force == 0 || h.force < h.sub.MaxOutstandingEvents && h.bytes+hd.size <= h.sub.MaxOutstandingBytes
}

// roomFor answers the next consumer in turn that has room, nil when none has.
func (h *home) roomFor(hd *hold) *consumer {
	return h.choose(hd, func(c *consumer) bool { return c != h.spared && c.hasRoom(h.sub, hd.size) })
}

// quietTime is how long nothing must have arrived before a suspect is tried once
// more: JetStream brings back all that a stream held, in no order of ours. Where
// something arrives all the time, it is tried after quietAtMost.
const (
	quietTime   = 50 * time.Millisecond
	quietAtMost = time.Second
)

// emptyFor answers a consumer that has nothing in hands.
func (h *home) emptyFor(hd *hold) *consumer {
	if hd.Failed > 0 && time.Since(h.arrivedAt) < quietTime && time.Since(hd.readyAt) < quietAtMost {
		return nil // one that was tried less often may be about to arrive
	}
	return h.choose(hd, func(c *consumer) bool { return len(c.held) == 0 && c.hasRoom(h.sub, hd.size) })
}

// choose answers the next consumer in turn of those that can take a hold; one that
// did nothing with it before, or is deaf, only when there is no other.
func (h *home) choose(hd *hold, can func(*consumer) bool) (second *consumer) {
	if !h.inBounds(hd) {
		return nil
	}
	for range h.consumers {
		c := h.consumers[h.rotation%len(h.consumers)]
		h.rotation++
		switch {
		case !can(c):
		case c != hd.last && !c.deaf:
			return c
		case second == nil || second.deaf && !c.deaf:
			second = c
		}
	}
	return second
}
