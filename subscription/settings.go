package subscription

import (
	"time"

	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/setting"
)

// Ordering says what may be in the hands of consumers at the same time.
type Ordering = hookstreamv1.Ordering

const (
	// Unordered hands out whatever is next to whoever is free.
	Unordered = hookstreamv1.Ordering_ORDERING_UNORDERED
	// OrderByEntity hands out the events of one entity one after the other, the
	// next when the one before is settled. Events without an entity are not
	// ordered. One gateway at a time hands out; streams on others stand by.
	OrderByEntity = hookstreamv1.Ordering_ORDERING_BY_ENTITY
)

// Settings are what the owner of a subscription chooses. A zero value stands
// for the default, which a subscription that was read never shows. A field has the
// name that the schema gives it, and a row in Table.
type Settings struct {
	Description string
	Labels      map[string]string
	// Selector chooses events; nil selects all.
	Selector *hookstreamv1.EventSelector
	// Ordering cannot be changed later.
	Ordering Ordering
	// AckDeadline is how long a consumer has to settle a delivery, or to extend it.
	AckDeadline time.Duration
	// MaxAttempts is how often an event is handed out before it is parked.
	MaxAttempts int
	// BackoffMin is the wait after the first failed attempt; it doubles with
	// each further one up to BackoffMax. Where only one is set the other gives way to
	// it. A BackoffMax below BackoffMin is refused.
	BackoffMin, BackoffMax time.Duration
	// MaxOutstandingEvents bounds the deliveries in force, on all gateways together.
	// What waits for its next attempt counts.
	MaxOutstandingEvents int
	// MaxOutstandingBytes bounds them by size on each gateway. One event is always
	// handed out, whatever its size.
	MaxOutstandingBytes int64
}

// NoBackoff is a BackoffMin that stands for no wait at all: of every duration of
// Settings, less than nothing stands for nothing, since nothing stands for the default.
const NoBackoff = time.Duration(-1)

// minDeadline is the least that a delivery has to be settled.
const minDeadline = time.Second

// Table has a row for each of Settings.
var Table = setting.Table{
	{Field: "description", Help: "What it is for, for people"},
	{Field: "labels", Help: "A label of your own"},
	{Field: "selector", Help: "Which events"},
	{
		Field: "ordering", Values: setting.Choice{Preset: Unordered}, Group: delivery, Listed: true,
		Help: "What may be in consumers' hands at once, for good: anything, or one event of an entity at a time, in order",
	},
	{
		Field: "ack_deadline", Values: setting.Spans{Preset: time.Minute, Min: minDeadline, Max: time.Hour}, Group: delivery, Listed: true,
		Help: "How long a consumer has to acknowledge a delivery, or to extend it",
	},
	{
		Field: "max_attempts", Values: setting.Numbers{Preset: 10, Min: 1, Max: 1000}, Group: delivery, Listed: true,
		Help: "How many attempts an event has before it is parked",
	},
	{
		Field: "backoff_min", Values: setting.Spans{Preset: time.Second, Max: time.Hour}, Group: delivery,
		Help: "Wait after the first failed attempt, doubled with each further one, 0s for none",
	},
	{
		Field: "backoff_max", Values: setting.Spans{Preset: 10 * time.Minute, Min: 1, Max: time.Hour}, Group: delivery,
		Help: "Longest wait between two attempts",
	},
	{
		Field: "max_outstanding_events", Values: setting.Numbers{Preset: 1000, Min: 1, Max: 100_000}, Group: delivery,
		Help: "Most deliveries in force on all gateways together",
	},
	{
		Field: "max_outstanding_bytes", Values: setting.Sizes{Preset: 64 << 20, Min: 64 << 10, Max: 1 << 30}, Group: delivery,
		Help: "Most bytes of events in force on each gateway",
	},
}

// delivery is the heading of flags that say how events are handed out.
const delivery = "Delivery"

// withDefaults answers a copy of the settings as they are kept.
func (s Settings) withDefaults() Settings {
	m := proto.CloneOf(s.Message())
	Table.Fill(m)
	out := SettingsOf(m)
	// What was not set follows what was: see check.
	switch {
	case s.BackoffMin == 0 && s.BackoffMax != 0:
		out.BackoffMin = min(out.BackoffMin, out.BackoffMax)
	case s.BackoffMax == 0:
		out.BackoffMax = max(out.BackoffMax, out.BackoffMin)
	}
	return out
}

// check answers everything that is wrong with settings that have their
// defaults.
func (s Settings) check() []Violation {
	bad := Table.Check(s.Message())
	if s.BackoffMax < s.BackoffMin {
		bad = append(bad, Violation{Field: "backoff_max", Description: "must be at least backoff_min"})
	}
	return bad
}

// differences names the settings in which s and other differ, as the API spells
// them.
func (s Settings) differences(other Settings) []string {
	return Table.Differences(s.Message(), other.Message())
}

// backoff answers the wait after a failed attempt, counted from 1.
func (s Settings) backoff(attempt int) time.Duration {
	d := max(s.BackoffMin, 0)
	for range attempt - 1 {
		if d >= s.BackoffMax {
			break
		}
		d *= 2
	}
	return min(d, max(s.BackoffMax, 0))
}
