package client

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// mostSays bounds one call, so that it stays well below a request's largest
	// size whatever the reasons.
	mostSays = 1000
	// shortestCall and longestCall bound how long one call may take.
	shortestCall = 2 * time.Second
	longestCall  = 30 * time.Second
)

// A mouth is what is to be told to the gateway, one call after another, so that
// what is decided meanwhile shares the next. Verdicts and releases have one each:
// a gateway that does not know releases refuses a whole call for one.
type mouth struct {
	pending []*work       // under the consumer's mu
	wake    chan struct{} // something changed
}

func newMouth() mouth { return mouth{wake: make(chan struct{}, 1)} }

func (m *mouth) add(w *work) {
	m.pending = append(m.pending, w)
	m.rouse()
}

// rouse has the settler look.
func (m *mouth) rouse() { signal(m.wake) }

// settle tells the gateway what a mouth has to say. It ends when everything was
// said after close, or with ctx.
func (c *consumer) settle(ctx context.Context, m *mouth) {
	var pauses pauses
	for c.gather(ctx, m) {
		told := c.tell(ctx, m, c.flushed(ctx, c.cut(m)))
		c.fallSilent()
		if told {
			pauses.reset()
			continue
		}
		c.rest(ctx, &pauses)
	}
}

// rest pauses after a call that failed. What is to end does not wait: there may be
// time for one more call only, and what was wrong may be over.
func (c *consumer) rest(ctx context.Context, p *pauses) {
	if c.closed.Err() != nil {
		sleep(ctx, p.next(0))
		return
	}
	sleep(c.closed, p.next(0))
	if c.closed.Err() != nil {
		p.reset()
	}
}

// gather waits until a call is worth it, and answers false when there will be
// none.
func (c *consumer) gather(ctx context.Context, m *mouth) bool {
	var delay <-chan time.Time
	for ctx.Err() == nil {
		some, enough, over := c.ripe(m)
		switch {
		case over:
			return false
		case enough:
			return true
		case some && delay == nil:
			delay = time.After(c.AckDelay)
		}
		select {
		case <-m.wake:
		case <-delay:
			return true
		case <-ctx.Done():
		}
	}
	return false
}

// ripe reports whether there is something to say, whether to wait for no more,
// and whether all has been said: by either mouth, as what one says may come back to
// the other.
func (c *consumer) ripe(m *mouth) (some, enough, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	some = len(m.pending) > 0
	idle := c.running == 0 && len(c.queue) == 0
	over = c.closing && c.telling == 0 && len(c.verdicts.pending)+len(c.releases.pending) == 0
	return some, some && (idle || c.closing || len(m.pending) >= mostSays), over
}

// fallSilent says that what was cut was told.
func (c *consumer) fallSilent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.telling--
	if c.closing {
		c.verdicts.rouse()
		c.releases.rouse()
	}
}

// cut takes what the next call says out of what is pending. fallSilent follows.
func (c *consumer) cut(m *mouth) []*work {
	c.mu.Lock()
	c.telling++
	var works []*work
	var lost []*SettleError
	n := 0
	for ; n < len(m.pending) && len(works) < mostSays; n++ {
		if w := m.pending[n]; !w.over {
			works = append(works, w)
		} else if w.missed() {
			lost = append(lost, &SettleError{Delivery: w.delivery, Outcome: hookstreamv1.AckOutcome_ACK_OUTCOME_EXPIRED})
		}
	}
	m.pending = append([]*work(nil), m.pending[n:]...)
	c.mu.Unlock()
	for _, err := range lost {
		c.onError(err)
	}
	return works
}

// missed reports whether a handler should be told that its verdict did not count.
func (w *work) missed() bool { return w.verdict.final() && !w.verdict.moved }

// tell makes a call, and reports whether everything in it was answered for good.
// What was not is pending again.
func (c *consumer) tell(parent context.Context, m *mouth, works []*work) bool {
	if len(works) == 0 {
		return true
	}
	resp, err := c.acknowledge(parent, works)
	switch {
	case err == nil:
		return c.answered(m, works, resp)
	case status.Code(err) == codes.InvalidArgument && m == &c.releases:
		c.notReleased(works, err)
		return true
	case status.Code(err) == codes.InvalidArgument && len(works) > 1:
		// One of them is wrong; the others are not to be lost for that.
		half := len(works) / 2
		first := c.tell(parent, m, works[:half])
		return c.tell(parent, m, works[half:]) && first
	case !repeatable(err):
		c.refused(works, err)
		return true
	}
	if parent.Err() == nil {
		c.onError(fmt.Errorf("acknowledge: %w", err))
	}
	c.putBack(m, works)
	return false
}

