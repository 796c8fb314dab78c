package subscription

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
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
	if l.active() && !l.pinless && !h.pin.Ours() { // another one is, or nobody
		h.standBy()
	}
	every := pinEvery
	switch {
	case l.phase == collecting:
		every = collectEvery
	case l.phase == serving && !l.pinless:
		h.mu.Unlock()
		return
	}
	if time.Since(l.lookedAt) < every {
		h.mu.Unlock()
		return
	}
	l.lookedAt = time.Now()
	queue, replays := h.queue, h.replays
	phase, changes := l.phase, l.changes
	_, _, before := h.counted(0)
	h.mu.Unlock()

	seen, err := h.lookAtQueues(queue, replays, phase == collecting)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lanes != l || l.phase != phase {
		return
	}
	main, replayed, settled := h.counted(seen.first)
	l.main.foreign, l.replays.foreign = max(int(seen.held)-main, 0), max(int(seen.replayed)-replayed, 0)
	h.hungry = h.hungry || l.replays.foreign > 0
	if l.changes != changes {
		return
	}
	switch {
	case phase == elsewhere && h.pin.Ours(): // what it was chosen with is settled, or not selected
		l.seen(seen.pin, l.turn, false)
		h.wakeAll()
		h.poke()
	case phase == elsewhere:
		if other := seen.pin != ""; other != l.other {
			l.other = other
			h.wakeAll()
		}
	case l.pinless && seen.pin != "" && !h.pin.Ours():
		l.other = true
		h.standBy()
	case phase == collecting && before && settled && int(seen.held) == main && int(seen.replayed) == replayed:
		for _, hd := range l.serve() {
			h.makeReady(hd)
		}
		h.wakeAll()
		h.poke()
	case phase == collecting && l.pinless && time.Since(l.since) > pinlessTime:
		h.standBy()
		l.pinlessRest = time.Now().Add(pinlessPause/2 + rand.N(pinlessPause))
	}
}

// standBy ends handing out.
func (h *home) standBy() {
	h.lanes.stop()
	h.giveBackIdle()
	h.wakeAll()
}

// looked is what JetStream says of an ordered subscription.
type looked struct {
	pin            string
	held, replayed int64
	first          uint64 // of the log: what lies before is in nobody's count
}

// lookAtQueues asks JetStream, for the log's first event last: what it drops
// meanwhile makes the count incomplete, and never complete.
func (h *home) lookAtQueues(q, replays queue.Config, all bool) (out looked, err error) {
	ctx, cancel := context.WithTimeout(h.ctx, lookTime)
	defer cancel()
	st, err := h.m.engine.QueueState(ctx, q)
	if err != nil || !all {
		return looked{pin: st.Pin, held: st.Held}, err
	}
	rst, err := h.m.engine.QueueState(ctx, replays)
	if err != nil && !errors.Is(err, queue.ErrNoQueue) {
		return looked{}, err
	}
	b, err := h.m.engine.Events().Bounds(ctx)
	return looked{st.Pin, st.Held, rst.Held, b.First}, err
}

// counted answers how much is held here of what JetStream counts, and whether there
// is nothing of which that is in doubt.
func (h *home) counted(first uint64) (main, replayed int, settled bool) {
	settled = h.arrived.len() == 0
	for _, hd := range h.holds {
		settled = settled && hd.stage != settling && !hd.doubtful
		switch {
		case hd.replay:
			replayed++
		case hd.seq >= first:
			main++
		}
	}
	return main, replayed, settled
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
