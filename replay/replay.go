package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/subscription"
)

// What a caller can act on, beside the errors of subscription and eventlog.
var (
	// ErrNotFound says that there is no such replay.
	ErrNotFound = errors.New("replay: not found")
	// ErrExists says that the id is taken.
	ErrExists = errors.New("replay: exists already")
	// ErrOver says that a replay is over and cannot be changed.
	ErrOver = errors.New("replay: it is over")
	// ErrTooMany says that as many replays of the subscription as may be are not over.
	ErrTooMany = fmt.Errorf("replay: %d replays of the subscription are not over", maxActive)
	// ErrBroad says that too much must be looked at to find what a filter asks for.
	ErrBroad = errors.New("replay: too much is to be looked at: narrow the filter by source, type or time")
	// ErrBehind says that the history of this gateway does not know the newest events yet.
	ErrBehind = fmt.Errorf("%w: replay: the history does not know the newest events yet", eventlog.ErrUnavailable)

	errEtag       = errors.New("replay: changed meanwhile")
	errUnreadable = fmt.Errorf("%w: replay: kept in a form that this gateway cannot read", eventlog.ErrUnavailable)
	errClosed     = fmt.Errorf("%w: replay: closed", eventlog.ErrUnavailable)
)

// A NamedError is about one of the events that were named.
type NamedError struct {
	Name string
	// Gone: the log does not hold it. Else the subscription does not select it.
	Gone bool
}

func (e *NamedError) Error() string {
	if e.Gone {
		return e.Name + ": the log does not hold it"
	}
	return e.Name + ": the subscription does not select it"
}

// State says whether a replay goes on.
type State string

// States, as they are kept.
const (
	Running   State = "running"
	Paused    State = "paused"
	Succeeded State = "succeeded"
	Cancelled State = "cancelled"
	Failed    State = "failed"
)

// Over reports whether nothing changes any more.
func (s State) Over() bool { return s != Running && s != Paused }

// A Replay as it is kept. It is shared: nobody may change it.
type Replay struct {
	// ID is its name within its subscription, which has an id and a uid.
	ID           string `json:"-"`
	Subscription string `json:"-"`
	UID          string `json:"uid"`

	// Filter says which events; without one they are those of Events, in the order of
	// the log.
	Filter string   `json:"filter,omitempty"`
	Events []uint64 `json:"events,omitempty"`
	// Rate is how many are queued each second at most; 0: no bound.
	Rate int `json:"rate,omitempty"`
	// Log is the incarnation of the log, and Through its last event when this began.
	Log     string `json:"log"`
	Through uint64 `json:"through"`

	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Owner is the gateway that works on it; empty: nobody does.
	Owner string `json:"owner,omitempty"`
	// Cursor: all up to it is queued or passed over.
	Cursor uint64 `json:"cursor"`

	// Total is how many there were. Of them, Queued lie at the subscription's queue or are
	// settled, Unselected were passed over, and Missed were gone.
	Total      int64 `json:"total"`
	Queued     int64 `json:"queued"`
	Settled    int64 `json:"settled"`
	Unselected int64 `json:"unselected,omitempty"`
	Missed     int64 `json:"missed,omitempty"`

	CreateTime time.Time `json:"create_time"`
	UpdateTime time.Time `json:"update_time"`
}

// Name is its resource name.
func (r *Replay) Name() string { return subscription.ReplayName(r.Subscription, r.ID) }

// keyPrefix begins the keys of replays in the bucket of subscriptions, whose ids begin
// with a letter.
const keyPrefix = "_replay."

func keyOf(sub, id string) string { return keyPrefix + sub + "." + id }

func nameOf(key string) string {
	sub, id, _ := strings.Cut(strings.TrimPrefix(key, keyPrefix), ".")
	return subscription.ReplayName(sub, id)
}

var keyPattern = regexp.MustCompile(`^_replay\.[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$`)

func isKey(key string) bool { return keyPattern.MatchString(key) }

func encode(_ string, r *Replay) ([]byte, error) { return json.Marshal(r) }

func decode(key string, value []byte, _ uint64) (*Replay, error) {
	r := new(Replay)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, err
	}
	r.Subscription, r.ID, _ = strings.Cut(strings.TrimPrefix(key, keyPrefix), ".")
	switch r.State {
	case Running, Paused, Succeeded, Cancelled, Failed:
		return r, nil
	}
	return nil, fmt.Errorf("state %q is not known here", r.State)
}
