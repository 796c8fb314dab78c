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
	a.queue = nil
	a.busy += len(out)
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
	q := inquiring{places: make(chan struct{}, maxInquiring)}
	defer q.wg.Wait()
	for {
		select {
		case <-h.arrived.wake:
		case <-h.ctx.Done():
			return
		}
		for some := h.arrived.drain(); len(some) > 0; some = h.arrived.drain() {
			for i, a := range some {
				h.admit(a, &q)
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

// inquiring are questions under way about messages that arrived.
type inquiring struct {
	places chan struct{}
	wg     sync.WaitGroup
}

// maxInquiring bounds how many messages are asked about at a time. Who takes over what
// a dead gateway held asks about each of thousands.
const maxInquiring = 16

// admit decides what becomes of a message that arrived. Its event is looked at
// without mu: that may wait for the log. What another gateway may have said of it is
// asked beside, and what needs no question goes past it.
func (h *home) admit(a arrival, q *inquiring) {
	match, isNew := h.notice(a)
	if !isNew {
		h.arrived.looked()
		return
	}
	f, complete := h.lookAt(a, match)
	if complete {
		h.looked(&a, f)
		return
	}
	q.places <- struct{}{} // each question ends in time
	h.mu.Lock()
	h.inquired[a.key] = &a
	h.recount()
	h.mu.Unlock()
	attempt := a.hand.Attempt
	q.wg.Go(func() {
		defer func() { <-q.places }()
		f.known, f.wait, f.err = h.inquireAbout(a.key, attempt)
		h.looked(&a, f)
		h.poke()
	})
}

// looked decides on a message that was looked at.
func (h *home) looked(a *arrival, f finding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.arrived.looked()
	if h.inquired[a.key] == a {
		delete(h.inquired, a.key)
	}
	h.decideOn(*a, f)
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
	return h.match, h.isNew(a) && h.inTimeFor(a) && !h.asksAbout(a)
}

// asksAbout reports whether it is asked about the message, which came again meanwhile: the answer
// is about both. Nobody died in between. The caller holds mu.
func (h *home) asksAbout(a arrival) bool {
	first := h.inquired[a.key]
	if first == nil || first.generation != a.generation {
		return false
	}
	first.hand = a.hand
	return true
}

// inTimeFor reports whether JetStream still holds for this gateway what arrived. What it does
// not is let go of without a word, and comes again: to look at it would take the time
// in which others are to be looked at that are held still. If more arrives than can be
// looked at in time, those come through that can. The caller holds mu.
func (h *home) inTimeFor(a arrival) bool {
	if time.Now().Before(a.hand.Asked.Add(h.surely)) {
		return true
	}
	h.recount()
	h.m.reachedNobody(h.queueOf(a.key).Name, a.hand, nil)
	return false
}

// recount has an ordered subscription hand out nothing before what arrived, and is let go of
// or asked about, is here: what comes past it may be of its entity. The caller holds mu.
func (h *home) recount() {
	if h.lanes != nil && h.lanes.serving() {
		h.lanes.collect()
		h.lanes.lookSoon()
	}
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

// lookAt answers what is found out without asking anybody, and whether that is all.
func (h *home) lookAt(a arrival, match matcher) (f finding, complete bool) {
	f.event, f.err = h.eventOf(a)
	f.selected = f.err == nil && f.event.Readable() && (a.replay || match(h.ctx, f.event))
	if !f.selected {
		return f, true
	}
	f.known, complete = h.tallyOf(a)
	return f, complete
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
	case h.m.withdrawn.has(h.uid, a.hand.Entry):
		if h.isNew(a) {
			h.memos.put(a.key, skippedMemo)
			go h.m.forget(a.seq)
		}
		h.skip(a)
	case f.err != nil, !f.selected && h.ctx.Err() != nil: // who is interrupted matches nothing
		if h.wanted(a) {
			h.recount()
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
	if !h.isNew(a) || !h.inTimeFor(a) {
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
	hd.turn, hd.pin, hd.queued = a.hand.Turn, a.hand.Pin, a.hand.Attempt
	h.date(hd, a.hand)
	if h.lanes != nil {
		h.lanes.collected(a.hand.Attempt, a.replay)
	}
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

// tallyOf answers what is known here of the deliveries of a message before, and whether
// nobody knows more.
func (h *home) tallyOf(a arrival) (t tally, complete bool) {
	h.mu.Lock()
	queue, past := h.queueOf(a.key).Name, h.past(a)
	h.mu.Unlock()
	if past {
		return tally{}, true // nobody keeps it
	}
	t = h.m.tallies.get(queue, a.seq)
	return t, !t.unexplained(a.hand.Attempt)
}

// inquireAbout answers what anybody knows of the deliveries of a message before, and how
// long its back-off is when the last of them ended with its gateway. What another
// gateway said of it is kept, and may not have come here yet.
func (h *home) inquireAbout(k key, attempt int) (t tally, wait time.Duration, err error) {
	h.mu.Lock()
	queue, sub := h.queueOf(k).Name, h.sub
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, requestTime)
	defer cancel()
	if t, err = h.m.tallies.read(ctx, queue, k.seq); err != nil || !t.unexplained(attempt) {
		return t, 0, err
	}
	t, failed := t.died(attempt)
	h.m.tallies.put(queue, k.seq, t, nil)
	if failed {
		wait = sub.backoff(t.Failed)
	}
	return t, wait, nil
}

// keep makes a hold of a message.
func (h *home) keep(a arrival, f finding) {
	before, _ := h.memos.get(a.key)
	hd := &hold{
		key: a.key, tally: f.known, queue: h.mainQueue, turn: a.hand.Turn, pin: a.hand.Pin, queued: a.hand.Attempt, event: f.event, size: int64(f.event.Size()), entry: a.hand.Entry,
		last: before.by, releases: before.releases,
	}
	h.date(hd, a.hand)
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
