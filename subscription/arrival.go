package subscription

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/hub"
)

// arrival is a message that was handed to this gateway and not looked at.
type arrival struct {
	key
	hand       queue.Hand
	generation int
	followed   bool // it is looked at once more
}

// arrivals wait to be looked at. What was asked for bounds them.
//
// mu guards queue and busy, and nothing else is taken under it: pullers put arrivals
// here without the mu of the home, which may be held for longer.
type arrivals struct {
	mu    sync.Mutex
	queue []arrival
	busy  int // taken and not yet looked at
	wake  chan struct{}
}

func (a *arrivals) put(v arrival) {
	a.mu.Lock()
	a.queue = append(a.queue, v)
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *arrivals) drain() []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.queue
	a.queue, a.busy = nil, len(out)
	return out
}

func (a *arrivals) looked() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.busy = max(a.busy-1, 0)
}

func (a *arrivals) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue) + a.busy
}

func (a *arrivals) clear() []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.queue
	a.queue = nil
	return out
}

func (h *home) admitAll() {
	for {
		select {
		case <-h.arrived.wake:
		case <-h.ctx.Done():
			return
		}
		for some := h.arrived.drain(); len(some) > 0; some = h.arrived.drain() {
			for i, a := range some {
				h.admit(a)
				h.arrived.looked()
				// Enough is there to be handed out; the rest may wait for the log.
				if i%64 == 63 {
					h.poke()
				}
			}
			h.poke()
		}
	}
}

// againSoon is when a message comes back that could not be looked at.
const againSoon = time.Second

// admit decides what becomes of a message that arrived. Its event is looked at
// without mu: that may wait for the log, and for other gateways.
func (h *home) admit(a arrival) {
	match, isNew := h.notice(a)
	if !isNew {
		return
	}
	f := h.lookAt(a, match)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.decideOn(a, f)
}

// notice has the number of a message counted, and answers whether it is to be looked
// at, and with what.
func (h *home) notice(a arrival) (match matcher, isNew bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.follow(a)
	if h.lanes != nil && !a.replay && a.generation == h.sub.Generation {
		h.lanes.follows(a.hand.Turn)
	}
	return h.match, h.isNew(a)
}

// finding is what was found out about a message.
type finding struct {
	event    *hub.Event
	selected bool
	known    tally         // of its deliveries before
	wait     time.Duration // its back-off
	err      error
}

// lost reports whether the log dropped the event, or nothing can be shown of it.
func (f finding) lost() bool {
	return errors.Is(f.err, eventlog.ErrNotFound) || f.err == nil && !f.event.Readable()
}

func (h *home) lookAt(a arrival, match matcher) (f finding) {
	f.event, f.err = h.eventOf(a)
	f.selected = f.err == nil && f.event.Readable() && (a.replay || match(h.ctx, f.event))
	if f.selected {
		f.known, f.wait, f.err = h.tallyOf(a)
	}
	return f
}

// decideOn keeps a message for consumers, settles what nobody is to be handed, or
// gives it back. All may have changed since it was looked at. The caller holds mu.
func (h *home) decideOn(a arrival, f finding) {
	switch {
	case h.past(a):
	case f.lost():
		if h.isNew(a) {
			h.miss(span{a.seq, a.seq + 1})
			h.memos.put(a.key, skippedMemo)
		}
		h.skip(a)
	case f.err != nil, !f.selected && h.ctx.Err() != nil: // who is interrupted matches nothing
		if h.wanted(a) {
			h.m.bounce(h.queueOf(a.key), a.hand, againSoon, h.surely)
		}
	case !f.selected: // whether anybody is there or not: it is done with
		h.skip(a)
		h.share = max(0.999*h.share, 0.01)
		if h.idle() {
			h.pin.Release()
		}
	default:
		h.share = min(0.999*h.share+0.001, 1)
		if h.wanted(a) {
			h.keep(a, f)
		}
	}
}

func (h *home) eventOf(a arrival) (*hub.Event, error) {
	if a.hand.Entry != nil {
		return h.m.hub.Of(a.hand.Entry.Record), nil
	}
	return h.m.hub.At(h.ctx, a.seq)
}

