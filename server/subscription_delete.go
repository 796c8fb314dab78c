package server

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// DeleteSubscription removes a subscription and what it had parked.
func (s *subscriptionService) DeleteSubscription(ctx context.Context, req *hookstreamv1.DeleteSubscriptionRequest) (*emptypb.Empty, error) {
	if err := s.manager.Delete(ctx, subscriptionID(req.GetName()), req.GetEtag()); err != nil {
		return nil, err
	}
	return new(emptypb.Empty), nil
}
