package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

type subscriptionStateCommand struct {
	connection
	output
	subscriptionArgument
}

// Run shows how a subscription is doing.
func (c *subscriptionStateCommand) Run(ctx context.Context, p *program) error {
	return c.withSubscriptions(ctx, func(ctx context.Context, client hookstreamv1.SubscriptionServiceClient) error {
		state, err := client.GetSubscriptionState(ctx, &hookstreamv1.GetSubscriptionStateRequest{Name: c.name() + "/state"})
		if err != nil {
			return err
		}
		if c.forProgram() {
			return c.write(p.stdout, state)
		}
		return p.printState(state, time.Now())
	})
}

func (p *program) printState(s *hookstreamv1.SubscriptionState, now time.Time) error {
	err := writeProperties(p.stdout,
		property{"name", strings.TrimSuffix(s.GetName(), "/state")},
		property{"delivery", deliveryOf(s)},
		property{"backlog", backlogOf(s)},
		property{"oldest unsettled", ageOf(s, now)},
		property{"outstanding", strconv.FormatInt(s.GetOutstandingEvents(), 10)},
		property{"redelivered", strconv.FormatInt(s.GetRedeliveredEvents(), 10)},
		property{"parked", strconv.FormatInt(s.GetParkedEvents(), 10)},
		property{"missed", missedOf(s)},
		property{"gateways", strings.Join(s.GetGateways(), " ")},
		property{"consumers", strconv.Itoa(len(s.GetConsumers()))},
	)
	if err != nil || len(s.GetConsumers()) == 0 {
		return err
	}
	var rows [][]string
	for _, c := range s.GetConsumers() {
		rows = append(rows, []string{
			c.GetClientId(), c.GetAddress(), c.GetGateway(), phaseOf(c),
			strconv.Itoa(int(c.GetOutstandingEvents())), size(c.GetOutstandingBytes()).String(), timeOf(c.GetConnectTime()),
		})
	}
	fmt.Fprintln(p.stdout)
	return writeTable(p.stdout, []string{"CLIENT", "ADDRESS", "GATEWAY", "PHASE", "OUTSTANDING", "BYTES", "SINCE"}, rows)
}

// blockedWords say why delivery stands still, to people.
var blockedWords = map[hookstreamv1.BlockedReason]string{
	hookstreamv1.BlockedReason_BLOCKED_REASON_NO_CONSUMER:            "stands still: nobody is connected",
	hookstreamv1.BlockedReason_BLOCKED_REASON_MAX_OUTSTANDING_EVENTS: "stands still: as many events as allowed are outstanding (max outstanding events)",
	hookstreamv1.BlockedReason_BLOCKED_REASON_MAX_OUTSTANDING_BYTES:  "stands still: as many bytes as allowed are outstanding (max outstanding bytes)",
	hookstreamv1.BlockedReason_BLOCKED_REASON_CONSUMERS_BUSY:         "stands still: every consumer holds as much as it takes",
	hookstreamv1.BlockedReason_BLOCKED_REASON_CONSUMERS_UNRESPONSIVE: "stands still: every consumer lets its deliveries expire, and is handed one at a time until it settles one",
	hookstreamv1.BlockedReason_BLOCKED_REASON_ENTITY:                 "stands still: what waits is for entities that have a delivery outstanding",
	hookstreamv1.BlockedReason_BLOCKED_REASON_TAKEOVER:               "stands still: another gateway is taking over",
	hookstreamv1.BlockedReason_BLOCKED_REASON_PAUSED:                 "paused",
}

func deliveryOf(s *hookstreamv1.SubscriptionState) string {
	switch words, blocked := blockedWords[s.GetBlockedReason()]; {
	case s.GetPaused():
		return "paused"
	case blocked:
		return words
	case s.GetBlockedReason() != 0:
		return "stands still: " + s.GetBlockedReason().String()
	}
	return "flows"
}

// phaseOf says what a consumer is given. One that answers nothing is named: its
// process may be stopped, or its network gone.
func phaseOf(c *hookstreamv1.SubscriptionConsumer) string {
	if c.GetUnresponsive() {
		return "unresponsive"
	}
	return wordOf(c.GetPhase().String(), "SUBSCRIPTION_PHASE_")
}

// missedOf is left out where nothing was missed, which is usual.
func missedOf(s *hookstreamv1.SubscriptionState) string {
	if s.GetMissedEvents() == 0 {
		return ""
	}
	return fmt.Sprintf("%d events that the log dropped before they were settled", s.GetMissedEvents())
}

func backlogOf(s *hookstreamv1.SubscriptionState) string {
	text := strconv.FormatInt(s.GetBacklogEvents(), 10)
	if s.GetBacklogEstimated() && s.GetBacklogEvents() > 0 {
		text += " at most (the selector looks into events)"
	}
	return text
}

func ageOf(s *hookstreamv1.SubscriptionState, now time.Time) string {
	if s.GetOldestUnsettledTime() == nil {
		return ""
	}
	age := max(0, now.Sub(s.GetOldestUnsettledTime().AsTime())).Round(time.Second)
	return fmt.Sprintf("%s (%s ago)", timeOf(s.GetOldestUnsettledTime()), age)
}