// skip settles what nobody is to be handed.
func (h *home) skip(a arrival) {
	q := h.queueOf(a.key)
	h.m.tallies.settled(q.Name, a.seq)
	h.m.engine.Say(q, queue.Word{Seq: a.seq, Turn: a.hand.Turn, Attempt: a.hand.Attempt})
}

// wanted reports whether the message is new and there is somebody to be handed it;
// if nobody, it is given back. The caller holds mu.
func (h *home) wanted(a arrival) bool {
	if !h.isNew(a) {
		return false
	}
	if h.idle() || h.sub.Paused {
		h.bounce(a)
		return false
	}
	return true
}

// past reports whether the queue that a message came from is gone: each generation
// has its own, but what is replayed stays. The caller holds mu.
func (h *home) past(a arrival) bool { return !a.replay && a.generation != h.sub.Generation }

// isNew reports whether the message is neither held nor settled here. The caller
// holds mu.
func (h *home) isNew(a arrival) bool {
	if h.past(a) {
		return false
	}
	if m, ok := h.memos.get(a.key); ok && m.final() || h.m.wasSettled(h.queueOf(a.key).Name, a.seq) {
		h.skip(a)
		return false
	}
	hd := h.holds[a.key]
	switch {
	case hd == nil:
		return true
	case hd.stage == settling:
		// A nack brings it back at once, before we know that it was heard.
		hd.again = &a
		return false
	}
	// JetStream hands out what it had handed to us: it took our word for lost.
	hd.turn, hd.queued = a.hand.Turn, a.hand.Attempt
	hd.sure = later(hd.sure, a.hand.Asked.Add(h.surely))
	return false
}

// wasSettled reports whether a message is known for good to be settled.
func (m *Manager) wasSettled(queue string, seq uint64) bool {
	return m.acks != nil && m.acks.Settled(queue, seq)
}

// endSettling lets those go on who wait for the settlement of a hold, and looks at
// what arrived of it meanwhile. The caller holds mu until all else is done.
func (h *home) endSettling(hd *hold) {
	close(hd.done)
	hd.done = nil
	if hd.again != nil {
		hd.again.followed = true
		h.arrived.put(*hd.again)
		hd.again = nil
	}
}

// tallyOf answers what is known of the deliveries of a message before, and how
// long its back-off is when the last of them ended with its gateway.
func (h *home) tallyOf(a arrival) (t tally, wait time.Duration, err error) {
	h.mu.Lock()
	queue, sub, past := h.queueOf(a.key).Name, h.sub, h.past(a)
	h.mu.Unlock()
	if past {
		return tally{}, 0, nil // nobody keeps it
	}
	t = h.m.tallies.get(queue, a.seq)
	if !t.unexplained(a.hand.Attempt) {
		return t, 0, nil
	}
	// What another gateway said of it is kept, and may not have come here yet.
	ctx, cancel := context.WithTimeout(h.ctx, requestTime)
	defer cancel()
	if t, err = h.m.tallies.read(ctx, queue, a.seq); err != nil || !t.unexplained(a.hand.Attempt) {
		return t, 0, err
	}
	t, failed := t.died(a.hand.Attempt)
	h.m.tallies.put(queue, a.seq, t, nil)
	if failed {
		wait = sub.backoff(t.Failed)
	}
	return t, wait, nil
}

// keep makes a hold of a message.
func (h *home) keep(a arrival, f finding) {
	before, _ := h.memos.get(a.key)
	hd := &hold{
		key: a.key, tally: f.known, queue: h.mainQueue, turn: a.hand.Turn, queued: a.hand.Attempt, event: f.event, size: int64(f.event.Size()), entry: a.hand.Entry,
		sure: a.hand.Asked.Add(h.surely), last: before.by, releases: before.releases,
	}
	if f.wait > 0 {
		hd.notBefore = time.Now().Add(f.wait)
	}
	h.holds[hd.key] = hd
	h.arrivedAt = time.Now()
	if a.replay {
		h.hungry, hd.queue = true, h.replayQueue
		hd.HandOut = max(hd.HandOut, hd.entry.HandOut)
	}
	if h.lanes == nil {
		h.makeReady(hd)
		return
	}
	h.lanes.seen(a.hand.Pin, a.hand.Turn, a.replay)
	h.lanes.collected(a.hand.Attempt, a.replay)
	hd.entity = f.event.Entity()
	if h.lanes.add(hd) {
		h.makeReady(hd)
	}
}
