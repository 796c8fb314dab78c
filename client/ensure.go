package client

import (
	"context"
	"strings"

	"google.golang.org/grpc"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Ensure makes the subscription when there is none of its name, beginning at
// start, and answers the one there is when its settings are the same: what a
// service calls before [Run]. Settings that are not given count as their
// defaults. The name is `crm` or `subscriptions/crm`.
//
// A subscription with other settings is left as it is: the error has the reason
// SUBSCRIPTION_DIFFERS and names what differs.
func Ensure(ctx context.Context, conn grpc.ClientConnInterface, sub *hookstreamv1.Subscription, start Start) (*hookstreamv1.Subscription, error) {
	req := &hookstreamv1.EnsureSubscriptionRequest{
		SubscriptionId: strings.TrimPrefix(sub.GetName(), "subscriptions/"),
		Subscription:   sub,
	}
	start.ensure(req)
	resp, err := hookstreamv1.NewSubscriptionServiceClient(conn).EnsureSubscription(ctx, req)
	return resp.GetSubscription(), err
}
