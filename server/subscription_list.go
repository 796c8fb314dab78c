package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// ListSubscriptions answers a page of subscriptions, by id unless said
// otherwise.
func (s *subscriptionService) ListSubscriptions(_ context.Context, req *hookstreamv1.ListSubscriptionsRequest) (*hookstreamv1.ListSubscriptionsResponse, error) {
	var all []*hookstreamv1.Subscription
	for _, sub := range s.manager.List() {
		all = append(all, subscriptionMessage(sub))
	}
	// By id and not by name: `/` sorts among the characters of ids.
	key := func(sub *hookstreamv1.Subscription) string { return subscriptionID(sub.GetName()) }
	found, next, err := list[*hookstreamv1.Subscription]{name: "subscriptions", key: key}.page(all, req)
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.ListSubscriptionsResponse{Subscriptions: found, NextPageToken: next}, nil
}