// acknowledge makes a call, with the tokens and bounds of this moment. It has less
// time when everything is to end: a call that hangs must leave some for another.
func (c *consumer) acknowledge(parent context.Context, works []*work) (*hookstreamv1.AcknowledgeResponse, error) {
	req := &hookstreamv1.AcknowledgeRequest{Name: c.name}
	c.mu.Lock()
	timeout := min(max(c.lease/2, shortestCall), longestCall)
	for _, w := range works {
		req.Settlements = append(req.Settlements, w.settlement())
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	defer context.AfterFunc(c.closed, func() {
		sleep(ctx, shortestCall)
		cancel()
	})()
	return c.service.Acknowledge(ctx, req)
}

// settlement is what the gateway is told of a work. c.mu is held.
func (w *work) settlement() *hookstreamv1.Settlement {
	n := w.verdict.nack
	if n == nil {
		return &hookstreamv1.Settlement{AckToken: w.token, Verdict: hookstreamv1.Settlement_VERDICT_ACK}
	}
	say := &hookstreamv1.Settlement{AckToken: w.token, Verdict: n.action, Reason: n.reason}
	if n.delay != nil {
		say.Delay = durationpb.New(*n.delay)
	}
	return say
}

// repeatable reports whether a call about deliveries may succeed later. A refusal
// that is not the gateway's own, which has a reason, is what a proxy answers
// while the gateway behind it is exchanged: it knows no such method, or no such
// caller.
func repeatable(err error) bool {
	if mendable(err) {
		return true
	}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.PermissionDenied:
		return false
	}
	return Reason(err) == hookstreamv1.ErrorReason_ERROR_REASON_UNSPECIFIED
}

// putBack makes works pending again, before what came meanwhile. A release is not
// repeated at the end: the stream's end does the same.
func (c *consumer) putBack(m *mouth, works []*work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m == &c.releases && c.closing {
		for _, w := range works {
			c.forget(w)
		}
		return
	}
	m.pending = append(append([]*work(nil), works...), m.pending...)
}

// refused ends what another call cannot mend.
func (c *consumer) refused(works []*work, err error) {
	for _, w := range works {
		c.mu.Lock()
		c.forget(w)
		c.mu.Unlock()
		if !w.verdict.unbegun {
			c.onError(&SettleError{Delivery: w.delivery, Err: err})
		}
	}
}

// notReleased takes that a gateway does not know releases. To let a delivery
// expire would cost an attempt, as would a retry: what was not begun is kept,
// however long it waits; with what a handler gave back that cannot be helped.
func (c *consumer) notReleased(works []*work, err error) {
	c.onError(fmt.Errorf("release: %w", err))
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range works {
		switch {
		case w.over || !c.held[w] || c.stopping && w.verdict.unbegun:
			c.forget(w) // goes back when its stream is closed
		case w.verdict.unbegun:
			w.phase, w.verdict, w.kept = waiting, verdict{}, true
			c.admit(w)
			c.look(w)
		default:
			w.verdict.nack.action = hookstreamv1.Settlement_VERDICT_RETRY
			c.verdicts.add(w)
		}
	}
	c.dispatch()
}

// answered takes the gateway's answers, and reports whether none has to be asked
// for again.
func (c *consumer) answered(m *mouth, works []*work, resp *hookstreamv1.AcknowledgeResponse) bool {
	var again []*work
	var lost []*SettleError
	results := resp.GetResults()
	c.mu.Lock()
	now := time.Now()
	for i, w := range works {
		outcome := hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE
		if i < len(results) {
			outcome = results[i].GetOutcome()
		}
		repeat, err := c.concluded(w, outcome, now)
		if repeat {
			again = append(again, w)
		}
		if err != nil {
			lost = append(lost, err)
		}
	}
	c.mu.Unlock()
	if len(again) > 0 {
		c.putBack(m, again)
	}
	for _, err := range lost {
		c.onError(err)
	}
	return len(again) == 0
}

// concluded takes the answer to a verdict. c.mu is held.
func (c *consumer) concluded(w *work, outcome hookstreamv1.AckOutcome, now time.Time) (again bool, lost *SettleError) {
	switch outcome {
	case hookstreamv1.AckOutcome_ACK_OUTCOME_DONE, hookstreamv1.AckOutcome_ACK_OUTCOME_PARKED:
		c.forget(w)
		return false, nil
	case hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE:
		return true, nil
	}
	newest := c.byEvent[w.event] == w
	c.forget(w)
	if !w.missed() {
		return false, nil // it is handed out again, as was asked for, or was handled under a later delivery
	}
	if newest && w.verdict.nack == nil {
		c.past.add(w.identity, true, now)
	}
	return false, &SettleError{Delivery: w.delivery, Outcome: outcome}
}
