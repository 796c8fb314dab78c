package ingress

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/provider"
)

// work decides one row of the inbox: it is published, rejected, or comes back
// later.
//
// Asking a remote provider spends the proof: asked again it answers "spent
// already", to a forger as to us. So the steps have an order, and the process
// may be killed between any two of them; what is durable by then is the row, the
// note whether a question about it is unresolved, and the log.
//
//	stored                the row is there; another worker gets it.
//	asking    (noted)     Asked or not, the note says unresolved. Next time the
//	                      provider says genuine (it was not asked), or spent
//	                      already, and that is taken for genuine. Never is a no
//	                      of another kind.
//	asked: genuine        as before: the proof is spent, the note says so, the
//	                      event is published with the state
//	                      VERIFIED_AFTER_AMBIGUOUS_ATTEMPT. The note is only
//	                      cleared once the event is in the log. So when the log
//	                      is full, trying again ends in publishing.
//	appended              the log knows the event's key (its index is complete
//	                      before it opens), so the row is a duplicate; the note
//	                      is cleared before the row is given up.
//	announced             the same. The sender hears of it before the note is
//	                      cleared: the event is durable, that is all a 200 says.
//	answered  (noted)     the same.
//	done                  nothing is left to do.
//	asked: rejected       the note is cleared before all else. Killed between the
//	                      answer and that, "spent already" is believed next time.
//	                      That is the price of the rule: it takes a proof that
//	                      was genuine once, spent by somebody else or longer ago
//	                      than the log remembers, and a crash (or a lost answer)
//	                      in this very moment. The event's state says that it was
//	                      so. A proof that never was genuine has no such moment.
//	asked: undecided      the note stays unless the question cannot have been
//	                      taken; and it stays in any case when an earlier one
//	                      was unresolved.
//
// The note is kept for the proof and the body together (request.questionKey):
// somebody who read a proof on the wire and sends it with a body of their own
// finds no unresolved question about that body.
//
// No event is lost because the row stays until Done, and Done comes after the
// event is in the log, after a final no, or after GiveUpAge with a line in the
// operator's log. Nothing unverified is published because decideRequest is the only
// way into the log.
func (g *Gateway) work(ctx context.Context, c *eventlog.Claim) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			g.panicked("panic while deciding a request", c.Source, p)
			_ = c.Retry(g.backoff(c))
		}
	}()
	g.step(StepClaimed)
	if after := g.decide(ctx, c); after > 0 {
		if err := c.Retry(after); err != nil { // it comes back by itself
			g.o.Logger.Debug("a row of the inbox could not be given back", "source", c.Source, "row", c.ID, "err", err)
		}
	}
}

const (
	// claimBound is less than the inbox lets a row be held.
	claimBound = 45 * time.Second
	// finishBound is how long a row that is in hand may take when the verifier
	// is to end.
	finishBound = 5 * time.Second
)

// finishing answers a context that ends a little after ctx, so that a question
// under way gets its answer.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimBound)
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(finishBound, cancel)
		context.AfterFunc(inner, func() { t.Stop() })
	})
	return inner, func() { stop(); cancel() }
}

// decide answers after what time the row is to come back; 0 when it is decided.
func (g *Gateway) decide(ctx context.Context, c *eventlog.Claim) time.Duration {
	rq, ep, o := g.open(c)
	if o.why != "" {
		return g.stillWaiting(ctx, c, o.patience, jitter(g.o.MaxRetry), o.why)
	}
	k := handKey{c.Source, rq.info.DedupKey}
	switch g.hands.hold(k, time.Now()) {
	case busy:
		return g.soon(c)
	case justPublished:
		return g.finish(ctx, c, Duplicate)
	}
	published := false
	defer func() { g.hands.drop(k, published, time.Now()) }()
	r, after := g.ask(ctx, c, ep, rq)
	if after > 0 {
		return after
	}
	published = r == Published || r == Duplicate
	g.lateRefusal(c, ep, r)
	return g.finish(ctx, c, r)
}

