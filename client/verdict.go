package client

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Park answers an error with which a handler of [Run] has the event set aside for
// an operator, without another attempt: it will not get better by itself.
func Park(err error) error {
	return &verdictError{action: hookstreamv1.Settlement_VERDICT_PARK, err: err}
}

// Skip answers an error with which a handler of [Run] gives the event up, as if it
// was done with.
func Skip(reason string) error {
	return &verdictError{action: hookstreamv1.Settlement_VERDICT_SKIP, err: errors.New(reason)}
}

// RetryAfter answers an error with which a handler of [Run] has the event handed
// out again not before d has passed, instead of after the subscription's back-off.
// 0 is at once, and an hour the most. After the last attempt the event is parked
// all the same.
func RetryAfter(d time.Duration, err error) error {
	return &verdictError{action: hookstreamv1.Settlement_VERDICT_RETRY, delay: &d, err: err}
}

// Release answers an error with which a handler of [Run] gives the event back as
// if it had not begun with it: it is handed out again at once, to whoever has room,
// and that costs no attempt. It is for what is not the event's matter, such as
// `client.Release(context.Cause(ctx))` when the process stops; nothing slows it
// down, so what fails wants another attempt instead. A gateway that does not know
// releases takes it as an attempt that failed.
func Release(err error) error {
	return &verdictError{action: hookstreamv1.Settlement_VERDICT_RELEASE, err: err}
}

// A verdictError says what should become of an event. It may be wrapped.
type verdictError struct {
	action hookstreamv1.Settlement_Verdict
	delay  *time.Duration
	err    error // may be nil
}

func (e *verdictError) Error() string {
	what := strings.ToLower(strings.TrimPrefix(e.action.String(), "VERDICT_"))
	if e.err == nil {
		return what
	}
	return what + ": " + e.err.Error()
}

func (e *verdictError) Unwrap() error { return e.err }

// A PanicError is told to OnError when a handler panicked. The event is handed out
// again.
type PanicError struct {
	// Delivery that was being handled.
	Delivery *hookstreamv1.Delivery
	// Value that the handler panicked with; nil when it ended its goroutine
	// instead, as testing.T.FailNow does.
	Value any
	// Stack where it did.
	Stack []byte
}

func (e *PanicError) Error() string {
	if e.Value == nil {
		return "the handler ended its goroutine"
	}
	return fmt.Sprintf("the handler panicked: %v", e.Value)
}

// A SettleError is told to OnError when what the handler said about an event did
// not count, mostly because its deadline had passed or its stream was gone. The
// event is handed out again, here or elsewhere.
type SettleError struct {
	// Delivery that was handled.
	Delivery *hookstreamv1.Delivery
	// Outcome of the last attempt to say so; unspecified when the call failed.
	Outcome hookstreamv1.AckOutcome
	// Err of the call; nil when it answered.
	Err error
}

func (e *SettleError) Error() string {
	why := strings.ToLower(strings.TrimPrefix(e.Outcome.String(), "ACK_OUTCOME_"))
	if e.Err != nil {
		why = e.Err.Error()
	}
	return fmt.Sprintf("%s was handled, and its acknowledgement did not count: %s", e.Delivery.GetEvent().GetName(), why)
}

func (e *SettleError) Unwrap() error { return e.Err }

// A verdict is what a handler decided. A nil nack is an ack. The nack has no token
// yet.
type verdict struct {
	nack    *nack
	unbegun bool // nobody's: a release of what no handler was at
	moved   bool // it counts for a later delivery of the event
}

type nack struct {
	action hookstreamv1.Settlement_Verdict
	delay  *time.Duration
	reason string
}

// final reports whether the handler wants to see the event no more.
func (v verdict) final() bool {
	return v.nack == nil || v.nack.action == hookstreamv1.Settlement_VERDICT_PARK || v.nack.action == hookstreamv1.Settlement_VERDICT_SKIP
}

// verdictOf reads what a handler answered. The reason is the text of the error
// that was answered, without our own wrapping when that is outermost.
func verdictOf(err error) verdict {
	if err == nil {
		return verdict{}
	}
	n := &nack{action: hookstreamv1.Settlement_VERDICT_RETRY, reason: err.Error()}
	var said *verdictError
	if errors.As(err, &said) {
		n.action = said.action
		if said.delay != nil {
			delay := min(max(*said.delay, 0), longestDelay)
			n.delay = &delay
		}
		if err == error(said) && said.err != nil { //nolint:errorlint // only the outermost is ours to take off
			n.reason = said.err.Error()
		}
	}
	n.reason = shortened(n.reason)
	return verdict{nack: n}
}

const (
	// longestDelay and longestReason are bounds of the API.
	longestDelay  = time.Hour
	longestReason = 1024
)

// shortened answers text that the API takes: valid UTF-8 within its bound.
func shortened(text string) string {
	text = strings.ToValidUTF8(cmp.Or(text, "no reason given"), "?")
	if len(text) <= longestReason {
		return text
	}
	return strings.ToValidUTF8(text[:longestReason], "")
}
