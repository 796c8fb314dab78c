package ingress

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/provider"
)

// A Promotion is what became of a request that had been refused and was looked at again.
type Promotion struct {
	// Outcome says whether its sender vouches for it by the source as it is now.
	Outcome provider.Outcome
	// Reason is a word for why it is not Genuine.
	Reason string
	// Result of what is genuine: Published, Duplicate or DisabledType; of what only its
	// sender can vouch for, Pending. Otherwise, and when nothing was to be published,
	// there is none.
	Result Result
	// Event that it is, of a Published or Duplicate.
	Event string
}

// Again is a request that came before and was refused.
type Again struct {
	Source      string // its id
	Header      http.Header
	Body        []byte
	ReceiveTime time.Time
	// Spent says that its sender was asked and cannot be asked again.
	Spent bool
}

// Reasons of a Promotion for being undecided.
const (
	ReasonSourceGone          = "source_gone"
	ReasonSourceMisconfigured = "source_misconfigured"
	ReasonProofSpent          = "proof_spent"
	ReasonSenderNotAsked      = "sender_not_asked"
)

// Promote looks at a request again, by what is known of its source here: CatchUp is for the
// caller. If at is given it publishes what is genuine, which says then that it was promoted
// at that time. The key against repetitions is that of the ingress, so that it becomes one
// event, whoever else sends it, and however often this is done. The error wraps an
// eventlog.ErrUnavailable or ErrFull.
func (g *Gateway) Promote(ctx context.Context, again Again, at time.Time) (Promotion, error) {
	ep := g.endpoints.get(again.Source)
	switch {
	case ep == nil:
		return Promotion{Reason: ReasonSourceGone}, nil
	case ep.verifier == nil:
		return Promotion{Reason: ReasonSourceMisconfigured}, nil
	}
	rq := &request{
		Request:  provider.Request{Header: again.Header, Body: again.Body, ReceiveTime: again.ReceiveTime},
		promoted: at,
	}
	if ep.remote {
		return g.promoteRemote(ctx, ep, rq, again.Spent)
	}
	return g.promoteLocal(ctx, ep, rq)
}

func (g *Gateway) promoteLocal(ctx context.Context, ep *endpoint, rq *request) (Promotion, error) {
	p := judge(g.verify(ctx, ep, rq), false)
	if p.state == disproved || p.state == unproved {
		return Promotion{Outcome: p.verdict.Outcome, Reason: p.verdict.Reason}, nil
	}
	out := Promotion{Outcome: provider.Genuine}
	var err error
	if rq.promoted.IsZero() {
		out.Result, err = g.wouldPublish(ctx, ep, rq)
	} else {
		out.Result, err = g.publish(g.appends.from(time.Now()), ep, rq, p)
	}
	if errors.Is(err, provider.ErrNotForSource) {
		return Promotion{Outcome: provider.Rejected, Reason: NotForSource.String()}, nil
	}
	out.Event = g.eventAt(rq.seq)
	return out, err
}

// wouldPublish answers Duplicate or DisabledType where publish would; none: it would
// publish.
func (g *Gateway) wouldPublish(ctx context.Context, ep *endpoint, rq *request) (Result, error) {
	if err := rq.readable(ep); err != nil {
		return resultNone, err
	}
	if ep.unwanted.MatchType(rq.typ) {
		return DisabledType, nil
	}
	for _, key := range []string{rq.info.DedupKey, rq.otherKey()} {
		seq, ok, err := g.key(ep, key)
		if err != nil || !ok {
			return resultNone, err
		}
		if key == rq.info.DedupKey {
			if same, err := g.same(ctx, rq, seq); err != nil || !same {
				if err != nil {
					return resultNone, err
				}
				continue
			}
		}
		rq.seq = seq
		return Duplicate, nil
	}
	return resultNone, nil
}

// promoteRemote hands a request to the verifier, unless it is an event already.
func (g *Gateway) promoteRemote(ctx context.Context, ep *endpoint, rq *request, spent bool) (Promotion, error) {
	switch err := rq.inspect(ep); {
	case errors.Is(err, provider.ErrNotForSource):
		return Promotion{Outcome: provider.Rejected, Reason: NotForSource.String()}, nil
	case errors.Is(err, provider.ErrMalformed):
		return Promotion{Outcome: provider.Rejected, Reason: Malformed.String()}, nil
	case err != nil:
		return Promotion{}, err
	}
	switch seq, ok, err := g.key(ep, rq.info.DedupKey); {
	case err != nil:
		return Promotion{}, err
	case ok:
		return Promotion{Outcome: provider.Genuine, Result: Duplicate, Event: g.eventAt(seq)}, nil
	case spent:
		return Promotion{Reason: ReasonProofSpent}, nil
	case rq.promoted.IsZero() || ep.unwanted.MatchType(rq.typ):
		return Promotion{Reason: ReasonSenderNotAsked}, nil
	}
	if err := g.store(ep, rq, rq.questionKey()); err != nil {
		return Promotion{}, err
	}
	return Promotion{Reason: ReasonSenderNotAsked, Result: Pending}, ctx.Err()
}

// eventAt names the event at a position; empty for none.
func (g *Gateway) eventAt(seq uint64) string {
	if seq == 0 {
		return ""
	}
	return event.Name(g.o.Log.Incarnation(), seq)
}