// lateRefusal logs a request that is not genuine and whose sender had its 200
// before that was known; others are logged where they are answered.
func (g *Gateway) lateRefusal(c *eventlog.Claim, ep *endpoint, r Result) {
	if r != Forged || time.Since(c.StoreTime) < g.o.VerifyWait {
		return
	}
	if skipped, ok := ep.refusals.open(time.Now()); ok {
		g.o.Logger.Info("a request that was answered 200 is not genuine", "source", c.Source, "row", c.ID, "skipped", skipped)
	}
}

// open reads the row and finds its endpoint, or says why nobody can be asked
// about it.
func (g *Gateway) open(c *eventlog.Claim) (*request, *endpoint, obstacle) {
	rq, kind, err := decodeRow(c.Data)
	if err != nil {
		return nil, nil, obstacle{"the row cannot be read", g.o.GiveUpAge}
	}
	ep := g.endpoints.get(c.Source)
	switch {
	case ep == nil || ep.kind != kind:
		return nil, nil, obstacle{"the source is gone", g.o.OrphanAge}
	case ep.verifier == nil || !ep.remote:
		return nil, nil, obstacle{"the source is misconfigured", g.o.GiveUpAge}
	}
	if err := rq.inspect(ep); err != nil {
		return nil, nil, obstacle{"the source is configured for something else now", g.o.OrphanAge}
	}
	return rq, ep, obstacle{}
}

// An obstacle is in the way of asking about a row, and may go: a deletion or a
// changed application may have been a slip.
type obstacle struct {
	why      string
	patience time.Duration
}

// giveUp drops a row, never without a word.
func (g *Gateway) giveUp(ctx context.Context, c *eventlog.Claim, why string) time.Duration {
	g.o.Logger.Error("a request that was acknowledged is given up: it could not be verified",
		"source", c.Source, "row", c.ID, "stored", c.StoreTime, "reason", why)
	return g.finish(ctx, c, GivenUp)
}

// ask decides the row unless it is decided, its source has enough questions
// under way, or its provider is being left alone.
func (g *Gateway) ask(ctx context.Context, c *eventlog.Claim, ep *endpoint, rq *request) (Result, time.Duration) {
	if published, err := g.published(ep, rq); published || err != nil {
		return Duplicate, g.unless(err, c)
	}
	turn := ep.asking.acquire(ctx)
	if turn == nil {
		return resultNone, g.soon(c)
	}
	defer turn.done()
	ticket, wait, ok := ep.breaker.admit(time.Now())
	if !ok {
		return resultNone, g.stillWaiting(ctx, c, g.o.GiveUpAge, max(jitter(wait), g.backoff(c)), "the provider does not answer")
	}
	s, err := g.decideClaim(ctx, &claimedQuestion{g, c, turn}, ep, rq, ticket)
	if err != nil {
		return resultNone, g.unless(err, c)
	}
	if s.result == resultNone {
		return resultNone, g.stillWaiting(ctx, c, g.o.GiveUpAge, max(g.backoff(c), s.wait()), s.verdict.Reason)
	}
	return s.result, 0
}

// decideClaim decides a claim, and tells the breaker.
func (g *Gateway) decideClaim(ctx context.Context, q *claimedQuestion, ep *endpoint, rq *request, t ticket) (s decision, err error) {
	defer func() {
		if !s.asked {
			ep.breaker.giveBack(t)
			return
		}
		v := s.verdict
		if ep.breaker.report(t, time.Now(), v.Outcome != provider.Undecided, v.OurFault, s.wait()) {
			g.breakerChanged(ep, v)
		}
	}()
	return g.decideRequest(ctx, ep, rq, q)
}

func (g *Gateway) breakerChanged(ep *endpoint, v provider.Verdict) {
	open := v.Outcome == provider.Undecided
	if !g.tellPause(ep, open) {
		return
	}
	if _, ok := ep.faults.open(time.Now()); !ok {
		return
	}
	switch {
	case !open:
		g.o.Logger.Info("the provider answers again", "source", ep.id)
	case v.OurFault:
		g.o.Logger.Error("the provider refuses this source's credentials; requests are kept and wait", "source", ep.id, "reason", v.Reason)
	default:
		g.o.Logger.Warn("the provider does not answer; requests are kept and wait", "source", ep.id, "reason", v.Reason)
	}
}

