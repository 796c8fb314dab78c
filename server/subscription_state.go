package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// blockedReasons are those of the API, by those of the domain.
var blockedReasons = map[subscription.BlockedReason]hookstreamv1.BlockedReason{
	subscription.NotBlocked:         hookstreamv1.BlockedReason_BLOCKED_REASON_UNSPECIFIED,
	subscription.BlockedPaused:      hookstreamv1.BlockedReason_BLOCKED_REASON_PAUSED,
	subscription.BlockedNoConsumer:  hookstreamv1.BlockedReason_BLOCKED_REASON_NO_CONSUMER,
	subscription.BlockedOutstanding: hookstreamv1.BlockedReason_BLOCKED_REASON_MAX_OUTSTANDING_EVENTS,
	subscription.BlockedBytes:       hookstreamv1.BlockedReason_BLOCKED_REASON_MAX_OUTSTANDING_BYTES,
	subscription.BlockedConsumers:   hookstreamv1.BlockedReason_BLOCKED_REASON_CONSUMERS_BUSY,
	subscription.BlockedEntity:      hookstreamv1.BlockedReason_BLOCKED_REASON_ENTITY,
	subscription.BlockedTakeover:    hookstreamv1.BlockedReason_BLOCKED_REASON_TAKEOVER,

	subscription.BlockedUnresponsive: hookstreamv1.BlockedReason_BLOCKED_REASON_CONSUMERS_UNRESPONSIVE,
}

// phases are those of the API, by those of the domain.
var phases = map[subscription.Phase]hookstreamv1.SubscriptionPhase{
	subscription.Active:     hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_ACTIVE,
	subscription.Paused:     hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_PAUSED,
	subscription.StandingBy: hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_STANDING_BY,
}

// GetSubscriptionState answers what an operator wants to know.
func (s *subscriptionService) GetSubscriptionState(ctx context.Context, req *hookstreamv1.GetSubscriptionStateRequest) (*hookstreamv1.SubscriptionState, error) {
	id := subscriptionID(req.GetName())
	state, err := s.manager.State(ctx, id)
	if err != nil {
		return nil, err
	}
	out := &hookstreamv1.SubscriptionState{
		Name:                subscription.Name(id) + "/state",
		BacklogEvents:       state.Backlog,
		BacklogEstimated:    state.BacklogEstimated,
		OldestUnsettledTime: timestamp(state.OldestUnsettled),
		OutstandingEvents:   state.Outstanding,
		RedeliveredEvents:   state.Redelivered,
		ParkedEvents:        state.Parked,
		MissedEvents:        state.Missed,
		Paused:              state.Paused,
		BlockedReason:       blockedReasons[state.Blocked],
		Gateways:            state.Gateways,
	}
	for _, c := range state.Consumers {
		out.Consumers = append(out.Consumers, consumerMessage(c))
	}
	return out, nil
}

func consumerMessage(c subscription.Consumer) *hookstreamv1.SubscriptionConsumer {
	return &hookstreamv1.SubscriptionConsumer{
		ClientId: c.ClientID, Address: c.Address, Gateway: c.Gateway,
		OutstandingEvents: int32(c.Outstanding), OutstandingBytes: c.OutstandingBytes,
		ConnectTime: timestamp(c.Since), Phase: phases[c.Phase], Unresponsive: c.Unresponsive,
	}
}
