package subscription

import (
	"time"

	"github.com/hookstream/hookstream/hub"
)

// A Gap is what the log dropped before a subscription had settled it.
type Gap struct {
	// Missed is how many events that is; 0: there is no gap.
	Missed int64
	// Resume is when the oldest event was published that the log holds after them;
	// zero when there is none yet, or the log does not say.
	Resume time.Time
}

// A Delivery is one event in the hands of one consumer.
type Delivery struct {
	// Token settles it, on any gateway. It holds no secret but gives the right
	// to settle this delivery.
	Token string
	// Attempt counts the attempts that failed before, and this one. A delivery
	// that was released is none.
	Attempt int
	// HandOut is higher than in every earlier delivery of the event by this
	// subscription, on whichever gateway.
	HandOut int64
	// Deadline is when it must be settled or extended.
	Deadline time.Time
	// Replayed: it had been parked, or is of a Replay.
	Replayed bool
	// Replay is the name of the replay that hands it out: see ReplayName.
	Replay string
	Event  *hub.Event
}

// ConsumerOptions say who consumes, and how much it takes.
type ConsumerOptions struct {
	// ClientID is what the consumer calls itself, Address where it comes from:
	// for State.
	ClientID, Address string
	// MaxEvents and MaxBytes bound what it holds unsettled. 0: what the
	// subscription allows.
	MaxEvents int
	MaxBytes  int64
	// BatchEvents and BatchBytes bound one frame, and BatchWait how long it may
	// wait to be filled. 0: 256 events, 256 KiB, no wait. A larger event comes
	// alone.
	BatchEvents int
	BatchBytes  int
	BatchWait   time.Duration
	// Heartbeat is how often a stream is sent a frame when there is nothing to
	// send. 0: 15 s.
	Heartbeat time.Duration
}

// Phase says why a stream is or is not handed anything.
type Phase int

const (
	// Active: it is handed what there is.
	Active Phase = iota
	// Paused: the subscription is paused. The stream stays open.
	Paused
	// StandingBy: the subscription is ordered and another gateway hands out; the
	// stream is handed something when that gateway goes or has no consumers.
	StandingBy
)

// A Frame is one message to a stream.
type Frame struct {
	// Deliveries that are handed over; none in a heartbeat, or when Phase or
	// Draining have changed.
	Deliveries []Delivery
	Phase      Phase
	// Gap, when it is one, is what consumers were not told of before.
	Gap Gap
	// Draining, when positive, is in how much time the stream will be ended
	// because the gateway goes down.
	Draining time.Duration
}

// A Verdict is what becomes of a delivery.
type Verdict int

const (
	// Ack: it is done with.
	Ack Verdict = iota + 1
	// Retry: it is handed out again after a wait; the last attempt parks it, as
	// MaxAttempts says.
	Retry
	// Park: it is set aside for an operator.
	Park
	// Skip: it is given up, as if it was done with.
	Skip
	// Extend: it stays in force for longer.
	Extend
	// Release: it is handed out again at once, and was no attempt.
	Release
)

// A Settlement is what a consumer says about one delivery.
type Settlement struct {
	Token   string
	Verdict Verdict
	// Delay before a Retry, up to 1 h; nil: the subscription's back-off.
	Delay *time.Duration
	// Extension from now, 1 s to 1 h; 0: the subscription's deadline.
	Extension time.Duration
	// Unsent: a Release of what never left the gateway, which says nothing of its
	// consumer.
	Unsent bool `json:",omitempty"`
	// Reason for Retry, Park and Skip; kept when the event is parked, up to 1,024
	// bytes of it.
	Reason string
}

// An Outcome is what became of a settlement.
type Outcome int

const (
	// Done: it is in force and survives what the log survives. Saying the same
	// again is Done again.
	Done Outcome = iota + 1
	// Parked: it is Done, and the event was parked.
	Parked
	// Expired: the delivery was no longer in force: its deadline had passed, its
	// stream was gone, it was sought away, or it was settled otherwise.
	Expired
	// Invalid: the token was not made here, or belongs to another subscription,
	// or the settlement is not valid.
	Invalid
	// Gone: the subscription was deleted.
	Gone
	// Unavailable: it could not be kept; it may or may not be in force. Say it
	// again.
	Unavailable
)

// A Result is the answer to one Settlement.
type Result struct {
	Outcome Outcome
	// Deadline of a delivery that was extended, and a token that says so. The old
	// token stays good as long as its gateway lives.
	Deadline time.Time
	Token    string
}
