package client

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// mostSays bounds one call, so that it stays well below a request's largest
	// size whatever the reasons.
	mostSays = 1000
	// callTimeout bounds one call.
	callTimeout = 30 * time.Second
)

// A say is something to tell the gateway about a work: its verdict, or that it
// takes longer.
type say struct {
	work   *work
	extend bool
	token  string // with which it was said
}

// settle tells the gateway what is pending, one call at a time, so that what is
// decided meanwhile shares the next. It ends when everything was said after
// close, or with ctx.
func (c *consumer) settle(ctx context.Context) {
	var pauses pauses
	for c.gather(ctx) {
		if c.tell(ctx) {
			pauses.reset()
			continue
		}
		sleep(ctx, pauses.next(0))
	}
}

// gather waits until a call is worth it, and answers false when there will be
// none.
func (c *consumer) gather(ctx context.Context) bool {
	var delay <-chan time.Time
	for ctx.Err() == nil {
		some, enough, over := c.ripe()
		switch {
		case over:
			return false
		case enough:
			return true
		case some && delay == nil:
			delay = time.After(c.AckDelay)
		}
		select {
		case <-c.wake:
		case <-delay:
			return true
		case <-ctx.Done():
		}
	}
	return false
}

// ripe reports whether there is something to say, whether to wait for no more,
// and whether all has been said.
func (c *consumer) ripe() (some, enough, over bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	some = len(c.pending) > 0
	idle := c.running == 0 && len(c.queue) == 0
	return some, some && (idle || c.closing || len(c.pending) >= mostSays), c.closing && !some
}

// tell makes one call, and reports whether everything in it was answered for
// good. What was not is pending again.
func (c *consumer) tell(parent context.Context) bool {
	b := c.cut()
	if b.empty() {
		return true
	}
	ctx, cancel := context.WithTimeout(parent, callTimeout)
	defer cancel()
	resp, err := hookstreamv1.NewSubscriptionServiceClient(c.conn).Acknowledge(ctx, b.request(c.name, c.leaseNow()))
	if err == nil {
		return c.answered(b, resp)
	}
	if mendable(err) {
		if parent.Err() == nil {
			c.onError(fmt.Errorf("acknowledge: %w", err))
		}
		c.putBack(b.all())
		return false
	}
	c.refused(b, err)
	return true
}

func (c *consumer) leaseNow() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lease
}

// A sayBatch is what one call says.
type sayBatch struct {
	acks, nacks, extensions []say
}

func (b *sayBatch) empty() bool { return len(b.acks)+len(b.nacks)+len(b.extensions) == 0 }

func (b *sayBatch) all() []say {
	return append(append(append([]say(nil), b.acks...), b.nacks...), b.extensions...)
}

// cut takes what the next call says out of what is pending. The tokens are those
// of this moment: they change when an event was handed out anew.
func (c *consumer) cut() *sayBatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.pending), mostSays)
	b := &sayBatch{}
	for _, s := range c.pending[:n] {
		s.token = s.work.token
		switch {
		case s.extend && (s.work.phase == decided || s.work.lost || c.closing):
			s.work.extending = false
		case s.extend:
			b.extensions = append(b.extensions, s)
		case s.work.verdict.nack != nil:
			b.nacks = append(b.nacks, s)
		default:
			b.acks = append(b.acks, s)
		}
	}
	c.pending = append([]say(nil), c.pending[n:]...)
	return b
}

func (b *sayBatch) request(name string, lease time.Duration) *hookstreamv1.AcknowledgeRequest {
	req := &hookstreamv1.AcknowledgeRequest{Name: name}
	for _, s := range b.acks {
		req.Acks = append(req.Acks, s.token)
	}
	for _, s := range b.nacks {
		n := &hookstreamv1.Nack{AckToken: s.token, Action: s.work.verdict.nack.action, Reason: s.work.verdict.nack.reason}
		if delay := s.work.verdict.nack.delay; delay != nil {
			n.Delay = durationpb.New(*delay)
		}
		req.Nacks = append(req.Nacks, n)
	}
	for _, s := range b.extensions {
		req.Extensions = append(req.Extensions, &hookstreamv1.Extension{AckToken: s.token, Extension: durationpb.New(lease)})
	}
	return req
}

// putBack makes says pending again, before what came meanwhile.
func (c *consumer) putBack(says []say) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(says, c.pending...)
}

// refused ends what another call cannot mend.
func (c *consumer) refused(b *sayBatch, err error) {
	for _, s := range b.all() {
		c.mu.Lock()
		if s.extend {
			s.work.extending = false
			c.lose(s.work)
		} else {
			c.forget(s.work)
		}
		c.mu.Unlock()
		if !s.extend {
			c.onError(&SettleError{Delivery: s.work.delivery, Err: err})
		}
	}
}

// answered takes the gateway's answers, and reports whether none has to be asked
// for again.
func (c *consumer) answered(b *sayBatch, resp *hookstreamv1.AcknowledgeResponse) bool {
	var again []say
	var lost []*SettleError
	c.mu.Lock()
	now := time.Now()
	for _, part := range []struct {
		says    []say
		results []*hookstreamv1.AckResult
	}{{b.acks, resp.GetAcks()}, {b.nacks, resp.GetNacks()}, {b.extensions, resp.GetExtensions()}} {
		for i, s := range part.says {
			result := &hookstreamv1.AckResult{Outcome: hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE}
			if i < len(part.results) {
				result = part.results[i]
			}
			if s.extend {
				c.extended(s, result, now)
				continue
			}
			repeat, err := c.concluded(s, result.GetOutcome(), now)
			if repeat {
				again = append(again, s)
			}
			if err != nil {
				lost = append(lost, err)
			}
		}
	}
	c.pending = append(again, c.pending...)
	c.mu.Unlock()
	for _, err := range lost {
		c.onError(err)
	}
	return len(again) == 0
}

// concluded takes the answer to a verdict. c.mu is held.
func (c *consumer) concluded(s say, outcome hookstreamv1.AckOutcome, now time.Time) (again bool, lost *SettleError) {
	w := s.work
	switch outcome {
	case hookstreamv1.AckOutcome_ACK_OUTCOME_DONE, hookstreamv1.AckOutcome_ACK_OUTCOME_PARKED:
		c.forget(w)
		return false, nil
	case hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE:
		return true, nil
	}
	if w.token != s.token {
		return true, nil // handed out anew meanwhile: say it with the new token
	}
	c.forget(w)
	if !w.verdict.final() {
		return false, nil // it is handed out again, as was asked for
	}
	c.late.add(w, now)
	return false, &SettleError{Delivery: w.delivery, Outcome: outcome}
}

// extended takes the answer to an extension. c.mu is held.
func (c *consumer) extended(s say, result *hookstreamv1.AckResult, now time.Time) {
	w := s.work
	if w.token != s.token {
		return // of a delivery that is over
	}
	w.extending = false
	switch result.GetOutcome() {
	case hookstreamv1.AckOutcome_ACK_OUTCOME_DONE:
		w.extendTime = now.Add(c.lease / 2)
		if token := result.GetAckToken(); token != "" {
			w.token = token
		}
	case hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE:
		// Asked again when the leases are looked at next.
	default:
		c.lose(w)
	}
}
