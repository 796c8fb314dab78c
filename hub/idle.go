package hub

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// settle is how long after a time an event that was stored before it may still
// appear: it is shown when it is durable, and clocks of a cluster differ.
const settle = time.Second

// flushDue sends the batch unless it may wait.
func (s *stream) flushDue() error {
	if s.batch.empty() || s.req.BatchWait > 0 && time.Since(s.batch.since) < s.req.BatchWait {
		return nil
	}
	return s.flush()
}

// idle is called when the stream has looked at everything there is. It returns
// when something came or something is due.
func (s *stream) idle(ctx context.Context, page ringPage) error {
	if err := s.flushDue(); err != nil {
		return err
	}
	if s.past(s.pos) {
		return errStop
	}
	if ended, err := s.reachedTime(ctx); ended || err != nil {
		return err
	}
	if !s.caughtUp && s.batch.empty() && s.pos > s.head {
		s.caughtUp = true
		return s.frame(&hookstreamv1.CaughtUp{SendTime: timestamppb.Now()})
	}
	if page.watch == nil {
		return s.wait(ctx, page.changed, s.nextDue())
	}
	s.at.Store(0) // nothing that comes is its business, until it is woken
	err := s.wait(ctx, page.watch.woken, s.nextDue())
	s.pass(page.watch)
	return err
}

// awaited answers what the stream waits for when there is nothing to look at;
// nil: every event. One that stops somewhere must see what it passes.
func (s *stream) awaited() *interest {
	if !s.caughtUp || s.req.Stop.AtHead || s.req.Stop.Until != nil {
		return nil
	}
	return s.interest
}

// pass goes past the events that came while it waited and do not match.
func (s *stream) pass(w *watch) {
	if pos, before := s.hub.ring.passed(w); pos > s.pos {
		s.pos, s.cursor = pos, event.Cursor{Incarnation: s.hub.inc, Seq: pos - 1, Time: before}
	}
}

// reachedTime answers errStop when the time to stop at has passed and nothing
// that was published before it can come any more.
func (s *stream) reachedTime(ctx context.Context) (bool, error) {
	until := s.req.Stop.Until
	if until == nil || time.Now().Before(until.Add(settle)) {
		return false, nil
	}
	b, err := s.hub.bounds.Get(ctx, struct{}{})
	if err != nil {
		return true, err
	}
	if s.pos <= b.Last {
		return false, nil // it is on its way to the ring
	}
	return true, errStop
}

// nextDue answers when there is something to do though nothing comes.
func (s *stream) nextDue() time.Time {
	due := s.sentAt.Add(s.req.Heartbeat)
	if !s.batch.empty() {
		due = earlier(due, s.batch.since.Add(s.req.BatchWait))
	}
	if s.draining {
		due = earlier(due, s.endAt)
	}
	if until := s.req.Stop.Until; until != nil {
		if at := until.Add(settle); time.Now().Before(at) {
			due = earlier(due, at)
		}
	}
	return due
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// wait returns when something came, the gateway begins to drain, or it is due.
// It may return early.
func (s *stream) wait(ctx context.Context, changed <-chan struct{}, due time.Time) error {
	s.setTimer(due)
	draining := s.hub.streams.draining
	if s.draining {
		draining = nil
	}
	select {
	case <-changed:
	case <-draining:
	case <-s.timer.C:
		s.timerAt = time.Time{}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// setTimer sets the timer to due, or leaves it when it ends before: waking once
// too often is cheaper than setting it for every event.
func (s *stream) setTimer(due time.Time) {
	switch {
	case s.timer == nil:
		s.timer = time.NewTimer(time.Until(due))
	case s.timerAt.IsZero() || due.Before(s.timerAt):
		s.timer.Reset(time.Until(due))
	default:
		return
	}
	s.timerAt = due
}

func (s *stream) stopTimer() {
	if s.timer != nil {
		s.timer.Stop()
	}
}
