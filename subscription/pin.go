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
	// maxPinPause is how often one does that finds the same again and again. Who is
	// handed something knows at once that it has been chosen.
	maxPinPause = 16 * time.Second
	// lookTime bounds the look: the home does nothing else meanwhile.
	lookTime = 2 * time.Second
)

// mindPin follows who hands out an ordered subscription. JetStream is asked without
// mu, so that its answer counts only as far as the lanes are as they were then.
func (h *home) mindPin() {
	q, due := h.pinQuestion(time.Now())
	if !due {
		return
	}
	seen, err := h.lookAtQueues(q.queue, q.replays, q.phase == collecting)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.doubted = h.doubted || errors.Is(err, queue.ErrNoQueue); err == nil {
		h.heedPin(q, seen)
	}
}

// pinQuestion is what JetStream is asked about, and what the lanes were like then.
type pinQuestion struct {
	queue, replays queue.Config
	lanes          *lanes
	phase          lanePhase
	changes        int
	settled        bool // nothing of what was held here was in doubt
}

// pinQuestion answers what to ask, and whether it is time to.
func (h *home) pinQuestion(now time.Time) (q pinQuestion, due bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lanes
	if l == nil || h.puller == nil {
		return q, false
	}
	if l.active() && !l.pinless && !h.pin.Ours() { // another one is, or nobody
		h.standBy()
	}
	if at := l.lookAt(h.pin.Ours(), h.hasLapsed(now)); at.IsZero() || now.Before(at) {
		return q, false
	}
	l.lookedAt = now
	_, _, _, settled := h.counted(0)
	return pinQuestion{h.queue, h.replays, l, l.phase, l.changes, settled}, true
}

// lookAt answers when JetStream is to be asked again; zero: not at all. Who serves
// with the pin learns from what it pulls that it has it no more, and waits for what has
// lapsed as long as JetStream counts it.
func (l *lanes) lookAt(ours, lapsed bool) time.Time {
	switch {
	case l.phase == serving && !l.pinless && !lapsed:
		return time.Time{}
	case l.phase == collecting:
		return l.lookedAt.Add(collectEvery)
	case l.phase == elsewhere && !ours:
		return l.lookedAt.Add(max(pinEvery, l.pause))
	}
	return l.lookedAt.Add(pinEvery)
}

// lookSoon has JetStream asked at the next look.
func (l *lanes) lookSoon() { l.lookedAt, l.pause = time.Time{}, 0 }

// heedPin acts on what JetStream said. The caller holds mu.
func (h *home) heedPin(q pinQuestion, seen looked) {
	l := h.lanes
	if l != q.lanes || l.phase != q.phase {
		return
	}
	main, lapsed, replayed, settled := h.counted(seen.first)
	l.main.foreign, l.replays.foreign = max(int(seen.held)-main+lapsed, 0), max(int(seen.replayed)-replayed, 0)
	h.hungry = h.hungry || l.replays.foreign > 0
	if l.changes != q.changes {
		return
	}
	all := q.settled && settled && int(seen.held) == main && int(seen.replayed) == replayed &&
		(lapsed == 0 || seen.pin == l.pin) // else somebody else may have been handed them
	switch {
	case l.phase == elsewhere:
		h.heedElsewhere(seen.pin)
	case l.pinless && seen.pin != "" && !h.pin.Ours():
		l.other = true
		h.standBy()
	case l.phase == collecting && all:
		h.serve()
	case l.phase == serving && lapsed > 0 && q.settled && settled && int(seen.held) < main:
		h.loseLapsed()
	case l.phase == collecting && l.pinless && time.Since(l.since) > pinlessTime:
		h.standBy()
		l.pinlessRest = time.Now().Add(pinlessPause/2 + rand.N(pinlessPause))
	}
}

func (h *home) hasLapsed(now time.Time) bool {
	for _, hd := range h.holds {
		if hd.lapsed(now) {
			return true
		}
	}
	return false
}

// loseLapsed gives up what has lapsed: somebody else had some of it settled, or the log
// has dropped it. The caller holds mu.
func (h *home) loseLapsed() {
	now := time.Now()
	for _, hd := range h.holds {
		if hd.lapsed(now) {
			h.lose(hd)
		}
	}
}

// heedElsewhere acts on who has the pin while this gateway does not hand out. The
// caller holds mu.
func (h *home) heedElsewhere(pin string) {
	l := h.lanes
	if h.pin.Ours() { // what it was chosen with is settled, or not selected
		l.seen(pin, l.turn, false)
		h.wakeAll()
		h.poke()
		return
	}
	if h.hungry && h.replayer != nil {
		h.poke() // what is replayed may be for us
	}
	other := pin != ""
	if other == l.other {
		l.pause = min(max(2*l.pause, pinEvery), maxPinPause)
		return
	}
	l.other, l.pause = other, 0
	h.wakeAll()
}

// serve begins handing out: all that JetStream counts as handed out is here. The
// caller holds mu.
func (h *home) serve() {
	for _, hd := range h.lanes.serve() {
		h.makeReady(hd)
	}
	h.wakeAll()
	h.poke()
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
	if err := h.m.asking.begin(h.ctx); err != nil {
		return looked{}, err
	}
	defer h.m.asking.end()
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

// counted answers how much is held here of what JetStream counts, how much of the events
// has lapsed and comes here again, and whether there is nothing of which that is in doubt.
func (h *home) counted(first uint64) (main, lapsed, replayed int, settled bool) {
	settled = h.arrived.len() == 0
	now := time.Now()
	for _, hd := range h.holds {
		settled = settled && hd.stage != settling && !hd.doubtful
		switch {
		case hd.replay:
			replayed++
		case hd.seq >= first:
			main++
			if hd.lapsed(now) {
				lapsed++
				settled = settled && h.comesHere(hd, now)
			}
		}
	}
	return main, lapsed, replayed, settled
}

// watchConnection has all homes look when the gateway is cut off from the queues, and
// when it is back.
func (m *Manager) watchConnection() {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	losses, up := m.engine.Connection()
	for {
		select {
		case <-t.C:
		case <-m.ctx.Done():
			return
		}
		was, wasUp := losses, up
		if losses, up = m.engine.Connection(); losses == was && up == wasUp {
			continue
		}
		for _, h := range m.allHomes() {
			h.poke()
		}
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
