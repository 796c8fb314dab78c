package client

import (
	"context"
	"slices"
	"time"
)

// keepLeases asks for more time for what is held, while ctx lasts.
func (c *consumer) keepLeases(ctx context.Context) {
	for ctx.Err() == nil {
		sleep(ctx, c.extendLeases(time.Now()))
	}
}

// extendLeases asks for more time for everything whose time is half over, and
// answers when to look again: often enough for a call to fail twice.
func (c *consumer) extendLeases(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.held {
		if c.closing || w.phase == decided || w.lost || w.extending || now.Before(w.extendTime) {
			continue
		}
		if now.After(w.lastTime) {
			c.lose(w)
			continue
		}
		w.extending = true
		c.pending = append(c.pending, say{work: w, extend: true})
		c.rouse()
	}
	return min(c.lease/8, 5*time.Second) + time.Millisecond
}

// lose says that the gateway leaves a work to us no more. c.mu is held.
func (c *consumer) lose(w *work) {
	w.lost = true
	if w.phase == waiting {
		c.forget(w)
		c.queue = slices.DeleteFunc(c.queue, func(q *work) bool { return q == w })
	}
}
