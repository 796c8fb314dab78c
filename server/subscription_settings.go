package server

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// subscriptionMessage shows a subscription to the caller.
func subscriptionMessage(sub *subscription.Subscription) *hookstreamv1.Subscription {
	out := sub.Settings.Message()
	out.Name, out.Uid, out.Etag, out.Paused = subscription.Name(sub.ID), sub.UID, sub.Etag, sub.Paused
	out.CreateTime, out.UpdateTime = timestamp(sub.CreateTime), timestamp(sub.UpdateTime)
	return out
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
