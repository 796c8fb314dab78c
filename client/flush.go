package client

import (
	"context"
	"slices"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// flushed makes last what the handlers of works did, and answers what may be said
// then. What cannot be made to last is given back: it is no fault of the events.
func (c *consumer) flushed(ctx context.Context, works []*work) []*work {
	if c.Flush == nil || !slices.ContainsFunc(works, (*work).acknowledging) {
		return works
	}
	err := c.flushError() // once is enough: nobody knows what is lost
	if err == nil {
		err = c.Flush(ctx)
	}
	if err == nil {
		return works
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unflushed == nil {
		c.unflushed = err
		close(c.broken)
	}
	return slices.DeleteFunc(works, func(w *work) bool {
		if !w.acknowledging() {
			return false
		}
		c.decide(w, verdict{nack: &nack{action: hookstreamv1.Settlement_VERDICT_RELEASE, reason: "what was done could not be made to last"}})
		return true
	})
}

// flushError is what Flush failed with; nil: it did not.
func (c *consumer) flushError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unflushed
}
