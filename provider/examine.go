package provider

import (
	"context"
	"errors"
	"fmt"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// An Examiner is a Provider that says step by step, without a gateway, whether a
// captured request is genuine.
type Examiner interface {
	// Evidence says what it looks at of a request of a source; nil: of most sources.
	Evidence(src *hookstreamv1.Source) Evidence
	// Examine tells each step. The error wraps ErrNotGenuine when the request is not,
	// and is Advice where something can be done or looked at.
	Examine(ctx context.Context, x Examination) error
}

// Evidence is what a request is examined by besides its body.
type Evidence struct {
	// Header is the one that holds the signature, Form says what it looks like, and
	// Example shows its beginning. Empty: the body holds the proof.
	Header, Form, Example string
	// Asking says what it means to ask the sender, in sentences. Empty: it is not
	// asked.
	Asking string
}

// An Examination is a captured request to be examined.
type Examination struct {
	Source  *hookstreamv1.Source
	Request *Request
	// Ask has the sender asked.
	Ask bool
	// Step tells a step to people. No secret is told, and no signature.
	Step func(name, format string, args ...any)
	// Detail tells what only those may know who have the secret and the request in hand:
	// the signature that would be right is one. nil: nobody.
	Detail func(name, format string, args ...any)
}

// Tell calls Detail if there is one.
func (x Examination) Tell(name, format string, args ...any) {
	if x.Detail != nil {
		x.Detail(name, format, args...)
	}
}

// ErrNotGenuine says that nobody vouches for a request.
var ErrNotGenuine = errors.New("not genuine")

// Advice is an error with what people can do about it.
type Advice struct {
	error
	hint string
}

// Advise adds a hint for people to an error.
func Advise(err error, format string, args ...any) error {
	return Advice{err, fmt.Sprintf(format, args...)}
}

// Unwrap answers the error without the hint.
func (a Advice) Unwrap() error { return a.error }

// Hint answers the hint.
func (a Advice) Hint() string { return a.hint }

// Examine examines a request by the provider of its source: see Examiner. Of another,
// it tells what its verifier answers, which asks nobody unless it is to ask.
func (s *Set) Examine(ctx context.Context, x Examination) error {
	if p, ok := s.Of(x.Source).(Examiner); ok {
		return p.Examine(ctx, x)
	}
	verifier, err := s.Open(x.Source)
	if err != nil {
		return err
	}
	x.Step("body", "%d bytes", len(x.Request.Body))
	info, err := verifier.Inspect(x.Request)
	if err != nil {
		x.Step("envelope", "NOT THERE: %s", err)
	} else {
		x.Step("envelope", "ok: %s", Told(info.Topic, info.Action, info.EventID, info.Entity))
	}
	if verifier.Remote() && !x.Ask {
		x.Step("verdict", "not known: only the sender can tell")
		return nil
	}
	if v := verifier.Verify(ctx, x.Request, info); v.Outcome != Genuine {
		x.Step("verdict", "%s: %s", v.Outcome, v.Reason)
		return fmt.Errorf("%w: %s", ErrNotGenuine, v.Reason)
	}
	x.Step("verdict", "genuine")
	return nil
}
