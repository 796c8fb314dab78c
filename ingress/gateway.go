// Package ingress is the way in: it receives webhooks over HTTP, has them
// verified by their source's provider, and appends what is genuine to the log.
//
// A request travels one of two ways. When its provider can tell by itself
// whether it is genuine (an HMAC), the request is verified and appended while
// the sender waits. When the sender must be asked and asking spends the proof
// (a single-use token), the request is first stored in the inbox, and a
// verifier asks, once, and appends; the sender waits for a short time for the
// outcome and is answered 200 when there is none yet, for the request is
// durable by then.
//
// On both ways decideRequest is the only function that has a request verified and the
// only one that publishes it. What was refused may be promoted later: see Promote.
package ingress

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Sources tells which sources there are.
type Sources interface {
	// Subscribe calls fn for every source there is, then for every change, nil
	// for a source that was deleted: one call at a time, in order, until the
	// answered function is called. The sources it gives hold their credentials
	// and are not changed by anybody afterwards.
	Subscribe(fn func(id string, src *hookstreamv1.Source)) (cancel func())
}

// A Gateway receives requests and has them verified. All methods may be called
// from many goroutines at once.
type Gateway struct {
	o         Options
	endpoints endpoints
	places    places
	waiting   atomic.Int64 // of those, the ones that only wait for a verdict
	looking   atomic.Int64 // for changes of sources, before they refuse
	memory    budget
	appends   deadlines
	hands     hands
	crew      crew
	proofs    proofs
	faults    gate
	nowhere   gate // of what came for no source
	cancel    func()

	// pauses is held while an endpoint is put in force, and while it is told whether
	// the provider of one is asked: what a former one finds out is not told of it.
	pauses sync.Mutex
}

// New makes a gateway and builds what the sources need. Log, Inbox, Sources and
// Providers are required; it panics without them. Close ends it.
func New(o Options) *Gateway {
	o = o.withDefaults()
	g := &Gateway{o: o, places: places{max: int64(o.MaxInFlight)}, memory: budget{limit: o.MaxBufferBytes}, appends: deadlines{wait: o.AppendWait}}
	g.crew.idle.Store(int64(o.Workers))
	g.cancel = o.Sources.Subscribe(g.change)
	return g
}

// Close stops following the sources. Requests that come later are still
// answered, by what was known last.
func (g *Gateway) Close() { g.cancel() }

// Handler answers the handler of the ingress listener: `POST
// /webhooks/{source}/{key}`, and `/webhooks/{source}` for sources without a
// key; and `GET /healthz`. It never redirects.
func (g *Gateway) Handler() fasthttp.RequestHandler { return g.serve }

// Run verifies the requests in the inbox until ctx ends, and then finishes for
// a few seconds what it has begun. Requests of remote providers are not
// published unless it runs on some gateway.
func (g *Gateway) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := g.o.Inbox.Work(ctx, g.o.Workers, g.work)
		if ctx.Err() != nil {
			return
		}
		g.o.Logger.Error("the inbox cannot be worked on, trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (g *Gateway) step(name string) {
	if g.o.Step != nil {
		g.o.Step(name)
	}
}
