package subscription

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Ordering says what may be in the hands of consumers at the same time.
type Ordering int

const (
	// Unordered hands out whatever is next to whoever is free.
	Unordered Ordering = iota
	// OrderByEntity hands out the events of one entity one after the other, the
	// next when the one before is settled. Events without an entity are not
	// ordered. One gateway at a time hands out; streams on others stand by.
	OrderByEntity
)

// Settings are what the owner of a subscription chooses. A zero value stands
// for the default, which a subscription that was read never shows.
type Settings struct {
	Description string
	Labels      map[string]string
	// Selector chooses events; nil selects all.
	Selector *hookstreamv1.EventSelector
	// Ordering cannot be changed later.
	Ordering Ordering
	// AckDeadline is how long a consumer has to settle a delivery, or to extend
	// it: 1 s to 1 h, 1 min by default.
	AckDeadline time.Duration
	// MaxAttempts is how often an event is handed out before it is parked: 1 to
	// 1,000, 10 by default.
	MaxAttempts int
	// BackoffMin is the wait after the first failed attempt; it doubles with
	// each further one up to BackoffMax. 0 to 1 h; 1 s and 10 min by default, and
	// where only one is set the other gives way to it. A BackoffMax below BackoffMin
	// is refused. A negative BackoffMin stands for no wait.
	BackoffMin, BackoffMax time.Duration
	// MaxOutstandingEvents bounds the deliveries in force, on all gateways
	// together: 1 to 100,000, 1,000 by default. What waits for its next attempt
	// counts.
	MaxOutstandingEvents int
	// MaxOutstandingBytes bounds them by size on each gateway: 64 KiB to 1 GiB,
	// 64 MiB by default. One event is always handed out, whatever its size.
	MaxOutstandingBytes int64
}

// Defaults of Settings.
const (
	DefaultAckDeadline          = time.Minute
	DefaultMaxAttempts          = 10
	DefaultBackoffMin           = time.Second
	DefaultBackoffMax           = 10 * time.Minute
	DefaultMaxOutstandingEvents = 1000
	DefaultMaxOutstandingBytes  = 64 << 20
)

// Bounds of Settings.
const (
	MinAckDeadline     = time.Second
	MaxAckDeadline     = time.Hour
	MaxMaxAttempts     = 1000
	MaxBackoff         = time.Hour
	MaxMaxOutstanding  = 100_000
	MinOutstandingSize = 64 << 10
	MaxOutstandingSize = 1 << 30
)

// NoBackoff is a BackoffMin that stands for no wait at all.
const NoBackoff = time.Duration(-1)

// withDefaults answers the settings as they are kept.
func (s Settings) withDefaults() Settings {
	s.Selector = proto.CloneOf(s.Selector)
	s.AckDeadline = cmp.Or(s.AckDeadline, DefaultAckDeadline)
	s.MaxAttempts = cmp.Or(s.MaxAttempts, DefaultMaxAttempts)
	// What was not set follows what was: see Check.
	if s.BackoffMin == 0 {
		s.BackoffMin = min(DefaultBackoffMin, cmp.Or(s.BackoffMax, DefaultBackoffMin))
	}
	s.BackoffMin = max(s.BackoffMin, NoBackoff)
	s.BackoffMax = cmp.Or(s.BackoffMax, max(DefaultBackoffMax, s.BackoffMin))
	s.MaxOutstandingEvents = cmp.Or(s.MaxOutstandingEvents, DefaultMaxOutstandingEvents)
	s.MaxOutstandingBytes = cmp.Or(s.MaxOutstandingBytes, DefaultMaxOutstandingBytes)
	return s
}

// check answers everything that is wrong with settings that have their
// defaults.
func (s Settings) check() (bad []Violation) {
	must := func(ok bool, field, description string) {
		if !ok {
			bad = append(bad, Violation{field, description})
		}
	}
	must(s.Ordering == Unordered || s.Ordering == OrderByEntity, "ordering", "is not known")
	must(s.AckDeadline >= MinAckDeadline && s.AckDeadline <= MaxAckDeadline, "ack_deadline", "must be 1 s to 1 h")
	must(s.MaxAttempts >= 1 && s.MaxAttempts <= MaxMaxAttempts, "max_attempts", "must be 1 to 1,000")
	must(s.BackoffMin <= MaxBackoff, "backoff_min", "must be at most 1 h")
	must(s.BackoffMax <= MaxBackoff, "backoff_max", "must be at most 1 h")
	must(s.BackoffMax >= s.BackoffMin, "backoff_max", "must be at least backoff_min")
	must(s.MaxOutstandingEvents >= 1 && s.MaxOutstandingEvents <= MaxMaxOutstanding, "max_outstanding_events", "must be 1 to 100,000")
	must(s.MaxOutstandingBytes >= MinOutstandingSize && s.MaxOutstandingBytes <= MaxOutstandingSize, "max_outstanding_bytes", "must be 64 KiB to 1 GiB")
	return bad
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

// differences names the settings in which s and other differ, as the API spells
// them.
func (s Settings) differences(other Settings) (fields []string) {
	differ := func(field string, same bool) {
		if !same {
			fields = append(fields, field)
		}
	}
	differ("description", s.Description == other.Description)
	differ("labels", equalLabels(s.Labels, other.Labels))
	differ("selector", equalSelectors(s.Selector, other.Selector))
	differ("ordering", s.Ordering == other.Ordering)
	differ("ack_deadline", s.AckDeadline == other.AckDeadline)
	differ("max_attempts", s.MaxAttempts == other.MaxAttempts)
	differ("backoff_min", s.BackoffMin == other.BackoffMin)
	differ("backoff_max", s.BackoffMax == other.BackoffMax)
	differ("max_outstanding_events", s.MaxOutstandingEvents == other.MaxOutstandingEvents)
	differ("max_outstanding_bytes", s.MaxOutstandingBytes == other.MaxOutstandingBytes)
	return fields
}

func equalLabels(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// equalSelectors takes no selector and an empty one for the same: both select
// everything.
func equalSelectors(a, b *hookstreamv1.EventSelector) bool {
	if proto.Size(a) == 0 || proto.Size(b) == 0 {
		return proto.Size(a) == proto.Size(b)
	}
	return proto.Equal(a, b)
}
