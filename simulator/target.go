package simulator

import (
	"net/http"
	"time"
)

// A Target is a source at a gateway, and how its sender sends to it.
type Target interface {
	// Repertoire is that of the sender.
	Repertoire() *Repertoire
	// URL is where the webhooks go: the ingress with the source's path.
	URL() string
	// Validate says what it takes to send and is not there.
	Validate() error
	// Prepare makes what is made at the moment of sending.
	Prepare(m Message, wrong Wrong) Sending
	// Manners are how the sender behaves.
	Manners() Manners
}

// Manners are how a sender behaves, whatever it sends.
type Manners struct {
	// Acknowledges reports whether it takes a status for a success.
	Acknowledges func(status int) bool
	// Timeout is how long it waits for an answer: to the first post of an event, and
	// then to its retries, which count from 1.
	Timeout func(attempt int) time.Duration
	// Pauses are those before its retries, each after the attempt before. A sender
	// that gives up at once has none.
	Pauses []time.Duration
}

// Wrong is what is to be wrong with an event.
type Wrong struct {
	// Fault is FaultNone, FaultForged or FaultFlipped.
	Fault Fault
	// Where says which bit or letter is changed, by chance.
	Where uint64
}

// A Sending is one event on its way: the same body at every attempt.
type Sending struct {
	// EventID is the event's id, and Token what of it is good for one question only,
	// if there is such a thing.
	EventID, Token string
	// Body is what is posted.
	Body []byte
	// Header is what the sender sends beside it at an attempt.
	Header func(attempt int, now time.Time) http.Header
	// Note is told of every answer before anybody else. May be nil.
	Note func(Result)
}

// A delivery is a Sending and where it goes.
type delivery struct {
	Sending
	Manners
	provider, typ, url string
	fault              Fault
	twice              bool
}
