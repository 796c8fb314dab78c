package ingress

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/lenient"
)

// A question is what must be remembered about asking a remote provider.
type question interface {
	// Asking notes, beyond the life of this process, that the question is about
	// to be asked, and answers whether an earlier time of asking it was left
	// without an answer.
	Asking(context.Context) (unresolved bool, err error)
	// asked says that the provider is done with it, answer or not.
	asked()
	// Answered notes that it was answered.
	Answered(context.Context) error
	// recall answers what this process has found out earlier; the zero proof when
	// it has not. remember is for the next time: storing the consequences may
	// fail, and a provider asked again says something else.
	recall() proof
	remember(proof)
}

// nobodysQuestion is that of a local provider, which asks nobody.
type nobodysQuestion struct{}

func (nobodysQuestion) Asking(context.Context) (bool, error) { return false, nil }
func (nobodysQuestion) asked()                               {}
func (nobodysQuestion) Answered(context.Context) error       { return nil }
func (nobodysQuestion) recall() proof                        { return proof{} }
func (nobodysQuestion) remember(proof)                       {}

// decision is what became of a request; resultNone: it is undecided.
type decision struct {
	result  Result
	verdict provider.Verdict
	asked   bool // just now
}

// decideRequest has the request verified and publishes it if that is due. It and
// Promote are all that does either: nothing reaches the log past a provider.
//
// The order of its steps is what makes it safe to die between any two of them;
// the argument stands at Gateway.work.
func (g *Gateway) decideRequest(ctx context.Context, ep *endpoint, rq *request, q question) (s decision, err error) {
	p := q.recall()
	if p.state == unproved {
		unresolved, err := q.Asking(ctx)
		if err != nil {
			return s, fmt.Errorf("note a question: %w", err)
		}
		v := g.verify(ctx, ep, rq)
		q.asked()
		s.asked, p = true, judge(v, unresolved)
		if p.state == unproved && !v.MaybeSpent && !unresolved {
			// This question spent nothing. One that was unresolved before stays so,
			// whatever became of this.
			err = q.Answered(ctx)
		}
		q.remember(p)
		if err != nil {
			return s, fmt.Errorf("note an answer: %w", err)
		}
	}
	s.verdict = p.verdict
	switch p.state {
	case unproved:
	case disproved:
		if !ep.remote { // of which the question is spent
			if err := g.still(ctx, ep); err != nil {
				return s, err
			}
		}
		s.result, err = g.reject(ctx, ep, rq, q, p)
	default:
		s.result, err = g.publish(ctx, ep, rq, p)
	}
	return s, err
}

// judge says what a verdict is worth.
func judge(v provider.Verdict, unresolved bool) proof {
	switch {
	case v.Outcome == provider.Genuine:
		return proof{hookstreamv1.Verification_STATE_VERIFIED, v}
	case v.Outcome == provider.Rejected && v.AlreadySpent && unresolved:
		// Spent, and we may have done it: see Gateway.work.
		return proof{hookstreamv1.Verification_STATE_VERIFIED_AFTER_AMBIGUOUS_ATTEMPT, v}
	case v.Outcome == provider.Rejected:
		return proof{disproved, v}
	}
	return proof{unproved, v}
}

// A proof is what lets an event be published, and in which state.
type proof struct {
	state   hookstreamv1.Verification_State
	verdict provider.Verdict
}

const (
	unproved  = hookstreamv1.Verification_STATE_UNSPECIFIED
	disproved = hookstreamv1.Verification_STATE_FAILED
)

// reject is what follows a final no.
func (g *Gateway) reject(ctx context.Context, ep *endpoint, rq *request, q question, p proof) (Result, error) {
	// Before anything else: after a crash an unresolved question would turn
	// "spent already" into a yes.
	if err := q.Answered(ctx); err != nil {
		return resultNone, fmt.Errorf("note an answer: %w", err)
	}
	if p.verdict.AlreadySpent {
		published, err := g.published(ep, rq)
		if err != nil || published {
			return Duplicate, err
		}
	}
	if ep.shadow {
		return g.publish(ctx, ep, rq, p)
	}
	g.rejected(ep, rq, p.verdict)
	return Forged, nil
}

// verify asks the provider. Whatever goes wrong in it leaves the request
// undecided, and the proof possibly spent.
func (g *Gateway) verify(ctx context.Context, ep *endpoint, rq *request) (v provider.Verdict) {
	g.step(StepAsking)
	start := time.Now()
	if ep.remote {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.o.VerifyTimeout)
		defer cancel()
	}
	defer func() {
		g.o.Metrics.verified(ep.id, v.Outcome, time.Since(start))
		g.step(StepAsked)
	}()
	defer func() {
		if p := recover(); p != nil {
			v = provider.Verdict{Outcome: provider.Undecided, Reason: "panic", MaybeSpent: true}
			g.panicked("panic while verifying a request", ep.id, p)
		}
	}()
	return ep.verifier.Verify(ctx, &rq.Request, rq.info)
}

func (g *Gateway) panicked(msg, source string, p any) {
	if skipped, ok := g.faults.open(time.Now()); ok {
		g.o.Logger.Error(msg, "source", source, "panic", p, "skipped", skipped, "stack", string(debug.Stack()))
	}
}

