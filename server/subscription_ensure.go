package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// EnsureSubscription creates the subscription, or finds it as it should be.
func (s *subscriptionService) EnsureSubscription(ctx context.Context, req *hookstreamv1.EnsureSubscriptionRequest) (*hookstreamv1.EnsureSubscriptionResponse, error) {
	at, err := positionOf(req)
	if err != nil {
		return nil, err
	}
	sub, created, err := s.manager.Ensure(ctx, req.GetSubscriptionId(), subscription.SettingsOf(req.GetSubscription()), at)
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.EnsureSubscriptionResponse{Subscription: subscriptionMessage(sub), Created: created}, nil
}
