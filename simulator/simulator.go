// Package simulator plays senders, so that a gateway can be tried, tested and
// measured without any of them. Sender sends webhooks: how many, how fast and how
// badly. What is sent, and how its sender proves it, is each provider's own: it is in
// the folder simulate of that provider, with what of the sender's API must be there.
//
// Its behaviour follows what is publicly known. Where that leaves a question open
// there is an option for either reading.
//
// Nothing here talks to anything but the loopback interface unless told to by
// name, in AllowRemote.
package simulator

import (
	"crypto/rand"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Played is a provider.Provider whose sender can be played.
type Played interface {
	// Repertoire is what can be had of it.
	Repertoire() *Repertoire
	// Part answers one to be started, by a command line that fills its fields or as it
	// is.
	Part() Part
}

// A Part is a pointer to a struct that says how a sender is to be played. Its exported
// fields are flags of `hookstream simulate`, with the tags of kong.
type Part interface {
	// Start begins to play, and serves what of the sender's API has to be there. What is
	// wrong with a flag is a FlagError.
	Start(o PartOptions) (Player, error)
}

// A FlagError says what is wrong with a field of a Part.
type FlagError struct{ Err error }

// Error says it.
func (e FlagError) Error() string { return e.Err.Error() }

// Unwrap answers it.
func (e FlagError) Unwrap() error { return e.Err }

// PartOptions are what is no flag of one sender.
type PartOptions struct {
	// Credential is that of the source; one is made when it is empty. CredentialFrom
	// is where people find it, which is told in its place.
	Credential, CredentialFrom string
	// AllowRemote allows targets and listeners elsewhere than on the loopback
	// interface.
	AllowRemote bool
	// AnyPort has an API listen on a free port of the loopback interface, whatever
	// the flags say.
	AnyPort bool
	// TellIDs has the sender tell its id of an event wherever it may do so.
	TellIDs bool
}

// A Player is a sender that is played.
type Player interface {
	// Source answers a source that it can send to: config and credential.
	Source() *hookstreamv1.Source
	// Target is that source at a URL.
	Target(url string) Target
	// Notes are what people want to know of it, a line each. Of credentials they show
	// those that were made for this run.
	Notes() []string
	// URL is where its API is, empty when it has none.
	URL() string
	// Close ends it.
	Close() error
}

// RandomText answers n letters and digits that nobody can guess.
func RandomText(n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	text := make([]byte, 0, n)
	for b := make([]byte, n); len(text) < n; {
		_, _ = rand.Read(b) // never fails, see crypto/rand
		for _, c := range b {
			// The bytes above the last multiple of 62 would favour some letters.
			if c < 248 && len(text) < n {
				text = append(text, alphabet[c%62])
			}
		}
	}
	return string(text)
}

// Wait waits for a duration, and reports whether it passed before done was closed.
func Wait(done <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-done:
		return false
	}
}

// OrDefault sets a field that has no value.
func OrDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
