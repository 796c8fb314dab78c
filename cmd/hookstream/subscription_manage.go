package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

type subscriptionGetCommand struct {
	connection
	output
	subscriptionArgument
}

// Run shows a subscription.
func (c *subscriptionGetCommand) Run(ctx context.Context, p *program) error {
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		sub, err := client.GetSubscription(ctx, &hookstreamv1.GetSubscriptionRequest{Name: c.name()})
		if err != nil {
			return err
		}
		return p.printSubscription(c.output, sub)
	})
}

type subscriptionListCommand struct {
	connection
	output
	choice
}

// Run lists all subscriptions, whatever the number of pages.
func (c *subscriptionListCommand) Run(ctx context.Context, p *program) error {
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		all, err := everyPage(func(token string) ([]*hookstreamv1.Subscription, string, error) {
			page, err := client.ListSubscriptions(ctx, &hookstreamv1.ListSubscriptionsRequest{
				PageSize: pageItems, PageToken: token, Filter: c.Filter, OrderBy: c.OrderBy,
			})
			return page.GetSubscriptions(), page.GetNextPageToken(), err
		})
		switch {
		case err != nil:
			return c.refused(err)
		case c.forProgram():
			return c.write(p.stdout, &hookstreamv1.ListSubscriptionsResponse{Subscriptions: all})
		case c.chosen() && len(all) == 0:
			p.say(noneFits)
			return nil
		}
		return p.printSubscriptions(all, c.wide())
	})
}

func (p *program) printSubscriptions(all []*hookstreamv1.Subscription, wide bool) error {
	if len(all) == 0 {
		p.say("there are no subscriptions; `hookstream subscriptions create ID` creates one")
		return nil
	}
	messages := make([]proto.Message, len(all))
	for i, sub := range all {
		messages[i] = sub
	}
	heading, rows := settingColumns(subscription.Table, true, messages...)
	for i, sub := range all {
		var chosen []string
		for _, part := range selectorOf(sub.GetSelector()) {
			if part.value != "" {
				chosen = append(chosen, part.value)
			}
		}
		rows[i] = slices.Concat([]string{sub.GetName(), subscriptionStateOf(sub)}, rows[i], []string{strings.Join(chosen, "; ")})
	}
	heading = slices.Concat([]string{"NAME", "STATE"}, heading, []string{"EVENTS"})
	if wide {
		more, cells := settingColumns(subscription.Table, false, messages...)
		heading = append(heading, more...)
		for i := range rows {
			rows[i] = append(rows[i], cells[i]...)
		}
	}
	return writeTable(p.stdout, heading, rows)
}

type subscriptionDeleteCommand struct {
	connection
	subscriptionArgument
	Etag string `help:"Delete only if the subscription has not changed since this etag was read." placeholder:"ETAG"`
	Yes  bool   `help:"Do not ask."`
}

// Run deletes a subscription, after asking when somebody is there to answer.
func (c *subscriptionDeleteCommand) Run(ctx context.Context, p *program) error {
	if !c.Yes {
		if err := p.confirm("delete " + c.name() + "? Its place in the log and its parked deliveries are gone then, for good."); err != nil {
			return err
		}
	}
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		if _, err := client.DeleteSubscription(ctx, &hookstreamv1.DeleteSubscriptionRequest{Name: c.name(), Etag: c.Etag}); err != nil {
			return err
		}
		p.say("deleted %s", c.name())
		return nil
	})
}

type subscriptionPauseCommand struct {
	connection
	output
	subscriptionArgument
}

// Run pauses a subscription.
func (c *subscriptionPauseCommand) Run(ctx context.Context, p *program) error {
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		sub, err := client.PauseSubscription(ctx, &hookstreamv1.PauseSubscriptionRequest{Name: c.name()})
		if err != nil {
			return err
		}
		return p.printSubscription(c.output, sub)
	})
}

type subscriptionResumeCommand struct {
	connection
	output
	subscriptionArgument
}

// Run resumes a subscription.
func (c *subscriptionResumeCommand) Run(ctx context.Context, p *program) error {
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		sub, err := client.ResumeSubscription(ctx, &hookstreamv1.ResumeSubscriptionRequest{Name: c.name()})
		if err != nil {
			return err
		}
		return p.printSubscription(c.output, sub)
	})
}

type subscriptionSeekCommand struct {
	connection
	output
	subscriptionArgument
	To   string `required:"" help:"Where to go on: latest, earliest, a cursor, an RFC 3339 time, or how long ago (1h)." placeholder:"POSITION"`
	Etag string `help:"Move only if the subscription has not changed since this etag was read." placeholder:"ETAG"`
}

// Run moves a subscription.
func (c *subscriptionSeekCommand) Run(ctx context.Context, p *program) error {
	to, err := parsePosition("--to", c.To, time.Now())
	if err != nil {
		return err
	}
	req := &hookstreamv1.SeekSubscriptionRequest{Name: c.name(), Etag: c.Etag}
	to.ofSeek(req)
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		sub, err := client.SeekSubscription(ctx, req)
		if err != nil {
			return err
		}
		p.say("moved to %s", c.To)
		return p.printSubscription(c.output, sub)
	})
}
