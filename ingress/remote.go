package ingress

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// remote stores the request for the verifier, and waits a little for what it
// finds out.
func (x *exchange) remote(rq *request) (Result, error) {
	g := x.g
	if err := rq.inspect(x.ep); err != nil {
		return x.fault(err)
	}
	if x.ep.unwanted.MatchType(rq.typ) {
		return DisabledType, nil
	}
	published, err := g.published(x.ep, rq)
	if err != nil {
		return x.fault(err)
	}
	if published {
		return Duplicate, nil // nothing to ask
	}
	key := rq.questionKey()
	outcome, cancel := g.o.Inbox.Outcome(x.ep.id, key)
	defer cancel()
	if err := g.store(x.ep, rq, key); err != nil {
		return x.fault(err)
	}
	g.step(StepStored)
	x.freeBody() // the row holds it; waiting should cost little
	return x.await(outcome), nil
}

// store has the verifier decide a request.
func (g *Gateway) store(ep *endpoint, rq *request, key string) error {
	row, err := rq.encode(ep, nil, "")
	if err != nil {
		return err
	}
	if _, err = g.o.Inbox.Put(g.appends.from(time.Now()), eventlog.Row{Source: ep.id, Key: key, Data: row}); err != nil {
		return fmt.Errorf("inbox: %w", err)
	}
	return nil
}

// await answers what the verifier announces. The request is durable, so there
// is nothing to lose by not waiting: not when the provider is known to be down,
// nor when so many wait that others would find no room.
func (x *exchange) await(outcome <-chan []byte) Result {
	g := x.g
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > int64(g.o.MaxInFlight/2) || x.ep.breaker.isOpen() {
		return Pending
	}
	timer := time.NewTimer(g.o.VerifyWait)
	defer timer.Stop()
	select {
	case name := <-outcome:
		return x.announced(parseResult(string(name)))
	case <-timer.C:
	case <-x.ctx.Done(): // the server ends
	}
	return Pending
}

// announced answers an outcome. One that this version does not know comes from
// a newer gateway: the row is decided all the same.
func (x *exchange) announced(r Result) Result {
	switch r {
	case Forged:
		x.log(&x.ep.refusals, slog.LevelInfo, "a request is not genuine", "result", r)
		return r
	case Published, Duplicate, PublishedFailed:
		return r
	}
	return Pending
}
