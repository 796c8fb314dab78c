package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// CreateSubscription keeps a new subscription.
func (s *subscriptionService) CreateSubscription(ctx context.Context, req *hookstreamv1.CreateSubscriptionRequest) (*hookstreamv1.Subscription, error) {
	at, err := positionOf(req)
	if err != nil {
		return nil, err
	}
	id, settings := req.GetSubscriptionId(), subscription.SettingsOf(req.GetSubscription())
	var created *subscription.Subscription
	if req.GetValidateOnly() {
		created, err = s.draft(ctx, id, settings)
	} else {
		created, err = s.manager.Create(ctx, id, settings, at)
	}
	if err != nil {
		return nil, err
	}
	return subscriptionMessage(created), nil
}

// draft answers what Create would make, if it would.
func (s *subscriptionService) draft(ctx context.Context, id string, settings subscription.Settings) (*subscription.Subscription, error) {
	if _, err := s.manager.Lookup(ctx, id); err == nil {
		return nil, subscription.ErrExists
	}
	return s.manager.Draft(id, settings)
}
