package main

import (
	"context"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// subscriptionNewFlags are what a subscription that may be made has.
type subscriptionNewFlags struct {
	connection
	output
	ID string `arg:"" name:"id" help:"The id: lower-case letters, digits and hyphens. It never changes."`
	subscriptionSettings
	From string `help:"Where to begin: latest, earliest, a cursor, an RFC 3339 time, or how long ago (1h)." default:"latest" placeholder:"POSITION"`
}

func (c subscriptionNewFlags) subscription() (*hookstreamv1.Subscription, error) {
	if c.Filter != nil && *c.Filter == "" { // an update may empty it
		return nil, emptied("filter")
	}
	sub := &hookstreamv1.Subscription{}
	_, err := c.apply(sub)
	return sub, err
}

type subscriptionCreateCommand struct {
	subscriptionNewFlags
	ValidateOnly bool `help:"Check and print what would be created, but create nothing."`
}

// Run creates a subscription.
func (c *subscriptionCreateCommand) Run(ctx context.Context, p *program) error {
	sub, err := c.subscription()
	if err != nil {
		return err
	}
	req := &hookstreamv1.CreateSubscriptionRequest{
		SubscriptionId: c.ID, Subscription: sub, ValidateOnly: c.ValidateOnly,
	}
	at, err := parsePosition("--from", c.From, time.Now())
	if err != nil {
		return err
	}
	at.ofCreate(req)
	c.warnOfUnknown(ctx, p, c.Source, c.Type)
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		sub, err := client.CreateSubscription(ctx, req)
		if err != nil {
			return err
		}
		if c.ValidateOnly {
			p.say("valid; nothing was created")
		}
		return p.printSubscription(c.output, sub)
	})
}

type subscriptionEnsureCommand struct{ subscriptionNewFlags }

// Run makes sure that a subscription is there.
func (c *subscriptionEnsureCommand) Run(ctx context.Context, p *program) error {
	sub, err := c.subscription()
	if err != nil {
		return err
	}
	req := &hookstreamv1.EnsureSubscriptionRequest{SubscriptionId: c.ID, Subscription: sub}
	at, err := parsePosition("--from", c.From, time.Now())
	if err != nil {
		return err
	}
	at.ofEnsure(req)
	c.warnOfUnknown(ctx, p, c.Source, c.Type)
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		resp, err := client.EnsureSubscription(ctx, req)
		if err != nil {
			return err
		}
		if resp.GetCreated() {
			p.say("created")
		} else {
			p.say("it was there, with these settings")
		}
		return p.printSubscription(c.output, resp.GetSubscription())
	})
}
