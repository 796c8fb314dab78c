package subscription

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// renewAhead is how long before a hold is not sure any more it is renewed. A
// cluster takes a moment to prove that the answer is a quorum's.
const renewAhead = 5 * time.Second

// renew has JetStream hold on to what waits here, and to what was extended. What
// is not sure any more is given up: it comes again, if it is not settled.
func (h *home) renew() {
	now := time.Now()
	for _, hd := range h.overdue(now) {
		h.lose(hd)
	}
	var main, replays []*hold
	for _, hd := range h.holds {
		if hd.renewing || !h.needsRenewal(hd, now) {
			continue
		}
		hd.renewing = true
		if hd.replay {
			replays = append(replays, hd)
		} else {
			main = append(main, hd)
		}
	}
	for _, some := range [][]*hold{main, replays} {
		if len(some) > 0 {
			go h.hang(some)
		}
	}
}

func (h *home) needsRenewal(hd *hold, now time.Time) bool {
	switch hd.stage {
	case waiting, ready:
		return now.Add(h.sub.AckDeadline + renewAhead).After(hd.sure)
	case given:
		return hd.deadline.After(hd.sure) && now.Add(renewAhead).After(hd.sure)
	}
	return false
}

// overdue answers what waits here and may be in other hands by now.
func (h *home) overdue(now time.Time) (out []*hold) {
	for _, hd := range h.holds {
		if (hd.stage == waiting || hd.stage == ready) && !hd.sure.After(now) {
			out = append(out, hd)
		}
	}
	return out
}

// lose gives up a hold of which nobody knows whose it is. Nothing is said about
// it: it would be said about what another gateway was handed since. An ordered
// subscription counts anew what there is before it hands out more, since what
// comes after it of its entity must wait for it still.
func (h *home) lose(hd *hold) {
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
func (h *home) proven(ctx context.Context, said time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for h.m.engine.Reached().Before(said) {
		select {
		case <-t.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// hang renews holds of one queue.
func (h *home) hang(holds []*hold) {
	ctx, cancel := context.WithTimeout(h.ctx, requestTime)
	defer cancel()
	h.mu.Lock()
	queue, surely := *holds[0].queue, h.surely
	words := make([]eventlog.Word, len(holds))
	for i, hd := range holds {
		words[i] = hd.word(eventlog.Held, 0)
	}
	h.mu.Unlock()
	sent := time.Now()
	ok, _ := h.m.engine.Confirm(ctx, queue, words) // what is not confirmed is not renewed
	proven := h.proven(ctx, sent)
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for i, hd := range holds {
		hd.renewing = false
		// JetStream confirms it of what is not pending too: only what was surely
		// held here when it answered is held on.
		if ok[i] && proven && now.Before(hd.sure) && hd.turn == words[i].Turn {
			hd.sure = later(hd.sure, sent.Add(surely))
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
