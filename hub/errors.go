package hub

import (
	"errors"
	"strings"
)

// What a caller can act on. An error of the log is answered as it is: see
// eventlog.ErrUnavailable.
var (
	// ErrCursorExpired says that the log no longer holds the events after the
	// position of a stream.
	ErrCursorExpired = errors.New("hub: the log no longer holds this position")
	// ErrCursorUnknown says that a cursor belongs to another log: it was
	// replaced, truncated, or is another gateway's.
	ErrCursorUnknown = errors.New("hub: the cursor belongs to another log")
	// ErrDraining says that the gateway is going down.
	ErrDraining = errors.New("hub: going down")
	// ErrTooManyStreams says that the limit on open streams is reached.
	ErrTooManyStreams = errors.New("hub: too many streams are open")
)

// A WithheldError says that a view holds sensitive fields that a source does not
// include.
type WithheldError struct {
	// Source is the resource name of the source.
	Source string
}

func (e *WithheldError) Error() string {
	return "hub: " + e.Source + " does not include sensitive fields, which the view holds"
}

// A SelectorError says everything that is wrong with a selector.
type SelectorError struct {
	Violations []Violation
}

// Violation is one thing that is wrong with a selector.
type Violation struct {
	// Field is its path in EventSelector: `sources[2]`, `filter`.
	Field string
	// Description is for the caller, who wrote the selector.
	Description string
}

func (e *SelectorError) Error() string {
	texts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		texts[i] = v.Field + ": " + v.Description
	}
	return "hub: selector: " + strings.Join(texts, "; ")
}

// OnlyFilter reports whether nothing but the filter is wrong.
func (e *SelectorError) OnlyFilter() bool {
	for _, v := range e.Violations {
		if v.Field != fieldFilter {
			return false
		}
	}
	return len(e.Violations) > 0
}

const fieldFilter = "filter"
