package server

import (
	"context"
	"fmt"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// Acknowledge settles deliveries and answers for each of them.
func (s *subscriptionService) Acknowledge(ctx context.Context, req *hookstreamv1.AcknowledgeRequest) (*hookstreamv1.AcknowledgeResponse, error) {
	id := subscriptionID(req.GetName())
	if _, err := s.manager.Find(ctx, id); err != nil {
		return nil, err
	}
	if err := misplaced(req.GetSettlements()).err(); err != nil {
		return nil, err
	}
	results := s.manager.Settle(ctx, id, settlements(req.GetSettlements()))
	return &hookstreamv1.AcknowledgeResponse{Results: ackResults(req.GetSettlements(), results)}, nil
}

// misplaced are the fields that say nothing with the verdict they came with. Rules
// in the schema would cost more than the rest of a call with many settlements.
func misplaced(in []*hookstreamv1.Settlement) (v violations) {
	for i, s := range in {
		verdict := s.GetVerdict()
		if s.GetDelay() != nil && verdict != hookstreamv1.Settlement_VERDICT_RETRY {
			v.add(fmt.Sprintf("settlements[%d].delay", i), "is only for VERDICT_RETRY")
		}
		if s.GetExtension() != nil && verdict != hookstreamv1.Settlement_VERDICT_EXTEND {
			v.add(fmt.Sprintf("settlements[%d].extension", i), "is only for VERDICT_EXTEND")
		}
		if s.GetReason() != "" && !reasoned[verdict] {
			v.add(fmt.Sprintf("settlements[%d].reason", i), "is only for VERDICT_RETRY, VERDICT_PARK, VERDICT_SKIP and VERDICT_RELEASE")
		}
	}
	return v
}

// reasoned are the verdicts that may have a reason. That of a release is not kept:
// whoever gives an event back may say why all the same.
var reasoned = map[hookstreamv1.Settlement_Verdict]bool{
	hookstreamv1.Settlement_VERDICT_RETRY:   true,
	hookstreamv1.Settlement_VERDICT_PARK:    true,
	hookstreamv1.Settlement_VERDICT_SKIP:    true,
	hookstreamv1.Settlement_VERDICT_RELEASE: true,
}

// verdicts are those of the domain, by those of the API.
var verdicts = map[hookstreamv1.Settlement_Verdict]subscription.Verdict{
	hookstreamv1.Settlement_VERDICT_ACK:     subscription.Ack,
	hookstreamv1.Settlement_VERDICT_RETRY:   subscription.Retry,
	hookstreamv1.Settlement_VERDICT_PARK:    subscription.Park,
	hookstreamv1.Settlement_VERDICT_SKIP:    subscription.Skip,
	hookstreamv1.Settlement_VERDICT_RELEASE: subscription.Release,
	hookstreamv1.Settlement_VERDICT_EXTEND:  subscription.Extend,
}

func settlements(in []*hookstreamv1.Settlement) []subscription.Settlement {
	out := make([]subscription.Settlement, len(in))
	for i, s := range in {
		out[i] = subscription.Settlement{
			Token: s.GetAckToken(), Verdict: verdicts[s.GetVerdict()], Reason: s.GetReason(), Extension: s.GetExtension().AsDuration(),
		}
		if s.GetDelay() != nil {
			out[i].Delay = new(s.GetDelay().AsDuration())
		}
	}
	return out
}

// ackOutcomes are those of the API, by those of the domain.
var ackOutcomes = map[subscription.Outcome]hookstreamv1.AckOutcome{
	subscription.Done:        hookstreamv1.AckOutcome_ACK_OUTCOME_DONE,
	subscription.Parked:      hookstreamv1.AckOutcome_ACK_OUTCOME_PARKED,
	subscription.Expired:     hookstreamv1.AckOutcome_ACK_OUTCOME_EXPIRED,
	subscription.Invalid:     hookstreamv1.AckOutcome_ACK_OUTCOME_INVALID,
	subscription.Gone:        hookstreamv1.AckOutcome_ACK_OUTCOME_SUBSCRIPTION_DELETED,
	subscription.Unavailable: hookstreamv1.AckOutcome_ACK_OUTCOME_UNAVAILABLE,
}

// ackResults answers each settlement, with the token it was about.
func ackResults(in []*hookstreamv1.Settlement, results []subscription.Result) []*hookstreamv1.AckResult {
	out := make([]*hookstreamv1.AckResult, len(results))
	for i, r := range results {
		out[i] = &hookstreamv1.AckResult{
			AckToken: in[i].GetAckToken(), Outcome: ackOutcomes[r.Outcome], AckDeadline: timestamp(r.Deadline), NewAckToken: r.Token,
		}
	}
	return out
}
