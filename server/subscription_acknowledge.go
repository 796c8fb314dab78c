package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// Acknowledge settles deliveries and answers for each of them.
func (s *subscriptionService) Acknowledge(ctx context.Context, req *hookstreamv1.AcknowledgeRequest) (*hookstreamv1.AcknowledgeResponse, error) {
	id := subscriptionID(req.GetName())
	if _, err := s.manager.Get(id); err != nil {
		return nil, err
	}
	results := ackResults(s.manager.Settle(ctx, id, settlements(req)))
	acks, nacks := len(req.GetAcks()), len(req.GetNacks())
	return &hookstreamv1.AcknowledgeResponse{
		Acks: results[:acks:acks], Nacks: results[acks : acks+nacks : acks+nacks], Extensions: results[acks+nacks:],
	}, nil
}

// settlements are the three lists of a request as one.
func settlements(req *hookstreamv1.AcknowledgeRequest) []subscription.Settlement {
	all := make([]subscription.Settlement, 0, len(req.GetAcks())+len(req.GetNacks())+len(req.GetExtensions()))
	for _, token := range req.GetAcks() {
		all = append(all, subscription.Settlement{Token: token, Verdict: subscription.Ack})
	}
	for _, nack := range req.GetNacks() {
		all = append(all, nackSettlement(nack))
	}
	for _, extension := range req.GetExtensions() {
		all = append(all, subscription.Settlement{
			Token: extension.GetAckToken(), Verdict: subscription.Extend, Extension: extension.GetExtension().AsDuration(),
		})
	}
	return all
}

func nackSettlement(nack *hookstreamv1.Nack) subscription.Settlement {
	out := subscription.Settlement{Token: nack.GetAckToken(), Verdict: subscription.Retry, Reason: nack.GetReason()}
	switch nack.GetAction() {
	case hookstreamv1.Nack_ACTION_PARK:
		out.Verdict = subscription.Park
	case hookstreamv1.Nack_ACTION_SKIP:
		out.Verdict = subscription.Skip
	case hookstreamv1.Nack_ACTION_RELEASE:
		out.Verdict = subscription.Release
	default:
		if nack.GetDelay() != nil {
			out.Delay = new(nack.GetDelay().AsDuration())
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

func ackResults(in []subscription.Result) []*hookstreamv1.AckResult {
	out := make([]*hookstreamv1.AckResult, len(in))
	for i, r := range in {
		out[i] = &hookstreamv1.AckResult{
			Outcome: ackOutcomes[r.Outcome], AckDeadline: timestamp(r.Deadline), AckToken: r.Token,
		}
	}
	return out
}
