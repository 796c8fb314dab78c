package provider

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Verifier is a provider for one source, with its credentials. It says what a
// request is about, and whether it is genuine. It keeps nothing and publishes
// nothing: those are the gateway's.
//
// All methods may be called from many goroutines at once. No error, verdict or
// log line of a provider may hold a secret or a part of a body.
type Verifier interface {
	// Inspect reads what routes a request that nobody vouches for yet. It must be cheap, must not panic on hostile input, and needs memory
	// in proportion to the body at most. It answers an error that wraps
	// ErrMalformed when the body is not JSON, or lacks what a remote provider has to
	// ask with, and one that wraps ErrNotForSource when it names another application; topics, actions and fields it does not know are no error.
	Inspect(req *Request) (Info, error)

	// Verify says whether the sender vouches for the request. A provider that
	// is not Remote answers from what it has at hand, at once, and never
	// Undecided.
	Verify(ctx context.Context, req *Request, info Info) Verdict

	// Remote reports whether Verify asks somebody else. The requests of a remote
	// provider are stored before Verify is called, one call at a time is made
	// for any Info.DedupKey, and an Undecided one is tried again later.
	Remote() bool

	// Headers names the headers that Inspect and Verify read, in canonical form. A
	// request has no others but those that are stored with every event.
	Headers() []string
}

// A Prover is a Verifier whose verdicts can be checked again, long after, from what
// is kept with an event.
type Prover interface {
	// ProofHeaders names the headers that hold the sender's signature and its
	// time, in canonical form: what of a request is kept whole. They need not be
	// among Headers.
	ProofHeaders() []string

	// Recheck says once more whether the sender vouched for a request. It asks
	// nobody. Of the request it has the body, the receive time and the proof
	// headers.
	Recheck(req *Request, kept Kept) Verdict
}

// A HeaderKeeper is a Verifier whose sender says something of worth in headers.
type HeaderKeeper interface {
	// KeptHeaders names them, in canonical form: the first line of each is stored
	// with every event. No credential is among them.
	KeptHeaders() []string
}

// Kept is what is kept of a verdict on a request.
type Kept struct {
	// ProofHeaders are the names of the headers that were kept as proof, as the
	// source named them then.
	ProofHeaders []string
	// KeyFingerprint is that of the verdict.
	KeyFingerprint string
	// Answer is that of the verdict, nil when there was none.
	Answer *Answer
	// SpentByUs says that the event was let in although its proof had been spent,
	// because that was most likely ours.
	SpentByUs bool
}

// Reasons of Recheck for being Undecided.
const (
	// ReasonProofNotKept: the event was kept without what there is to check.
	ReasonProofNotKept = "proof_not_kept"
	// ReasonSecretGone: the source no longer has the secret that matched.
	ReasonSecretGone = "secret_gone"
	// ReasonAnswerCut: the answer was too long to be kept whole.
	ReasonAnswerCut = "answer_cut"
)

// An Answer is what a sender's API answered.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// Body is the body as it came, MaxAnswerBytes of it at most.
	Body []byte
	// Cut says that it was longer.
	Cut bool
}

// MaxAnswerBytes is how much of an answer is kept.
const MaxAnswerBytes = 16 << 10

// NewAnswer makes an Answer, of a copy of the body.
func NewAnswer(status int, body []byte) *Answer {
	kept := bytes.Clone(body[:min(len(body), MaxAnswerBytes)])
	return &Answer{Status: status, Body: kept, Cut: len(kept) < len(body)}
}

