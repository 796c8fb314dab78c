package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// UpdateSubscription changes the fields that the mask names.
func (s *subscriptionService) UpdateSubscription(ctx context.Context, req *hookstreamv1.UpdateSubscriptionRequest) (*hookstreamv1.Subscription, error) {
	name := &hookstreamv1.GetSubscriptionRequest{Name: req.GetSubscription().GetName()}
	if v := check(name).under("subscription"); len(v) > 0 {
		return nil, v.err()
	}
	id, etag := subscriptionID(name.GetName()), req.GetSubscription().GetEtag()
	change := func(settings *subscription.Settings) error { return changeSettings(settings, req) }
	var updated *subscription.Subscription
	var err error
	if req.GetValidateOnly() {
		updated, err = s.manager.Preview(ctx, id, etag, change)
	} else {
		updated, err = s.manager.Update(ctx, id, etag, change)
	}
	if err != nil {
		return nil, err
	}
	return subscriptionMessage(updated), nil
}

// changeSettings makes of settings what the request wants, if that can be.
func changeSettings(settings *subscription.Settings, req *hookstreamv1.UpdateSubscriptionRequest) error {
	sub := settings.Message()
	if v := applySubscriptionMask(sub, req.GetSubscription(), req.GetUpdateMask().GetPaths()); len(v) > 0 {
		return v.err()
	}
	if v := check(sub).under("subscription"); len(v) > 0 {
		return v.err()
	}
	*settings = subscription.SettingsOf(sub)
	return nil
}
