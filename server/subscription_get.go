package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// GetSubscription answers a subscription.
func (s *subscriptionService) GetSubscription(ctx context.Context, req *hookstreamv1.GetSubscriptionRequest) (*hookstreamv1.Subscription, error) {
	sub, err := s.manager.Find(ctx, subscriptionID(req.GetName()))
	if err != nil {
		return nil, err
	}
	return subscriptionMessage(sub), nil
}
