package subscription

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/setting"
)

// What a caller can act on. Errors of the engine are answered as they are: see
// eventlog.ErrUnavailable.
var (
	// ErrNotFound says that there is no such subscription.
	ErrNotFound = errors.New("subscription: not found")
	// ErrExists says that the id is taken.
	ErrExists = errors.New("subscription: exists already")
	// ErrEtagMismatch says that the subscription changed since the etag was read.
	ErrEtagMismatch = errors.New("subscription: changed since it was read")
	// ErrPaused says that nothing is handed out now.
	ErrPaused = errors.New("subscription: paused")
	// ErrDeleted ends the streams of a subscription that was deleted.
	ErrDeleted = errors.New("subscription: deleted")
	// ErrCursorExpired says that the log no longer holds the events after a
	// cursor.
	ErrCursorExpired = errors.New("subscription: the log no longer holds this position")
	// ErrCursorUnknown says that a cursor belongs to another log.
	ErrCursorUnknown = errors.New("subscription: the cursor belongs to another log")
	// ErrDraining says that the gateway is going down.
	ErrDraining = errors.New("subscription: going down")
	// ErrPageToken says that a page token was not made here.
	ErrPageToken = errors.New("subscription: page token is not valid")
	// ErrUnreadable says that a subscription is kept in a form that this gateway
	// does not know: a newer one wrote it. It wraps eventlog.ErrUnavailable.
	ErrUnreadable = fmt.Errorf("%w: subscription: kept in a form that this gateway cannot read", eventlog.ErrUnavailable)
	// ErrUnresponsive ends a stream whose deliveries expired, and of which nothing
	// was heard for Options.PeerTimeout.
	ErrUnresponsive = errors.New("subscription: the consumer lets its deliveries expire and settles none")
	// ErrClosed says that the manager has ended.
	ErrClosed = errors.New("subscription: closed")
)

// Violation is one thing that is wrong with settings.
type Violation = setting.Violation

// An InvalidError says everything that is wrong with settings.
type InvalidError struct{ Violations []Violation }

func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		texts[i] = v.Field + ": " + v.Description
	}
	return "subscription: " + strings.Join(texts, "; ")
}

// A ConflictError says in which settings a subscription that exists differs
// from the one that was asked for.
type ConflictError struct {
	ID string
	// Fields as the API spells them.
	Fields []string
}

func (e *ConflictError) Error() string {
	return "subscription: " + Name(e.ID) + " exists with other settings: " + strings.Join(e.Fields, ", ")
}
