package server

import (
	"context"
	"slices"
	"strconv"
	"strings"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// eventDeliveryStates are those of the API, by those of the domain.
var eventDeliveryStates = map[subscription.StandingState]hookstreamv1.EventDelivery_State{
	subscription.StandingUnknown: hookstreamv1.EventDelivery_STATE_UNKNOWN,
	subscription.NotSelected:     hookstreamv1.EventDelivery_STATE_NOT_SELECTED,
	subscription.BeforeStart:     hookstreamv1.EventDelivery_STATE_BEFORE_START,
	subscription.Pending:         hookstreamv1.EventDelivery_STATE_PENDING,
	subscription.Outstanding:     hookstreamv1.EventDelivery_STATE_OUTSTANDING,
	subscription.SettledForGood:  hookstreamv1.EventDelivery_STATE_SETTLED,
	subscription.SetAside:        hookstreamv1.EventDelivery_STATE_PARKED,
}

// ListEventDeliveries answers how an event stands with subscriptions, by their ids.
func (s *EventService) ListEventDeliveries(ctx context.Context, req *hookstreamv1.ListEventDeliveriesRequest) (*hookstreamv1.ListEventDeliveriesResponse, error) {
	if err := check(req).err(); err != nil {
		return nil, err
	}
	list, after := "eventDeliveries/"+req.GetParent(), ""
	if token := req.GetPageToken(); token != "" {
		var ok bool
		if after, ok = parsePageToken(list, token); !ok {
			return nil, errPageToken()
		}
	}
	e, err := s.hub.Named(ctx, req.GetParent())
	if err != nil {
		return nil, noEvent(req.GetParent(), err)
	}
	out := new(hookstreamv1.ListEventDeliveriesResponse)
	if s.subscriptions == nil {
		return out, nil
	}
	subs := s.subscriptions.List()
	if after != "" {
		first := slices.IndexFunc(subs, func(sub *subscription.Subscription) bool { return sub.ID > after })
		if first < 0 {
			return out, nil
		}
		subs = subs[first:]
	}
	if n := pageSize(req); n < len(subs) {
		subs = subs[:n]
		out.NextPageToken = pageToken(list, subs[n-1].ID)
	}
	found, err := s.subscriptions.Standings(ctx, e, subs)
	if err != nil {
		return nil, err
	}
	for _, standing := range found {
		out.Deliveries = append(out.Deliveries, eventDeliveryMessage(standing))
	}
	return out, nil
}

func eventDeliveryMessage(s subscription.Standing) *hookstreamv1.EventDelivery {
	name := subscription.Name(s.Subscription.ID)
	out := &hookstreamv1.EventDelivery{
		Subscription: name, State: eventDeliveryStates[s.State],
		Reason: strings.ToValidUTF8(s.Reason, "\uFFFD"), ClientId: s.ClientID,
		AckDeadline: timestamp(s.Deadline), ParkTime: timestamp(s.ParkTime),
	}
	if s.Attempts >= 0 {
		n := int32(s.Attempts)
		out.Attempts = &n
	}
	if s.ParkedID != 0 {
		out.ParkedDelivery = name + parkedSegment + strconv.FormatUint(s.ParkedID, 10)
	}
	return out
}
