package subscription

import (
	"regexp"
	"time"

	"github.com/hookstream/hookstream/event"
)

// A Subscription is one as it is kept. It is shared: nobody may change it.
type Subscription struct {
	// ID is its name without `subscriptions/`.
	ID string
	// UID tells it from an earlier one of the same id.
	UID string
	Settings
	// Paused: nothing is handed out. What was handed out can be settled.
	Paused bool
	// Start is the sequence of the first event it considers: where it was
	// created, or sought to last.
	Start uint64
	// Generation counts from 1; each Seek begins a new one, and tokens of
	// earlier ones are expired.
	Generation             int
	CreateTime, UpdateTime time.Time
	// FormerDeadline is the AckDeadline before it was shortened. Until FormerUntil, a
	// delivery that was handed out then may be in force.
	FormerDeadline time.Duration
	FormerUntil    time.Time
	// Etag changes with every change.
	Etag string
}

const namePrefix = "subscriptions/"

// Name answers the resource name of the subscription with the id.
func Name(id string) string { return namePrefix + id }

// idPattern is what can be an id.
var idPattern = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidID reports whether a subscription can have the id: a lower-case letter,
// then letters, digits and hyphens, 63 characters at most, no hyphen at the end.
func ValidID(id string) bool { return idPattern.MatchString(id) }

// A Position is a place in the log. The zero value is behind the last event.
type Position struct {
	// Earliest: before the oldest event that the log holds.
	Earliest bool
	// After a cursor, when not nil.
	After *event.Cursor
	// At: before the first event published at or after this time, when not nil.
	At *time.Time
}
