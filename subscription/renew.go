package subscription

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// renewAhead is how long before a hold is not sure any more it is renewed.
const renewAhead = 2 * time.Second

// renew has JetStream hold on to what waits here, and to what was extended.
func (h *home) renew() {
	now := time.Now()
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
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, hd := range holds {
		hd.renewing = false
		if ok[i] {
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
