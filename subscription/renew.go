package subscription

import (
	"context"
	"slices"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// renewAhead is how long before a hold is not sure any more it is renewed. A
// cluster takes a moment to prove that the answer is a quorum's.
func (m *Manager) renewAhead() time.Duration { return m.opts.holdMargin / 2 }

// renew has JetStream hold on to what waits here, and to what was extended. What
// is not sure any more is given up: it comes again, if it is not settled.
func (h *home) renew() {
	now := time.Now()
	for _, hd := range h.overdue(now) {
		h.lose(hd)
	}
	h.chooseRenewals(now)
	h.hangAll()
}

// Bounds of the window: how many renewals JetStream has not answered at a time.
const (
	minRenewals = 16
	maxRenewals = 4096
)

// chooseRenewals has as many holds renewed as JetStream seems to come to in time:
// of more it would answer to none. First those whose delivery is in force, then what
// may be handed out next. The others may come again, and nobody has their turn for
// good, for a map has no order.
func (h *home) chooseRenewals(now time.Time) {
	room := h.renewable - h.unanswered
	for _, urgent := range []stage{given, ready, waiting} {
		for _, hd := range h.holds {
			if room <= 0 {
				return
			}
			if hd.stage == urgent && !hd.renewing && !hd.lapsed(now) && h.needsRenewal(hd, now) {
				h.toRenew(hd)
				room--
			}
		}
	}
}

// answered learns from how many of some renewals were answered in time. The caller
// holds mu.
func (h *home) answered(ok []bool) {
	n := 0
	for _, is := range ok {
		if is {
			n++
		}
	}
	h.unanswered -= len(ok)
	if n < len(ok) {
		h.renewable = max(n, minRenewals)
	} else {
		h.renewable = min(2*h.renewable, maxRenewals)
	}
}

// toRenew has a hold renewed with the next ones.
func (h *home) toRenew(hd *hold) {
	hd.renewing = true
	h.renewals = append(h.renewals, hd)
}

// hangAll renews what is to be renewed. The caller holds mu.
func (h *home) hangAll() {
	byQueue := make(map[*queue.Config][]*hold)
	for _, hd := range h.renewals {
		byQueue[hd.queue] = append(byQueue[hd.queue], hd)
	}
	h.unanswered += len(h.renewals)
	h.renewals = nil
	for _, some := range byQueue {
		h.hanging.Go(func() { h.hang(some) })
	}
}

// sayAhead is how long before a hold is not sure any more JetStream must be told of
// what is given back. It is not told later: the word may lie in a connection that is
// cut off until somebody else has the message.
func (m *Manager) sayAhead() time.Duration { return m.renewAhead() + m.opts.holdMargin/5 }

// owes reports whether JetStream can be told of what is given back only when it has
// answered to a renewal: before, nobody knows until when the message is held.
func (h *home) owes(hd *hold) bool {
	left := time.Until(hd.certain())
	if hd.renewing {
		return true
	}
	if h.m.engine.Embedded() || time.Until(hd.until()) <= 0 || left > h.m.sayAhead() {
		return false
	}
	h.toRenew(hd)
	h.poke()
	return true
}

// repay tells JetStream what it was not told of a hold while that was renewed,
// unless it has come here again. What was not renewed is tried once more, as long as
// it is surely held.
func (h *home) repay(hd *hold, renewed bool) {
	hd.owed = false
	if now := h.holds[hd.key]; now != nil && now.queue == hd.queue {
		return
	}
	delay := max(time.Until(hd.returnAt), 0)
	if renewed {
		h.sayBack(hd, delay)
	} else {
		h.back(hd, delay)
	}
}

func (h *home) needsRenewal(hd *hold, now time.Time) bool {
	switch hd.stage {
	case waiting, ready:
		ahead := h.m.renewAhead()
		if hd.unproven() { // most of them are handed out at once, and need none
			ahead = 0
		}
		return now.Add(h.sub.AckDeadline + ahead).After(hd.sure)
	case given:
		if hd.unproven() && hd.deadline.After(hd.next) { // it came again, or was extended
			return true
		}
		return hd.deadline.After(hd.sure) && now.Add(h.m.renewAhead()).After(hd.sure)
	}
	return false
}

// overdue answers what waits here and may be in other hands by now.
func (h *home) overdue(now time.Time) (out []*hold) {
	for _, hd := range h.holds {
		if hd.lapsed(now) && !h.comesHere(hd, now) {
			out = append(out, hd)
		}
	}
	return out
}

// lapsed reports whether a hold waits here and is not sure any more.
func (h *hold) lapsed(now time.Time) bool {
	return (h.stage == waiting || h.stage == ready) && !h.until().After(now)
}

// comesHere reports whether what has lapsed is in nobody's hands, and comes again to this
// gateway: it has had the pin since, and loses it only with all that waits here. So what comes after
// it of its entity waits for it here, and others are handed out meanwhile, however many
// there are to be held. A renewal without an answer may have been heard, so that JetStream
// holds it once more. When it does not come then it is given up all the same: the log may
// have dropped it. What is replayed has no pin.
func (h *home) comesHere(hd *hold, now time.Time) bool {
	l := h.lanes
	return l != nil && l.active() && !l.pinless && h.pin.Ours() && hd.pin == l.pin && !hd.replay && now.Before(hd.until().Add(h.surely+h.m.opts.holdMargin))
}

// lose gives up a hold of which nobody knows whose it is. Nothing is said about
// it: it would be said about what another gateway was handed since. An ordered
// subscription counts anew what there is before it hands out more, since what
// comes after it of its entity must wait for it still. Nobody died with it, which is
// kept.
func (h *home) lose(hd *hold) {
	hd.tally = hd.over().told(hd.queued)
	h.note(hd)
	if h.lanes != nil && h.lanes.serving() {
		h.lanes.collect()
	}
	h.drop(hd)
}

// proofTime bounds the wait for a quorum.
const proofTime = 5 * time.Second

// proven reports whether what was said at a time was said to a leader with a
// quorum behind it: one that is cut off confirms for some seconds what the others
// never hear of.
func (m *Manager) proven(ctx context.Context, said time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for m.engine.Reached().Before(said) {
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// hangOn is how long a renewal goes on when its home ends: something may be owed.
const hangOn = 2 * time.Second

// hangTime answers a context for a renewal.
func (h *home) hangTime() (context.Context, func()) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), requestTime)
	stop := context.AfterFunc(h.ctx, func() {
		select {
		case <-time.After(hangOn):
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { stop(); cancel() }
}

// hang renews holds of one queue.
func (h *home) hang(holds []*hold) {
	ctx, cancel := h.hangTime()
	defer cancel()
	h.mu.Lock()
	q, surely := *holds[0].queue, h.surely
	words := make([]queue.Word, len(holds))
	unproven := false
	for i, hd := range holds {
		words[i] = hd.word(queue.Held, 0)
		unproven = unproven || hd.unproven()
	}
	h.mu.Unlock()
	sent := time.Now()
	ok, _ := h.m.engine.Confirm(ctx, q, words) // what is not confirmed is not renewed
	h.mu.Lock()
	h.answered(ok)
	h.mu.Unlock()
	h.poke() // for the next
	p := h.m.prove(ctx, q, sent, unproven && slices.Contains(ok, true))
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for i, hd := range holds {
		hd.renewing, h.doubted = false, h.doubted || !ok[i]
		// JetStream confirms it of what is not pending too: only what was surely
		// held here when it answered is held on.
		renewed := ok[i] && p.proven && now.Before(hd.until()) && hd.turn == words[i].Turn
		if renewed && p.mayBeElsewhere(hd) {
			renewed = false
			h.disown(hd)
		}
		if renewed {
			hd.prove(sent.Add(surely))
		}
		if hd.owed {
			h.repay(hd, renewed)
		}
	}
	h.poke()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
