package subscription

import (
	"context"
	"time"
)

const (
	// collectEvery is how often a gateway that takes over looks whether
	// everything is there; pinEvery how often one that stands by looks who is
	// handed what there is.
	collectEvery = 100 * time.Millisecond
	pinEvery     = time.Second
	// lookTime bounds the look: the home does nothing else meanwhile.
	lookTime = 2 * time.Second
)

// mindPin follows who hands out an ordered subscription.
func (h *home) mindPin() {
	h.mu.Lock()
	l := h.lanes
	if l == nil || h.puller == nil {
		h.mu.Unlock()
		return
	}
	if l.active() && !h.pin.Ours() { // another one is, or nobody
		l.stop()
		h.giveBackIdle()
		h.wakeAll()
	}
	every := pinEvery
	switch {
	case l.phase == collecting:
		every = collectEvery
	case l.phase == serving:
		h.mu.Unlock()
		return
	}
	if time.Since(l.lookedAt) < every {
		h.mu.Unlock()
		return
	}
	l.lookedAt = time.Now()
	queue, replays, withReplays := h.queue, h.replays, h.replayer != nil
	phase, changes, main, replayed := l.phase, l.changes, 0, 0
	settled := h.arrived.len() == 0
	for _, hd := range h.holds {
		settled = settled && hd.stage != settling && !hd.doubtful
		if hd.replay {
			replayed++
		} else {
			main++
		}
	}
	h.mu.Unlock()

	ctx, cancel := context.WithTimeout(h.ctx, lookTime)
	defer cancel()
	st, err := h.m.engine.QueueState(ctx, queue)
	if err != nil {
		return
	}
	complete := settled && int(st.Held) == main
	if complete && withReplays {
		rst, err := h.m.engine.QueueState(ctx, replays)
		complete = err == nil && int(rst.Held) == replayed
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lanes != l || l.phase != phase {
		return
	}
	l.foreign = max(int(st.Held)-main, 0)
	if l.changes != changes {
		return
	}
	if phase == elsewhere {
		if other := st.Pin != ""; other != l.other {
			l.other = other
			h.wakeAll()
		}
		return
	}
	if complete && h.arrived.len() == 0 {
		for _, hd := range l.serve() {
			h.makeReady(hd)
		}
		h.wakeAll()
		h.poke()
	}
}

// mindConnection stops a subscription from handing out while its gateway is cut
// off: what a consumer says through another gateway goes past it, and is kept. Once
// it is back, it goes on with what JetStream hands it then, and an ordered one
// begins like one that takes over.
func (h *home) mindConnection() (up bool) {
	losses, up := h.m.engine.Connection()
	back := losses != h.losses
	h.losses = losses
	if !back && up {
		return up
	}
	if h.lanes != nil && h.lanes.serving() {
		h.lanes.collect()
		h.wakeAll()
	}
	for _, hd := range h.holds {
		hd.doubtful = hd.doubtful || h.lanes != nil && (hd.stage == given || hd.stage == settling)
	}
	if back {
		h.giveBackIdle()
	}
	return up
}

// phase answers why consumers here are handed something or not.
func (h *home) phase() Phase {
	switch {
	case h.sub.Paused:
		return Paused
	case h.lanes != nil && !h.lanes.active() && h.lanes.other:
		return StandingBy
	}
	return Active
}
