package server

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// orderings are those of the API, by those of the domain.
var orderings = map[subscription.Ordering]hookstreamv1.Ordering{
	subscription.Unordered:     hookstreamv1.Ordering_ORDERING_UNORDERED,
	subscription.OrderByEntity: hookstreamv1.Ordering_ORDERING_BY_ENTITY,
}

// subscriptionMessage shows a subscription to the caller.
func subscriptionMessage(sub *subscription.Subscription) *hookstreamv1.Subscription {
	out := settingsMessage(&sub.Settings)
	out.Name, out.Uid, out.Etag, out.Paused = subscription.Name(sub.ID), sub.UID, sub.Etag, sub.Paused
	out.CreateTime, out.UpdateTime = timestamp(sub.CreateTime), timestamp(sub.UpdateTime)
	return out
}

// settingsMessage shows settings that have their defaults.
func settingsMessage(s *subscription.Settings) *hookstreamv1.Subscription {
	return &hookstreamv1.Subscription{
		Description: s.Description,
		Labels:      s.Labels,
		Selector:    s.Selector,
		Ordering:    orderings[s.Ordering],
		AckDeadline: durationpb.New(s.AckDeadline),
		MaxAttempts: int32(s.MaxAttempts),
		// No wait at all is less than zero inside and zero outside.
		BackoffMin:           durationpb.New(max(s.BackoffMin, 0)),
		BackoffMax:           durationpb.New(max(s.BackoffMax, 0)),
		MaxOutstandingEvents: int32(s.MaxOutstandingEvents),
		MaxOutstandingBytes:  s.MaxOutstandingBytes,
	}
}

// settingsOf reads what a caller wants. What it did not set is zero, which
// stands for the default.
func settingsOf(sub *hookstreamv1.Subscription) subscription.Settings {
	s := subscription.Settings{
		Description:          sub.GetDescription(),
		Labels:               sub.GetLabels(),
		Selector:             sub.GetSelector(),
		AckDeadline:          sub.GetAckDeadline().AsDuration(),
		MaxAttempts:          int(sub.GetMaxAttempts()),
		BackoffMin:           sub.GetBackoffMin().AsDuration(),
		BackoffMax:           sub.GetBackoffMax().AsDuration(),
		MaxOutstandingEvents: int(sub.GetMaxOutstandingEvents()),
		MaxOutstandingBytes:  sub.GetMaxOutstandingBytes(),
	}
	if sub.GetOrdering() == hookstreamv1.Ordering_ORDERING_BY_ENTITY {
		s.Ordering = subscription.OrderByEntity
	}
	if sub.GetBackoffMin() != nil && s.BackoffMin == 0 {
		s.BackoffMin = subscription.NoBackoff
	}
	return s
}

// timestamp leaves a time out that is not known.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// positionRequest is what all requests with a position have.
type positionRequest interface {
	GetEarliest() bool
	GetAfterCursor() string
	GetAtTime() *timestamppb.Timestamp
}

// positionOf reads a position: the end of the log unless the request says
// otherwise.
func positionOf(req positionRequest) (at subscription.Position, err error) {
	at.Earliest = req.GetEarliest()
	if cursor := req.GetAfterCursor(); cursor != "" {
		c, err := event.ParseCursor(cursor)
		if err != nil {
			return at, err
		}
		at.After = &c
	}
	if t := req.GetAtTime(); t != nil {
		if t.CheckValid() != nil {
			var v violations
			v.add("at_time", "is not a time between the years 1 and 9999")
			return at, v.err()
		}
		at.At = new(t.AsTime())
	}
	return at, nil
}
