package subscription

import (
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
)

const (
	// maxUnselected bounds what is asked for because little of it is selected.
	maxUnselected = 1000
	// replaysEvery is how often replayed entries are looked for though nobody told of
	// any.
	replaysEvery = 2 * time.Second
	// signEvery is how often a gateway that is full asks all the same, to stay the
	// one that is handed what there is.
	signEvery = queue.PinTime / 3
)

// pull asks for as much as there is room for. The caller holds mu.
func (h *home) pull() {
	if h.sub.Paused || h.idle() || h.yields() {
		if h.puller != nil {
			h.standDown()
		}
		return
	}
	if len(h.consumers) == 0 || !h.ensured || !h.openPullers() {
		return
	}
	now := time.Now()
	room := h.room()
	if room <= 0 && h.mustSign(now) {
		room = 1
	}
	h.hungerAgain(now)
	h.pullReplays(room, now)
	h.pullEvents(room, now)
}

// mustSign reports whether a gateway that is full is to give a sign of life, or
// another one would be chosen.
func (h *home) mustSign(now time.Time) bool {
	return h.lanes != nil && now.Sub(h.askedAt) > signEvery
}

// hungerAgain has replayed entries asked for from time to time.
func (h *home) hungerAgain(now time.Time) {
	if now.Sub(h.fedAt) > replaysEvery {
		h.hungry, h.fedAt = true, now
	}
}

// pullEvents asks for as many events as there is room for.
func (h *home) pullEvents(room int, now time.Time) {
	if room <= 0 {
		return
	}
	h.askedAt = now
	switch {
	case h.lanes == nil && h.share < 1:
		// Most of what comes is not selected: ask for more than there is room for.
		h.puller.Fill(max(min(int(float64(room)/h.share), maxUnselected), room))
	case h.lanes != nil && h.lanes.phase == collecting && room == 1:
		h.puller.FillOne()
	default:
		h.puller.Fill(room)
	}
}

// pullReplays asks for as much of what is replayed as there is room for.
func (h *home) pullReplays(room int, now time.Time) {
	if l := h.lanes; l != nil {
		switch {
		case !l.active() && !l.mayServePinless(now):
			return
		case l.phase == collecting:
			room = l.replays.wants(now)
		}
	}
	if room > 0 && h.hungry && h.replayer != nil {
		h.hungry = false
		h.replayer.FillNow(room)
	}
}

// room is how many more there is room for.
func (h *home) room() int {
	waits := h.arrived.len()
	if h.lanes != nil && h.lanes.phase == collecting {
		return h.lanes.main.wants(time.Now()) - waits
	}
	if h.lanes != nil {
		_, lapsed, _, _ := h.counted(0) // which are to come again
		return aheadOf(h.sub) - len(h.holds) + lapsed - waits
	}
	if h.bytes >= h.sub.MaxOutstandingBytes {
		return 0
	}
	n := 0
	for _, c := range h.consumers {
		n += c.room(h.sub)
	}
	return min(n, h.sub.MaxOutstandingEvents-h.force) - len(h.ready) - len(h.suspects) - waits
}

func (h *home) openPullers() bool {
	var err error
	if h.puller == nil {
		h.puller, err = h.m.engine.Pull(h.queue, h.pin, h.receiver(false), h.poke)
	}
	if err == nil && h.replayer == nil && h.m.store.hasReplays(h.sub.ID) {
		h.hungry = true
		h.replayer, err = h.m.engine.Pull(h.replays, h.m.engine.Pin(h.replays), h.receiver(true), h.poke)
	}
	if err != nil {
		h.m.logger.Warn("a subscription cannot pull", "subscription", h.sub.ID, "err", err)
	}
	return err == nil
}

func (h *home) receiver(replay bool) func(queue.Hand) {
	generation, pin := h.sub.Generation, h.pin
	q := h.queue
	if replay {
		q = h.replays
	}
	return func(hand queue.Hand) {
		if h.ctx.Err() != nil { // nobody takes it any more
			h.late.put(arrival{key: key{replay, hand.Seq}, hand: hand, generation: generation})
			h.m.bounce(q, hand, 0, q.Hold)
			pin.Release()
			return
		}
		h.arrived.put(arrival{key: key{replay, hand.Seq}, hand: hand, generation: generation})
	}
}
