package ingress

import (
	"sync"
	"time"
)

// breakAfter is how many questions in a row must stay without an answer before
// the provider is left alone for a while.
const breakAfter = 5

// A breaker keeps a provider that does not answer from being hammered, and from
// taking up all workers. While it is open nothing is asked; then one question
// at a time is let through until one is answered. Each that is not makes the
// next pause longer.
type breaker struct {
	min, max time.Duration

	// mu guards what follows, and is not held while the provider is asked.
	mu      sync.Mutex
	failed  int // questions without an answer, in a row
	pause   time.Duration
	until   time.Time // when it may be tried again; zero: closed
	probing bool
}

func newBreaker(first, longest time.Duration) *breaker {
	return &breaker{min: first, max: longest}
}

// admit asks to ask. If it must not, wait says for how long; if it may, report
// must be called with the ticket.
func (b *breaker) admit(now time.Time) (t ticket, wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return ticket{}, 0, true
	case now.Before(b.until):
		return ticket{}, b.until.Sub(now), false
	case b.probing:
		return ticket{}, b.min, false
	}
	b.probing = true
	return ticket{probe: true}, 0, true
}

// A ticket is leave to ask one question.
type ticket struct{ probe bool }

// isOpen reports whether the provider is being left alone.
func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.until.IsZero()
}

// giveBack is for a ticket whose question was not asked after all.
func (b *breaker) giveBack(t ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.probe {
		b.probing = false
	}
}

// report says whether the question was answered, and if not, whether further
// ones are of no use or how long the provider asks to be left alone. It answers
// whether that opened or closed the breaker.
func (b *breaker) report(t ticket, now time.Time, answered, useless bool, leave time.Duration) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasOpen := !b.until.IsZero()
	if t.probe {
		b.probing = false
	}
	if answered {
		b.failed, b.pause, b.until = 0, 0, time.Time{}
		return wasOpen
	}
	b.failed++
	switch {
	case wasOpen && !t.probe:
		return false // it was asked before it opened
	case !wasOpen && b.failed < breakAfter && !useless && leave == 0:
		return false
	}
	b.pause = min(max(b.min, 2*b.pause), b.max)
	b.until = now.Add(max(b.pause, leave))
	return !wasOpen
}
