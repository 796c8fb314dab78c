package subscription

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// A hold ends with the leader of its queue. JetStream's leader of a queue tells the others
// that a message was handed out, and as the time of it when the message was published. Who
// is chosen next goes by that: what was published longer ago than it is held for comes
// again within two seconds of the choice, to whichever gateway, and nobody is dead or cut
// off. Only a renewal is told with its own time.
//
// So what was published a while ago is renewed before it is handed out, and it is proven
// that no leader was chosen between its hand-out and its renewal.

// firstLook is how long a leader waits, when it is chosen, before it hands out again what
// the one before had handed out.
const firstLook = 500 * time.Millisecond

// until is when somebody else may have the message, if the queue keeps its leader.
func (h *hold) until() time.Time {
	if h.unproven() {
		return h.held
	}
	return h.sure
}

// unproven reports whether a change of the queue's leader would end the hold too soon.
func (h *hold) unproven() bool { return !h.asked.IsZero() }

// certain is until when nobody else has the message, whoever leads the queue. It may be
// before sure of what was in force when it came again.
func (h *hold) certain() time.Time {
	if h.unproven() && h.next.Before(h.sure) {
		return h.next
	}
	return h.sure
}

// prolong notes that a longer hold was confirmed in time. On a cluster the leader that is
// next need not have heard of it: what is in force for longer is renewed, and proven.
func (h *home) prolong(hd *hold, sent time.Time) {
	until := sent.Add(h.surely)
	if h.m.engine.Embedded() {
		hd.prove(until)
		return
	}
	if !hd.unproven() {
		hd.asked, hd.next = sent, hd.sure
	}
	hd.held = later(hd.held, until)
}

// prove notes that a longer hold is known to whoever leads the queue.
func (h *hold) prove(until time.Time) {
	h.sure = later(h.sure, until)
	h.asked, h.held, h.next = time.Time{}, time.Time{}, time.Time{}
}

// date notes until when a message is held that was handed to this gateway.
func (h *home) date(hd *hold, hand queue.Hand) {
	held := hand.Asked.Add(h.surely)
	sure := held
	if !h.m.engine.Embedded() && !hand.Published.IsZero() {
		// The clocks of NATS's nodes may differ by as much.
		next := h.m.toOurs(hand.Published).Add(h.surely - h.m.renewAhead())
		sure = later(next, hand.Asked.Add(firstLook))
	}
	if !sure.Before(held) {
		hd.prove(held)
		return
	}
	hd.asked, hd.held, hd.next = hand.Asked, later(hd.held, held), sure
	if hd.stage != boxed && hd.stage != given {
		hd.sure = sure
	}
}

// proof is what is known of a renewal that was confirmed.
type proof struct {
	proven bool      // it was said to a leader with a quorum behind it, and leads still
	led    time.Time // that leads since then at the latest; zero: since ever
	heard  time.Time // the answers to the renewal were here
}

// prove asks who heard what was said at a time, the leader of the queue itself when
// anybody else may have led it a moment before.
func (m *Manager) prove(ctx context.Context, q queue.Config, said time.Time, unproven bool) proof {
	p := proof{heard: time.Now()}
	if !unproven {
		p.proven = m.proven(ctx, said)
		return p
	}
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		l, err := m.engine.Leading(ctx, q)
		if err == nil && !l.Reached.Before(said) {
			// Who leads only since then need not have heard of it.
			p.proven, p.led = !l.Since.After(said), l.Since
			return p
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return p
		}
	}
}

// mayBeElsewhere reports whether a leader was chosen after the message was handed out, who
// had the time to hand it to somebody else before he heard of the renewal.
func (p proof) mayBeElsewhere(hd *hold) bool {
	return hd.unproven() && p.led.After(hd.asked) && !p.heard.Before(hd.next)
}

// disown gives up a hold that may be somebody else's by now, without a word: it would be
// heard about what that one holds. What is in force stays so. The caller holds mu.
func (h *home) disown(hd *hold) {
	hd.asked, hd.held, hd.next = time.Time{}, time.Time{}, time.Time{}
	if h.holds[hd.key] == hd && (hd.stage == waiting || hd.stage == ready) {
		h.lose(hd)
	}
	if hd.owed {
		hd.sure = time.Now()
	}
}
