// Package provider is what a kind of sender promises the gateway. Each kind is a
// folder beside this file, and one line in the list of package app.
package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Provider is one kind of sender. What it can do beyond this, it says by further
// methods: those of Decoding, Sampler and Signer or Borrower, Reviewer and Credentials,
// Configured, Examiner, Summarizer, Describer and Exemplifier.
//
// All methods may be called from many goroutines at once.
type Provider interface {
	// Info describes it for the catalog. Its id is the name of the provider's fields
	// in Source.config, Event.payload and EventSelector, and is Event.provider.
	Info() *hookstreamv1.Provider
	// EventTypes lists every event that the sender is known to send. The caller may
	// change what it gets.
	EventTypes() []*hookstreamv1.EventType
	// Open makes the verifier of a source of this provider. The error says what the
	// source lacks, and holds no credential.
	Open(src *hookstreamv1.Source) (Verifier, error)
}

// Decoding is a Provider whose bodies have a typed form.
type Decoding interface {
	// Decoder makes and selects it. Its functions are pure and never panic, whatever
	// a body holds.
	Decoder() Decoder
}

// A Sampler is a Provider whose requests the gateway can sign as the sender does.
type Sampler interface {
	// Sample answers a request of a type that EventTypes lists, as the sender would
	// send it to the source now; the most usual type when it is empty. The error is
	// ErrNoSample when the source lacks what it takes, and wraps ErrNoSuchType for a type
	// that is none.
	Sample(src *hookstreamv1.Source, typ string, now time.Time) (*Sample, error)
}

// A Signer is a Sampler that signs other bodies too.
type Signer interface {
	Sampler
	// Sign answers the headers that prove a body, as the sender would send it to the
	// source. The error is ErrNoSample when the source lacks what it takes.
	Sign(src *hookstreamv1.Source, body []byte) (http.Header, error)
}

// A Borrower is a Provider whose proofs only the sender's API can make, or a simulator
// of it.
type Borrower interface {
	// Borrow answers a request of a type as Sampler does, with a proof that the
	// simulator at a URL has made and will vouch for.
	Borrow(ctx context.Context, simulator string, src *hookstreamv1.Source, typ string) (*Sample, error)
}

// A Sample is a signed request.
type Sample struct {
	Type    string
	EventID string // the sender's id of the event
	Header  http.Header
	Body    []byte
}

// ErrNoSample says that only the sender itself can sign a request for the source.
var ErrNoSample = errors.New("provider: only the sender can sign a request for this source")

// ErrNoSuchType says that the sender has no events of a type.
var ErrNoSuchType = errors.New("no such event type")

// A Set is the providers that a gateway has, by their ids.
type Set struct {
	byID map[string]Provider
	all  []Provider
}

// NewSet answers a set of providers, whose ids must differ.
func NewSet(all ...Provider) (*Set, error) {
	s := &Set{byID: make(map[string]Provider), all: all}
	for _, p := range all {
		id := p.Info().GetId()
		if id == "" || s.byID[id] != nil {
			return nil, fmt.Errorf("provider: %q is no id, or that of two providers", id)
		}
		s.byID[id] = p
	}
	return s, nil
}

// All answers the providers in the order in which they were given.
func (s *Set) All() []Provider { return s.all }

// Of answers the provider of a source, nil when there is none. No Set has none.
func (s *Set) Of(src *hookstreamv1.Source) Provider {
	if s == nil {
		return nil
	}
	return s.byID[IDOf(src)]
}

// Open makes the verifier of a source: see Provider.Open.
func (s *Set) Open(src *hookstreamv1.Source) (Verifier, error) {
	p := s.Of(src)
	if p == nil {
		return nil, errors.New("the source has no provider")
	}
	return p.Open(src)
}

// Check says what a source lacks to be used; the error holds no credential.
func (s *Set) Check(src *hookstreamv1.Source) error {
	_, err := s.Open(src)
	return err
}

// Sample answers a request for a source, or ErrNoSample: see Sampler.
func (s *Set) Sample(src *hookstreamv1.Source, typ string, now time.Time) (*Sample, error) {
	p, ok := s.Of(src).(Sampler)
	if !ok {
		return nil, ErrNoSample
	}
	return p.Sample(src, typ, now)
}

// Decoders answers those of all providers that have one, by their ids.
func (s *Set) Decoders() map[string]Decoder {
	out := make(map[string]Decoder)
	for id, p := range s.byID {
		if p, ok := p.(Decoding); ok {
			out[id] = p.Decoder()
		}
	}
	return out
}

// IDOf answers the id of a source's provider, which is the name of its config's
// field; empty when it has none.
func IDOf(src *hookstreamv1.Source) string {
	m := src.ProtoReflect()
	if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("config")); f != nil {
		return string(f.Name())
	}
	return ""
}
