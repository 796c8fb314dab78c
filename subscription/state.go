package subscription

import (
	"time"

	"github.com/hookstream/hookstream/hub"
)

// BlockedReason says why nothing is handed out though something waits.
type BlockedReason int

const (
	// NotBlocked: events are handed out, or none waits.
	NotBlocked BlockedReason = iota
	// BlockedPaused: the subscription is paused.
	BlockedPaused
	// BlockedNoConsumer: nobody is connected.
	BlockedNoConsumer
	// BlockedOutstanding: as many deliveries are in force as may be, by the
	// subscription's bound of events.
	BlockedOutstanding
	// BlockedBytes: the same by its bound of bytes, on every gateway that has
	// consumers.
	BlockedBytes
	// BlockedConsumers: every connected consumer holds as much as it takes.
	BlockedConsumers
	// BlockedEntity: what waits is for entities that have a delivery in force or
	// in back-off.
	BlockedEntity
	// BlockedTakeover: another gateway is taking over, and waits until what the
	// former held is settled or over.
	BlockedTakeover
	// BlockedUnresponsive: every connected consumer is.
	BlockedUnresponsive
)

// State is what an operator wants to know of a subscription.
type State struct {
	// Backlog is how many events wait to be handed out for the first time.
	Backlog int64
	// BacklogEstimated: not all of Backlog may be selected, because the selector
	// looks into events.
	BacklogEstimated bool
	// OldestUnsettled is when the oldest event that is not settled was stored;
	// zero when there is none, or it is not known.
	OldestUnsettled time.Time
	// Outstanding deliveries are in force or in back-off.
	Outstanding int64
	// Redelivered of them were handed out more than once.
	Redelivered int64
	// Parked events wait for an operator.
	Parked int64
	// Missed events were dropped by the log before the subscription had settled
	// them, since it was created or sought to last: all that it selects, and those of
	// which nobody can tell.
	Missed int64
	Paused bool
	// Blocked says why delivery stands still.
	Blocked BlockedReason
	// Consumers are those connected now, on all gateways that answered.
	Consumers []Consumer
	// Gateways that answered, by id.
	Gateways []string
}

// Consumer is one that is connected.
type Consumer struct {
	ClientID, Address string
	// Gateway it is connected to.
	Gateway string
	// Outstanding events and bytes that it holds.
	Outstanding      int
	OutstandingBytes int64
	Since            time.Time
	Phase            Phase
	// Unresponsive: its last delivery expired and it has settled none since. It is
	// handed one at a time.
	Unresponsive bool
}

// ParkedDelivery is an event that was set aside.
type ParkedDelivery struct {
	// ID names it within the subscription.
	ID       string
	Event    *hub.Event
	Attempts int
	// Reason that the consumer gave last, or ours.
	Reason string
	// ParkTime is when.
	ParkTime time.Time
	// Consumer that had it last.
	ClientID string
}

// Selection names parked deliveries: all, or those with the ids. Ids that are
// not there are passed over.
type Selection struct {
	All bool
	IDs []string
}

// Stats are figures of one subscription on this gateway. The counts only grow.
type Stats struct {
	// Delivered deliveries, and those of them that were not the first of their
	// event.
	Delivered, Redelivered int64
	// Settlements that were done.
	Acked, Retried, Skipped, Extended int64
	// Parked by a consumer or after the last attempt.
	Parked int64
	// Expired deliveries whose deadline passed; Released those whose stream went.
	Expired, Released int64
	// Refused settlements: expired, invalid and gone tokens.
	Refused int64
	// Missed events were dropped by the log before they were settled, as far as
	// this gateway was the one that noticed.
	Missed int64
	// Pulls are calls of Pull.
	Pulls int64
	// Outstanding now on this gateway, and Consumers connected to it.
	Outstanding, OutstandingBytes int64
	Consumers                     int
}
