package subscription

import "time"

// dispatch gives what is ready to consumers that have room.
func (h *home) dispatch() {
	if h.sub.Paused || len(h.consumers) == 0 || h.lanes != nil && !h.lanes.serving() {
		return
	}
	now := time.Now()
	deadline := now.Add(h.sub.AckDeadline)
	left := h.ready[:0]
	full := false
	for _, hd := range h.ready {
		if h.holds[hd.key] != hd || hd.stage != ready {
			continue
		}
		// Nobody else may be handed it before this delivery is over.
		if full || deadline.After(hd.sure) {
			left = append(left, hd)
			continue
		}
		c := h.roomFor(hd)
		if c == nil {
			full = true
			left = append(left, hd)
			continue
		}
		h.box(hd, c, deadline)
	}
	clear(h.ready[len(left):])
	h.ready = left
}

func (h *home) box(hd *hold, c *consumer, deadline time.Time) {
	hd.stage, hd.consumer, hd.clientID, hd.deadline = boxed, c, c.opts.ClientID, deadline
	h.bytes += hd.size
	h.force++
	c.take(hd)
	h.clock.set(deadline, hd)
}

// roomFor answers the next consumer in turn that has room, nil when none has.
func (h *home) roomFor(hd *hold) *consumer {
	if h.force > 0 && (h.force >= h.sub.MaxOutstandingEvents || h.bytes+hd.size > h.sub.MaxOutstandingBytes) {
		return nil
	}
	for range h.consumers {
		c := h.consumers[h.rotation%len(h.consumers)]
		h.rotation++
		if c.hasRoom(h.sub, hd.size) {
			return c
		}
	}
	return nil
}
