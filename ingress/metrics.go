package ingress

import (
	"time"

	"github.com/hookstream/hookstream/provider"
)

// Metrics are told what happens. Every function may be nil and must be quick.
// A source is its id; it is empty for requests that reached none, so that
// nobody can make labels up. How many requests wait is Inbox.Pending.
type Metrics struct {
	// Request: a request was answered so after that time.
	Request func(source string, r Result, took time.Duration)
	// Verified: a provider was asked, and answered so after that time.
	Verified func(source string, o provider.Outcome, took time.Duration)
	// Appended: an append to the log ended after that time.
	Appended func(took time.Duration, err error)
	// Settled: the verifier decided a request that long after it was stored.
	Decided func(source string, r Result, age time.Duration)
	// Given: a connection was given up for a new one, or a new one was refused because
	// all others are at work.
	Given func(refused bool)
	// Breaker: the provider of a source is not asked for a while, or again.
	Breaker func(source string, open bool)
}

func (m Metrics) request(source string, r Result, took time.Duration) {
	if m.Request != nil {
		m.Request(source, r, took)
	}
}

func (m Metrics) verified(source string, o provider.Outcome, took time.Duration) {
	if m.Verified != nil {
		m.Verified(source, o, took)
	}
}

func (m Metrics) appended(took time.Duration, err error) {
	if m.Appended != nil {
		m.Appended(took, err)
	}
}

func (m Metrics) decided(source string, r Result, age time.Duration) {
	if m.Decided != nil {
		m.Decided(source, r, age)
	}
}

func (m Metrics) given(refused bool) {
	if m.Given != nil {
		m.Given(refused)
	}
}

func (m Metrics) breaker(source string, open bool) {
	if m.Breaker != nil {
		m.Breaker(source, open)
	}
}
