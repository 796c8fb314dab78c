package main

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// subscriptionsCommand groups what manages durable subscriptions.
type subscriptionsCommand struct {
	Create subscriptionCreateCommand `cmd:"" help:"Create a subscription."`
	Ensure subscriptionEnsureCommand `cmd:"" help:"Create a subscription unless it exists; fail when it exists with other settings."`
	Get    subscriptionGetCommand    `cmd:"" help:"Show a subscription."`
	List   subscriptionListCommand   `cmd:"" help:"List subscriptions."`
	Update subscriptionUpdateCommand `cmd:"" help:"Change a subscription. What is not named stays as it is."`
	Delete subscriptionDeleteCommand `cmd:"" help:"Delete a subscription, its place and its parked deliveries."`
	Pause  subscriptionPauseCommand  `cmd:"" help:"Hand nothing out until resume. What was handed out can be acknowledged."`
	Resume subscriptionResumeCommand `cmd:"" help:"Go on handing out."`
	Seek   subscriptionSeekCommand   `cmd:"" help:"Move a subscription: hand out everything from a position on, also what was acknowledged."`
	State  subscriptionStateCommand  `cmd:"" help:"Say what waits, what is outstanding, who is connected, and why nothing moves."`
	Pull   subscriptionPullCommand   `cmd:"" help:"Take some deliveries. They stay this consumer's until their deadline."`
	Ack    subscriptionAckCommand    `cmd:"" help:"Say what becomes of deliveries, by their tokens."`
	Parked parkedCommand             `cmd:"" help:"Look at what was given up, hand it out again, or forget it."`

	Replays replaysCommand `cmd:"" help:"Look after replays, which events replay begins."`
}

// A subscriptionArgument names a subscription.
type subscriptionArgument struct {
	Subscription string `arg:"" help:"The subscription's id: crm or subscriptions/crm."`
}

func (a subscriptionArgument) name() string { return subscriptionName(a.Subscription) }

const subscriptionsPrefix = "subscriptions/"

// subscriptionName accepts an id and a name alike.
func subscriptionName(subscription string) string {
	return subscriptionsPrefix + strings.TrimPrefix(subscription, subscriptionsPrefix)
}

// subscriptionHints say what can be done about the reasons of subscriptions.
var subscriptionHints = map[string]string{
	"RESOURCE_EXISTS":      "`hookstream subscriptions update` changes a subscription that exists",
	"SUBSCRIPTION_DIFFERS": "`hookstream subscriptions get` shows it; `hookstream subscriptions update` changes it",
	"SUBSCRIPTION_PAUSED":  "`hookstream subscriptions resume` goes on handing out",
	"CURSOR_EXPIRED":       "the log goes back to `earliest`",
	"CURSOR_UNKNOWN":       "give a cursor of this gateway, as `tail --output json` prints it",
}

// withSubscriptions calls f with a client of the gateway's subscriptions.
func (c connection) withSubscriptions(ctx context.Context, f func(context.Context, hookstreamv1.SubscriptionServiceClient) error) error {
	err := c.call(ctx, func(ctx context.Context, conn *grpc.ClientConn) error {
		return f(ctx, hookstreamv1.NewSubscriptionServiceClient(conn))
	})
	if st, ok := statusOf(err); ok && subscriptionHints[reason(st)] != "" {
		return hinted(err, "%s", subscriptionHints[reason(st)])
	}
	return err
}

// printSubscription shows one subscription.
func (p *program) printSubscription(out output, sub *hookstreamv1.Subscription) error {
	if out.forProgram() {
		return out.write(p.stdout, sub)
	}
	properties := []property{{"name", sub.GetName()}, {"state", subscriptionStateOf(sub)}}
	properties = append(properties, selectorOf(sub.GetSelector())...)
	properties = append(properties, settingProperties(subscription.Table, sub)...)
	return writeProperties(p.stdout, append(properties, property{"etag", sub.GetEtag()})...)
}

func subscriptionStateOf(sub *hookstreamv1.Subscription) string {
	if sub.GetPaused() {
		return "paused"
	}
	return "active"
}

// selectorOf says which events are chosen.
func selectorOf(s *hookstreamv1.EventSelector) []property {
	properties := []property{
		{"sources", strings.Join(s.GetSources(), " ")},
		{"types", strings.Join(s.GetTypes(), " ")},
		{"environments", strings.Join(s.GetEnvironments(), " ")},
		{"filter", s.GetFilter()},
	}
	if hasTyped(s) {
		properties = append(properties, property{"typed selector", "yes: --output json shows it"})
	}
	for _, p := range properties {
		if p.value != "" {
			return properties
		}
	}
	return []property{{"events", "all"}}
}

// hasTyped reports whether a selector has typed conditions, of whichever provider.
func hasTyped(s *hookstreamv1.EventSelector) (has bool) {
	s.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		has = fd.Kind() == protoreflect.MessageKind
		return !has
	})
	return has
}

// wordOf makes a word for people of an enum's value.
func wordOf(value, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(value, prefix), "_", " "))
}

func spanOf(d *durationpb.Duration) string { return span(d.AsDuration()).String() }
