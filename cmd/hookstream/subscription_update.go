package main

import (
	"context"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// subscriptionUpdateCommand changes what is named.
type subscriptionUpdateCommand struct {
	connection
	output
	subscriptionArgument
	subscriptionSettings
	AllEvents    bool   `help:"Select all events." group:"Which events"`
	Etag         string `help:"Change only if the subscription has not changed since this etag was read." placeholder:"ETAG"`
	ValidateOnly bool   `help:"Check and print what the subscription would be, but change nothing."`
}

// Run changes a subscription.
func (c *subscriptionUpdateCommand) Run(ctx context.Context, p *program) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	c.warnOfUnknown(ctx, p, c.Source, c.Type)
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		sub, err := client.UpdateSubscription(ctx, req)
		if err != nil {
			return err
		}
		return p.printSubscription(c.output, sub)
	})
}

func (c *subscriptionUpdateCommand) request() (*hookstreamv1.UpdateSubscriptionRequest, error) {
	sub := &hookstreamv1.Subscription{Name: c.name(), Etag: c.Etag}
	paths, err := c.apply(sub)
	switch {
	case err != nil:
		return nil, err
	case c.AllEvents && sub.GetSelector() != nil:
		return nil, misused("--all-events and what selects events exclude each other")
	}
	if c.AllEvents {
		paths = append(paths, "selector")
	}
	if len(paths) == 0 {
		return nil, misused("nothing to change was named")
	}
	return &hookstreamv1.UpdateSubscriptionRequest{
		Subscription: sub, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}, ValidateOnly: c.ValidateOnly,
	}, nil
}
