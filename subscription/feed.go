package subscription

import (
	"context"
	"time"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Feed is where a manager gets events from: the hub, which has most of them
// in memory and made for sending. Its methods may be called from many goroutines
// at once.
type Feed interface {
	// At answers the event at seq. It waits for an event that is not durable
	// yet. The error wraps eventlog.ErrNotFound when the log no longer holds it.
	At(ctx context.Context, seq uint64) (Event, error)
	// Of answers the event of a record that the log may no longer hold.
	Of(rec event.Record) Event
	// Compile prepares a selector; nil selects everything. The error is an
	// *InvalidError whose fields begin with `selector.`.
	Compile(selector *hookstreamv1.EventSelector) (Matcher, error)
	// Head answers the sequence of the last event that is known to be durable.
	Head() uint64
}

// A Matcher says whether a selector selects an event of the same Feed. It may
// be called from many goroutines at once. When ctx ends it may say no to anything.
type Matcher func(ctx context.Context, e Event) bool

// An Event is one that a Feed answered. Who frames it for sending knows its true
// type: see package hubfeed.
type Event interface {
	Seq() uint64
	Time() time.Time
	// Entity that it is about, empty for none.
	Entity() string
	// Size in bytes as it is kept.
	Size() int
	// Record as the log keeps it.
	Record() event.Record
	// Readable is false for a record that is not an event: nobody can be shown
	// it.
	Readable() bool
}
