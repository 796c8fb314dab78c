package subscription

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// A consumer is deaf from when a delivery of it expires until it settles one, and
// stuck while it does not even take what is chosen for it. Of neither can be told
// from outside whether anybody is there: a connection may stand though the process
// behind it does, or be kept by a proxy that forwards nothing and answers pings. So
// one rule holds for all streams, whatever they come over.

// unread reports whether a consumer takes nothing that is sent to it, as far as is
// known. The caller holds the home's mu.
func (c *consumer) unread() bool { return c.stuck || c.over }

// hearsNothingOf notes that a consumer let a delivery pass. The caller holds mu.
func (h *home) hearsNothingOf(c *consumer) {
	h.deafAt = time.Now()
	if c.quietFrom.IsZero() {
		c.quietFrom = h.deafAt
	}
}

// handOut names one delivery of a message.
type handOut struct {
	key
	number uint64
}

// mayBeLate remembers with whom a delivery expired. The caller holds mu.
func (h *home) mayBeLate(hd *hold) {
	if h.expiredWith == nil || len(h.expiredWith) >= maxMemos {
		h.expiredWith = make(map[handOut]*consumer)
	}
	h.expiredWith[handOut{hd.key, uint64(hd.HandOut)}] = hd.consumer
}

// heardLate notes a word about a delivery that is over. It settles nothing, but
// shows that somebody is there. The caller holds mu.
func (h *home) heardLate(k key, number uint64) {
	d := handOut{k, number}
	if c := h.expiredWith[d]; c != nil && !c.quietFrom.IsZero() {
		c.quietFrom = time.Now()
	}
	delete(h.expiredWith, d)
}

// giveUpDeaf ends streams of which nothing was heard for too long. What is in force
// with one has its time first. The caller holds mu.
func (h *home) giveUpDeaf(now time.Time) {
	for _, c := range h.consumers {
		if c.over || c.pull || c.quietFrom.IsZero() || c.inHands > 0 || now.Sub(c.quietFrom) < h.m.opts.PeerTimeout {
			continue
		}
		c.over = true
		close(c.givenUp)
		h.m.logger.Info("a stream is ended: its consumer lets deliveries expire and settles none", "subscription", h.sub.ID,
			"client", c.opts.ClientID, "address", c.opts.Address, "silent", now.Sub(c.quietFrom))
	}
}

// untilGivenUp runs the stream until it ends or its consumer is given up. Then send
// may wait for a peer that never reads: so it is waited for beside.
func (s *streaming) untilGivenUp(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	failed := make(chan any, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				failed <- withStack(p)
			}
		}()
		done <- s.run(ctx)
	}()
	select {
	case err := <-done:
		return err
	case p := <-failed:
		panic(p) // the caller knows what to do with it
	case <-s.givenUp:
		cancel(ErrUnresponsive)
		return ErrUnresponsive
	}
}

// passedOn is a run-time error of another goroutine, with where it was.
type passedOn struct {
	cause runtime.Error
	stack []byte
}

func (p passedOn) RuntimeError() {}

func (p passedOn) Error() string { return p.cause.Error() + "\n" + string(p.stack) }

func withStack(p any) any {
	if err, ok := p.(runtime.Error); ok {
		return passedOn{err, debug.Stack()}
	}
	return p
}

// yieldTime is for how long a gateway asks for nothing, so that another one is handed
// what there is, or has the pin: that one asks for it already.
const yieldTime = 3 * time.Second

// allDeaf reports whether everybody here lets deliveries pass. The caller holds mu.
func (h *home) allDeaf() bool {
	return len(h.consumers) > 0 && time.Since(h.pulledAt) > lingerTime &&
		!slices.ContainsFunc(h.consumers, func(c *consumer) bool { return !c.deaf && !c.unread() })
}

// mustAskToYield reports whether the subscription is handed out here and everybody is
// deaf: then other gateways are asked whether somebody there listens, each time that
// one more delivery has expired, and nothing is handed out before the answer. What
// expired here is to go to who listens, and not to each of the deaf in turn. The caller
// holds mu.
func (h *home) mustAskToYield() bool {
	return (h.lanes == nil || h.lanes.active()) && h.deafAt.After(h.yieldAskedAt) && h.allDeaf()
}

// yields reports whether another gateway is to hand out. The caller holds mu.
func (h *home) yields() bool { return time.Now().Before(h.yieldUntil) && h.allDeaf() }

// yield lets other gateways hand out when everybody here is deaf and somebody there is
// not.
func (h *home) yield() {
	h.mu.Lock()
	if !h.mustAskToYield() {
		h.mu.Unlock()
		return
	}
	h.yieldAskedAt = time.Now()
	sub := h.sub
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(h.ctx, lookTime)
	defer cancel()
	parts, err := h.m.parts(ctx, sub)
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.poke() // for what waited for the answer
	if err != nil || h.sub != sub || !h.allDeaf() || !slices.ContainsFunc(parts, h.m.listensElsewhere) {
		return
	}
	h.yieldUntil = time.Now().Add(yieldTime)
	h.standDown()
	h.wakeAll()
}

// listensElsewhere reports whether a part is of another gateway, where somebody
// listens.
func (m *Manager) listensElsewhere(p part) bool {
	return p.Gateway != m.gateway && slices.ContainsFunc(p.Consumers, func(c Consumer) bool { return !c.Unresponsive })
}
