package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// SeekSubscription moves a subscription to another place in the log.
func (s *subscriptionService) SeekSubscription(ctx context.Context, req *hookstreamv1.SeekSubscriptionRequest) (*hookstreamv1.Subscription, error) {
	to, err := positionOf(req)
	if err != nil {
		return nil, err
	}
	sub, err := s.manager.Seek(ctx, subscriptionID(req.GetName()), req.GetEtag(), to)
	if err != nil {
		return nil, err
	}
	return subscriptionMessage(sub), nil
}
