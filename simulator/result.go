package simulator

import "time"

// A Fault is what a Sender did wrong on purpose.
type Fault string

// The faults of a post.
const (
	// FaultNone: sent as the sender sends it.
	FaultNone Fault = ""
	// FaultForged: the proof was made up.
	FaultForged Fault = "forged"
	// FaultFlipped: a bit was changed after the proof was made.
	FaultFlipped Fault = "flipped"
	// FaultDuplicate: an event sent a second time.
	FaultDuplicate Fault = "duplicate"
)

// A Result is one post and its answer.
type Result struct {
	// Provider and Type say what was sent.
	Provider, Type string
	// EventID is the sender's id of the event, whether or not the body tells it.
	EventID string
	// Token is what of the body is good for one question only, if there is such a
	// thing.
	Token string
	// Body is what was posted. Not to be changed.
	Body []byte
	// Fault is what was wrong with it.
	Fault Fault
	// Attempt is 0 for the first post of an event and counts its retries.
	Attempt int
	// Status is the answer's status, 0 when none came.
	Status int
	// Err says why none came.
	Err error
	// SendTime is when it was posted, and Latency how long the answer took.
	SendTime time.Time
	Latency  time.Duration

	acknowledged bool
}

// Acknowledged reports whether the sender takes the answer for a success.
func (r Result) Acknowledged() bool { return r.acknowledged }

// A Report says what came of all that a Sender sent.
type Report struct {
	// Events is how many events were begun, faulty ones included.
	Events int
	// Posts is how many requests were made, duplicates and retries included.
	Posts int
	// Acknowledged is how many events were answered with a success, at whichever
	// attempt.
	Acknowledged int
	// Duplicates, Retries and Faulty are posts that were sent a second time on
	// purpose, were sent again after a failure, and had a forged proof or a
	// flipped bit.
	Duplicates, Retries, Faulty int
	// GivenUp is how many events were sent for the last time without success.
	GivenUp int
	// Statuses counts the posts by the status they were answered with; 0 are
	// those that got no answer.
	Statuses map[int]int
	// Elapsed is how long it took.
	Elapsed time.Duration
}

func (r *Report) add(res Result) {
	r.Posts++
	r.Statuses[res.Status]++
	switch {
	case res.Fault == FaultDuplicate:
		r.Duplicates++
	case res.Fault != FaultNone:
		r.Faulty++
	}
	if res.Attempt > 0 {
		r.Retries++
	}
}