// KeyFingerprint tells a credential from others without showing it: see
// hookstream.v1.Proof.key_fingerprint.
func KeyFingerprint(credential string) string {
	mac := hmac.New(sha256.New, []byte(credential))
	mac.Write([]byte("hookstream key fingerprint"))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// ErrMalformed says that a body is not JSON, or lacks what the sender could be
// asked with. When nobody can vouch for it, that is a 400. What a local provider
// vouches for is kept all the same: its Info says nothing but Attempt.
var ErrMalformed = errors.New("malformed request")

// ErrNotForSource says that an intact body names another application or
// environment than its source is configured for, which is told without asking
// the sender: 401.
var ErrNotForSource = errors.New("request is for another source")

// A Request is one HTTP request that arrived at a source, read whole.
type Request struct {
	// Header holds those of the request's headers that the provider names, and
	// some of no concern to it. Not to be changed, and not to be kept after the
	// call it was given to; its values may be.
	Header http.Header
	// Body is the body, byte for byte. Not to be changed, and not to be kept
	// after the call it was given to.
	Body []byte
	// ReceiveTime is when the request arrived. Providers that need the time of
	// a request use this, never the clock, so that a recorded request stays
	// valid.
	ReceiveTime time.Time
}

// Info is what a body says about itself. Strings are the sender's, unverified
// and of any content; they are at most as long as the body, and none of its
// memory.
type Info struct {
	// Topic and Action are the sender's two-level name, as sent.
	Topic, Action string
	// Environment is the sender's environment, as it names it; may be empty.
	Environment string
	// EventID is the sender's own id of the event; may be empty.
	EventID string
	// DedupKey tells a repetition from a new event within one source. Never
	// empty, at most 128 bytes, and safe to store in clear.
	DedupKey string
	// Fingerprint answers a hash of the content, for senders whose DedupKey
	// differs when they repeat themselves; nil otherwise. It is called for what is
	// published, while the request is there.
	Fingerprint func() []byte
	// Entity is the sender's object as kind and id, `signature_requests/sr-789`;
	// may be empty.
	Entity string
	// OccurTime is when the sender says it happened; may be zero.
	OccurTime time.Time
	// Attempt is the sender's count of earlier deliveries, -1 when not said.
	Attempt int
}

// Outcome is what is known of a request's origin.
type Outcome int

// The zero value lets nothing through.
const (
	// Undecided: the answer is not known yet; ask again later.
	Undecided Outcome = iota
	// Genuine: the sender vouches for the request.
	Genuine
	// Rejected: the sender does not; final.
	Rejected
)

// String is a word for metrics and logs.
func (o Outcome) String() string {
	switch o {
	case Genuine:
		return "genuine"
	case Rejected:
		return "rejected"
	}
	return "undecided"
}

// A Verdict is the answer of Verify.
type Verdict struct {
	Outcome Outcome
	// Method is what was checked: "hmac-sha256", "token".
	Method string
	// Reason says in a word why the outcome is not Genuine:
	// "signature_mismatch", "token_not_found", "api_unavailable". From a small
	// fixed set: it becomes a metric label and is shown to operators.
	Reason string
	// SecretIndex is which of several secrets matched, from 1; 0 if not
	// applicable.
	SecretIndex int
	// Coverage is what of the request is vouched for, when it is: of a Genuine
	// verdict, and of one that is AlreadySpent.
	Coverage hookstreamv1.Verification_Coverage
	// EventID is the sender's id of the event, where only the verification
	// tells it.
	EventID string
	// KeyFingerprint is the KeyFingerprint of the credential that matched, or that
	// was asked with; empty for none.
	KeyFingerprint string
	// Answer is what the sender's API said, when it was asked and answered.
	Answer *Answer
	// Retired, of Recheck, is when the credential that matched ceased to be
	// accepted; zero when it is.
	Retired time.Time

	// The rest is for remote providers.

	// AlreadySpent, with Rejected: the proof was spent by an earlier check. If
	// that check may have been ours, the request is genuine all the same.
	AlreadySpent bool
	// MaybeSpent, with Undecided: this attempt may have spent the proof although
	// its answer was lost. False only when the question cannot have been taken.
	MaybeSpent bool
	// OurFault, with Undecided: the sender refuses our credentials. Somebody
	// must act.
	OurFault bool
	// RetryAfter, with Undecided: how long the sender asks us to wait; 0 when
	// it does not say.
	RetryAfter time.Duration
}
