package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// PauseSubscription ends handing out.
func (s *subscriptionService) PauseSubscription(ctx context.Context, req *hookstreamv1.PauseSubscriptionRequest) (*hookstreamv1.Subscription, error) {
	sub, err := s.manager.Pause(ctx, subscriptionID(req.GetName()), req.GetEtag())
	if err != nil {
		return nil, err
	}
	return subscriptionMessage(sub), nil
}

// ResumeSubscription goes on handing out.
func (s *subscriptionService) ResumeSubscription(ctx context.Context, req *hookstreamv1.ResumeSubscriptionRequest) (*hookstreamv1.Subscription, error) {
	sub, err := s.manager.Resume(ctx, subscriptionID(req.GetName()), req.GetEtag())
	if err != nil {
		return nil, err
	}
	return subscriptionMessage(sub), nil
}