// tellPause tells whether the provider of an endpoint is asked, if it is the one in
// force, and reports whether it is.
func (g *Gateway) tellPause(ep *endpoint, open bool) (inForce bool) {
	g.pauses.Lock()
	defer g.pauses.Unlock()
	if inForce = g.endpoints.get(ep.id) == ep; inForce {
		g.o.Metrics.breaker(ep.id, open)
	}
	return inForce
}

// maxLeave bounds what we let a provider ask for with Retry-After.
const maxLeave = time.Hour

func (s decision) wait() time.Duration { return min(s.verdict.RetryAfter, maxLeave) }

// unless answers when to come back because of err; 0 if there is none.
func (g *Gateway) unless(err error, c *eventlog.Claim) time.Duration {
	if err == nil {
		return 0
	}
	if skipped, ok := g.faults.open(time.Now()); ok {
		g.o.Logger.Error("a request waits for its verification because something cannot be stored",
			"source", c.Source, "row", c.ID, "err", err, "skipped", skipped)
	}
	return g.backoff(c)
}

// stillWaiting answers after, unless the row has waited for longer than there is
// patience.
func (g *Gateway) stillWaiting(ctx context.Context, c *eventlog.Claim, patience, after time.Duration, why string) time.Duration {
	if time.Since(c.StoreTime) < patience {
		return after
	}
	return g.giveUp(ctx, c, why)
}

// finish tells who waits, clears the note and decides the row. When that fails
// the row comes back, and is a duplicate or recalled then.
func (g *Gateway) finish(ctx context.Context, c *eventlog.Claim, r Result) time.Duration {
	if r != GivenUp {
		_ = c.Announce([]byte(r.String())) // the sender is answered 200 without it
	}
	g.step(StepAnnounced)
	if err := c.Answered(ctx); err != nil {
		return g.unless(err, c)
	}
	g.step(StepAnswered)
	if err := c.Done(ctx); err != nil {
		return g.unless(err, c)
	}
	g.proofs.forget(c.ID)
	g.step(StepDone)
	g.o.Metrics.decided(c.Source, r, time.Since(c.StoreTime))
	return 0
}

// backoff grows with the age of the row: half of it, so that the pauses grow by
// half each time, without anything to remember.
func (g *Gateway) backoff(c *eventlog.Claim) time.Duration {
	return jitter(min(max(time.Since(c.StoreTime)/2, g.o.MinRetry), g.o.MaxRetry))
}

// soon is for a row whose turn comes when another's is over. It grows with age
// too, or a large backlog would come and go all the time.
func (g *Gateway) soon(c *eventlog.Claim) time.Duration {
	return jitter(min(max(time.Since(c.StoreTime)/10, g.o.MinRetry/5), g.o.MaxRetry/10))
}

// jitter is d, a fifth more or less: rows that came together do not come back
// together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// claimedQuestion is the question about a row.
type claimedQuestion struct {
	g    *Gateway
	c    *eventlog.Claim
	turn *turn // to ask it
}

func (q *claimedQuestion) Asking(ctx context.Context) (bool, error) { return q.c.Asking(ctx) }
func (q *claimedQuestion) asked()                                   { q.turn.done() }
func (q *claimedQuestion) Answered(ctx context.Context) error       { return q.c.Answered(ctx) }
func (q *claimedQuestion) recall() proof                            { return q.g.proofs.get(q.c.ID) }

func (q *claimedQuestion) remember(p proof) {
	if p.state != unproved {
		q.g.proofs.put(q.c.ID, p)
	}
}

var _ slog.LogValuer = Result(0)

// LogValue makes a result a word in logs.
func (r Result) LogValue() slog.Value { return slog.StringValue(r.String()) }
