package ingress

import (
	"context"
	"sync/atomic"
	"time"
)

// deadlines gives out contexts that end after wait, or up to an eighth of it
// sooner: requests of one moment share one. A context each, with its timer, costs
// as much as checking an HMAC.
type deadlines struct {
	wait   time.Duration
	latest atomic.Pointer[deadline]
}

type deadline struct {
	ctx   context.Context
	until time.Time // when another one is due
}

// from answers the context for what begins now.
func (d *deadlines) from(now time.Time) context.Context {
	if l := d.latest.Load(); l != nil && now.Before(l.until) {
		return l.ctx
	}
	ctx, cancel := context.WithDeadline(context.Background(), now.Add(d.wait))
	context.AfterFunc(ctx, cancel)
	d.latest.Store(&deadline{ctx, now.Add(d.wait / 8)})
	return ctx
}