// fill writes the proof into an event.
func (p *proof) fill(d *draft) {
	v := &d.verification
	v.State, v.Method = p.state, clip(p.verdict.Method, maxName)
	v.VerifyTime = stamp(&d.verified, time.Now())
	v.SecretIndex = int32(p.verdict.SecretIndex)
	if p.state == disproved {
		v.Reason = clip(p.verdict.Reason, maxName)
	} else {
		v.Coverage = p.verdict.Coverage
	}
	if p.verdict.EventID != "" {
		d.event.ProviderEventId = clip(p.verdict.EventID, maxName)
	}
	d.event.Verification = v
	d.keepProof(&p.verdict)
}

// publish appends the event, unless the source does not want its type.
func (g *Gateway) publish(ctx context.Context, ep *endpoint, rq *request, p proof) (Result, error) {
	// Inspecting comes after verifying where it can: what nobody vouches for is
	// not parsed.
	if p.state == disproved {
		if err := rq.inspect(ep); err != nil {
			return resultNone, err
		}
	} else if err := rq.readable(ep); err != nil {
		return resultNone, err
	}
	// What a remote provider's sender was answered 200 for is published, though
	// the source may have changed its mind since.
	if !ep.remote && ep.unwanted.MatchType(rq.typ) {
		return DisabledType, nil
	}
	entry, err := g.entry(ep, rq, p)
	if err != nil {
		return resultNone, err
	}
	got, err := g.append(ctx, entry)
	if err == nil && got.Duplicate && p.state != disproved {
		got, err = g.appendOther(ctx, ep, rq, p, entry, got.Seq)
	}
	if err != nil {
		return resultNone, err
	}
	if rq.seq = got.Seq; got.Duplicate {
		return Duplicate, nil
	}
	g.step(StepAppended)
	if p.state == disproved {
		return PublishedFailed, nil
	}
	return Published, nil
}

func (g *Gateway) append(ctx context.Context, e eventlog.Entry) (eventlog.Appended, error) {
	start := time.Now()
	got, err := g.o.Log.Append(ctx, e)
	g.o.Metrics.appended(time.Since(start), err)
	if err != nil {
		return got, fmt.Errorf("append: %w", err)
	}
	return got, nil
}

// appendOther looks at the event that has the same key, and appends this one when
// it is another: senders make mistakes with their ids, and what they vouch for is
// nobody's to drop. It is published under a key of its content, so that it is a
// duplicate when it comes again, and says which event has its id.
func (g *Gateway) appendOther(ctx context.Context, ep *endpoint, rq *request, p proof, e eventlog.Entry, seq uint64) (eventlog.Appended, error) {
	earlier := eventlog.Appended{Seq: seq, Duplicate: true}
	same, err := g.same(ctx, rq, seq)
	if same || err != nil {
		return earlier, err
	}
	e.DedupKey = rq.otherKey()
	if e.Data, err = rq.encode(ep, &p, event.Name(g.o.Log.Incarnation(), seq)); err != nil {
		return earlier, err
	}
	got, err := g.append(ctx, e)
	if err == nil && !got.Duplicate {
		g.toldOther(ep, seq, got.Seq)
	}
	return got, err
}

// same reports whether a request repeats the event at seq. Of one that is gone
// nobody can say more than that it had the same key.
func (g *Gateway) same(ctx context.Context, rq *request, seq uint64) (bool, error) {
	recs, err := g.o.Log.Read(ctx, seq, 1, 1)
	if err != nil {
		return false, fmt.Errorf("look at the event of the same key: %w: %w", eventlog.ErrUnavailable, err)
	}
	if len(recs) == 0 || recs[0].Seq != seq {
		return true, nil
	}
	parts, err := event.Split(recs[0].Data)
	if err != nil {
		return false, nil //nolint:nilerr // damaged: it is not this one
	}
	return lenient.Same(parts.Body(), rq.Body), nil
}

func (g *Gateway) toldOther(ep *endpoint, earlier, seq uint64) {
	if skipped, ok := ep.faults.open(time.Now()); ok {
		g.o.Logger.Warn("a sender uses one id for two events; both are published", "source", ep.id,
			"event", event.Name(g.o.Log.Incarnation(), seq), "earlier", event.Name(g.o.Log.Incarnation(), earlier), "skipped", skipped)
	}
}

func (g *Gateway) entry(ep *endpoint, rq *request, p proof) (eventlog.Entry, error) {
	e := eventlog.Entry{
		Source: ep.id, Topic: rq.info.Topic, Action: rq.info.Action,
		DedupKey: rq.info.DedupKey,
	}
	var earlier string
	switch {
	case p.state == disproved:
		// A forgery is nobody's duplicate, and no genuine event is its.
		e.DedupKey = rq.failedKey()
	case rq.info.Fingerprint != nil:
		e.Fingerprint = rq.info.Fingerprint()
		seq, ok, err := g.o.Log.Content(ep.id, e.Fingerprint)
		if err != nil {
			return e, fmt.Errorf("look for equal content: %w", err)
		}
		if ok {
			earlier = event.Name(g.o.Log.Incarnation(), seq)
		}
	}
	var err error
	e.Data, err = rq.encode(ep, &p, earlier)
	return e, err
}

// published reports whether the request's event is in the log.
func (g *Gateway) published(ep *endpoint, rq *request) (bool, error) {
	_, ok, err := g.key(ep, rq.info.DedupKey)
	return ok, err
}

// key answers where the event with a key of a source is.
func (g *Gateway) key(ep *endpoint, key string) (seq uint64, ok bool, err error) {
	if seq, ok, err = g.o.Log.Key(ep.id, key); err != nil {
		err = fmt.Errorf("look for an earlier event: %w: %w", eventlog.ErrUnavailable, err)
	}
	return seq, ok, err
}
