package ingress

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/provider"
)

// A source may have been made, or its secret changed, through another gateway a moment
// ago, and this one may not have heard of it. Not every sender comes again after a
// refusal. So before one that is final the sources are asked for what is new.

// lookTime is how long that may take. Then the sender is told to come again.
const lookTime = 2 * time.Second

// errChanged says that the source is another than the request was refused by.
var errChanged = errors.New("the source was changed a moment ago")

// catchUp returns when what is known of the sources is as of now: surely, unless there is
// news then. The error wraps
// eventlog.ErrUnavailable. As many may wait for it as may for a verdict: there may be a
// flood of requests that are to be refused, and it is to cost others nothing.
func (g *Gateway) catchUp(ctx context.Context, news func() bool) error {
	if g.o.CatchUp == nil {
		return nil
	}
	defer g.looking.Add(-1)
	if g.looking.Add(1) > int64(max(1, g.o.MaxInFlight/2)) {
		return fmt.Errorf("%w: too many ask whether the sources were changed", eventlog.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if err := g.o.CatchUp(ctx, news); err != nil {
		return fmt.Errorf("%w: it is not known whether the sources were changed: %w", eventlog.ErrUnavailable, err)
	}
	return nil
}

// still answers nil when ep is in force after all that was changed before the call, and
// else errChanged, or that this is not known.
func (g *Gateway) still(ctx context.Context, ep *endpoint) error {
	changed := func() bool { return g.endpoints.get(ep.id) != ep }
	if err := g.catchUp(ctx, changed); err != nil {
		return err
	}
	if changed() {
		return errChanged
	}
	return nil
}

// open finds the endpoint, and looks again before it says that there is none.
func (x *exchange) open(id, key string) (*endpoint, Result) {
	if ep := x.g.endpoints.open(id, key); ep != nil {
		return ep, resultNone
	}
	var ep *endpoint
	found := func() bool { ep = x.g.endpoints.open(id, key); return ep != nil }
	if x.g.catchUp(context.Background(), found) != nil {
		return nil, Unavailable
	}
	if found() {
		return ep, resultNone
	}
	return nil, NotFound
}

// begin makes the request for the endpoint as it is now.
func (x *exchange) begin() {
	x.rq = request{Request: provider.Request{Header: x.header.values, Body: x.buf.b, ReceiveTime: x.start}}
}

// reopen has the request begin anew with the source as it is now.
func (x *exchange) reopen() Result {
	x.ep = nil // until it is admitted again
	if refused := x.admit(); refused != resultNone {
		return refused
	}
	x.header.reset()
	x.header.read(&x.ctx.Request.Header, x.ep.headers)
	x.begin()
	return resultNone
}
