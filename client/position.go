package client

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Start says where something without a place of its own begins. The zero value
// is Latest.
type Start struct {
	earliest bool
	cursor   string
	time     *timestamppb.Timestamp
}

// Latest begins with the first event published from now on.
func Latest() Start { return Start{} }

// Earliest begins with the oldest event that the log holds.
func Earliest() Start { return Start{earliest: true} }

// AtTime begins with the first event published at or after t.
func AtTime(t time.Time) Start { return Start{time: timestamppb.New(t)} }

// After begins with the event after the one, or the frame, that carried the
// cursor. After an empty cursor is Latest.
func After(cursor string) Start { return Start{cursor: cursor} }

func (s Start) subscribe(r *hookstreamv1.SubscribeRequest) {
	switch {
	case s.earliest:
		r.Start = &hookstreamv1.SubscribeRequest_Earliest{Earliest: true}
	case s.cursor != "":
		r.Start = &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: s.cursor}
	case s.time != nil:
		r.Start = &hookstreamv1.SubscribeRequest_AtTime{AtTime: s.time}
	default:
		r.Start = &hookstreamv1.SubscribeRequest_Latest{Latest: true}
	}
}

func (s Start) ensure(r *hookstreamv1.EnsureSubscriptionRequest) {
	switch {
	case s.earliest:
		r.Start = &hookstreamv1.EnsureSubscriptionRequest_Earliest{Earliest: true}
	case s.cursor != "":
		r.Start = &hookstreamv1.EnsureSubscriptionRequest_AfterCursor{AfterCursor: s.cursor}
	case s.time != nil:
		r.Start = &hookstreamv1.EnsureSubscriptionRequest_AtTime{AtTime: s.time}
	default:
		r.Start = &hookstreamv1.EnsureSubscriptionRequest_Latest{Latest: true}
	}
}

// A Stop says where a stream ends. The zero value is never.
type Stop struct {
	head bool
	time *timestamppb.Timestamp
}

// AtHead ends the stream after the last event that the log held when it was
// opened; when it had to be opened again, the last time counts.
func AtHead() Stop { return Stop{head: true} }

// UntilTime ends the stream before the first event published after t. A time to
// come is waited for.
func UntilTime(t time.Time) Stop { return Stop{time: timestamppb.New(t)} }

func (s Stop) subscribe(r *hookstreamv1.SubscribeRequest) {
	switch {
	case s.head:
		r.Stop = &hookstreamv1.SubscribeRequest_AtHead{AtHead: true}
	case s.time != nil:
		r.Stop = &hookstreamv1.SubscribeRequest_UntilTime{UntilTime: s.time}
	}
}
