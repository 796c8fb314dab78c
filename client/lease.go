package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// shortestLease and longestLease are bounds of the API on an extension.
	shortestLease = time.Second
	longestLease  = time.Hour
)

// keepLeases asks for more time for what is held, while ctx lasts: when half of
// the time is over, and often enough from then on for a call to fail twice. Each
// call is on its own, so that one that hangs delays no other, nor the next about
// the same deliveries.
func (c *consumer) keepLeases(ctx context.Context) {
	for ctx.Err() == nil {
		due, next := c.dueLeases(time.Now())
		for part := range slices.Chunk(due, mostSays) {
			c.helpers.Go(func() { c.extend(ctx, part) })
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
		case <-c.lookAgain:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// dueLeases answers what to ask more time for now, and when to look again. What
// waited too long is given back.
func (c *consumer) dueLeases(now time.Time) (due []*work, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next = now.Add(time.Hour)
	for w := range c.held {
		if w.phase == waiting && !w.live(now) {
			c.release(w, "it waited too long for a handler")
		}
		if c.closing || !w.live(now) {
			continue
		}
		if !now.Before(w.extendTime) {
			due = append(due, w)
			w.extendTime = now.Add(max(w.lease/8, 100*time.Millisecond))
		}
		next = soonest(next, w.extendTime)
		if w.phase == waiting && !w.kept {
			next = soonest(next, w.lastTime)
		}
	}
	c.nextLook = next
	return due, next
}

func soonest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// look has the leases looked at when a work wants that, or sooner. c.mu is held.
func (c *consumer) look(w *work) {
	at := soonest(w.extendTime, w.lastTime)
	if !at.Before(c.nextLook) {
		return
	}
	c.nextLook = at
	signal(c.lookAgain)
}

// extend makes one call that asks for more time.
func (c *consumer) extend(parent context.Context, works []*work) {
	req := &hookstreamv1.AcknowledgeRequest{Name: c.name}
	c.mu.Lock()
	timeout := shortestLease
	for _, w := range works {
		timeout = max(timeout, w.lease)
		req.Settlements = append(req.Settlements, &hookstreamv1.Settlement{
			AckToken: w.token, Verdict: hookstreamv1.Settlement_VERDICT_EXTEND, Extension: durationpb.New(w.lease),
		})
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(parent, min(timeout, longestCall))
	defer cancel()
	begin := time.Now()
	resp, err := c.service.Acknowledge(ctx, req)
	if err != nil {
		c.notExtended(parent, works, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leasePauses.reset()
	for i, w := range works {
		if i < len(resp.GetResults()) {
			c.extended(w, resp.GetResults()[i], begin)
		}
	}
	c.dispatch()
}

// notExtended takes that a call failed. Whatever is wrong, it may pass before the
// deadline does.
func (c *consumer) notExtended(parent context.Context, works []*work, err error) {
	if parent.Err() != nil {
		return
	}
	c.mu.Lock()
	again := time.Now().Add(c.leasePauses.next(0))
	for _, w := range works {
		w.extendTime = soonest(w.extendTime, again)
		c.look(w)
	}
	c.mu.Unlock()
	c.onError(fmt.Errorf("extend: %w", err))
}

// extended takes the answer to a call that began at a time: the gateway cannot
// have counted from before. c.mu is held.
func (c *consumer) extended(w *work, result *hookstreamv1.AckResult, begin time.Time) {
	if !c.held[w] {
		return // its stream ended meanwhile, or a newer delivery came
	}
	now := time.Now()
	switch result.GetOutcome() {
	case hookstreamv1.AckOutcome_ACK_OUTCOME_DONE:
		w.deadline = begin.Add(w.lease)
		if left := w.stream.clock.left(result.GetAckDeadline(), now, w.lease); left > 0 { // else what we take for its clock is wrong
			w.deadline = soonest(w.deadline, now.Add(left))
		}
		w.extendTime = now.Add(max(w.deadline.Sub(now)/2, w.lease/16))
		if token := result.GetNewAckToken(); token != "" {
			w.token = token
		}
		if w.phase == waiting && !w.queued {
			c.admit(w)
		}
		c.look(w)
	case hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE:
		// Asked again soon.
	default:
		c.lose(w)
	}
}

// lose says that the gateway leaves a work to us no more. c.mu is held.
func (c *consumer) lose(w *work) {
	w.lost = true
	if w.phase == waiting {
		c.forget(w)
	}
}
