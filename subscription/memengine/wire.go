package memengine

import (
	"sync"
	"time"
)

// wire carries messages one way, in order.
type wire struct {
	e *Engine

	mu      sync.Mutex
	queue   []message
	last    time.Time
	stalled bool
	severed bool
	wake    chan struct{}
}

// message is something that happens at the other end.
type message struct {
	at time.Time
	do func()
}

func newWire(e *Engine) *wire {
	w := &wire{e: e, wake: make(chan struct{}, 1)}
	e.wg.Go(w.carry)
	return w
}

// put sends; it never blocks. What is put while the wire is severed is lost: a
// client keeps nothing while it connects anew.
func (w *wire) put(do func()) {
	at := time.Now().Add(w.e.s.latency())
	w.mu.Lock()
	if w.severed {
		w.mu.Unlock()
		return
	}
	if at.Before(w.last) {
		at = w.last
	}
	w.last = at
	w.queue = append(w.queue, message{at, do})
	w.mu.Unlock()
	w.poke()
}

func (w *wire) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *wire) stall(on bool) {
	w.mu.Lock()
	w.stalled = on
	w.mu.Unlock()
	w.poke()
}

func (w *wire) sever(on bool) {
	w.mu.Lock()
	if on && !w.severed {
		w.queue = nil
	}
	w.severed = on
	w.mu.Unlock()
	w.poke()
}

// next answers the next message when it is due, or how long to wait; negative:
// until something changes.
func (w *wire) next() (func(), time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stalled || w.severed || len(w.queue) == 0 {
		return nil, -1
	}
	if d := time.Until(w.queue[0].at); d > 0 {
		return nil, d
	}
	do := w.queue[0].do
	w.queue = w.queue[1:]
	return do, 0
}

func (w *wire) carry() {
	for {
		do, wait := w.next()
		if do != nil {
			do()
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-w.wake:
		case <-due:
		case <-w.e.ctx.Done():
			return
		}
	}
}
