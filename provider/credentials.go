package provider

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A Reviewer is a Provider that knows values of its sources which can only be
// mistakes: they would be kept, and the sender be refused until somebody notices.
type Reviewer interface {
	// Review answers the mistakes in what a caller wrote of a source, by the names
	// of their fields in it: `parcelo.region`. Only what was written now counts, so
	// that a source that an earlier version kept can still be changed.
	Review(src *hookstreamv1.Source, written func(field string) bool) Mistakes
}

// Credentials is a Provider that looks after those of its sources: what can be told
// of them without showing them, when one is accepted no more, how it is replaced.
//
// A caller is never answered a field that the schema marks INPUT_ONLY, whatever a
// provider does.
type Credentials interface {
	// Given makes of a source what a caller means who wrote these fields of it, as
	// in Reviewer: of what only the gateway knows of a credential (when it ends)
	// nothing holds of one that a caller wrote.
	Given(src *hookstreamv1.Source, written func(field string) bool)
	// Refresh brings a source to a time: credentials that have ended by then go, but
	// for the last one, and what is told of the others is made anew. It does not
	// fail, whatever an earlier version kept.
	Refresh(src *hookstreamv1.Source, now time.Time)
	// Retire keeps in next, for checking what they signed, the credentials that old
	// accepted and next does not. What a caller says of such counts for nothing.
	// old is nil for a source that is new.
	Retire(old, next *hookstreamv1.Source, now time.Time)
	// Rotate gives a source a new credential and answers it when it was made here.
	// What was promised of others holds. The error is Mistakes about `secret` and
	// `overlap` for what the caller can mend, and the source is then not
	// to be kept.
	Rotate(src *hookstreamv1.Source, r Rotation) (made string, err error)
	// Accepts reports, in constant time, whether a source accepts the credentials
	// that given has, the first of them as the one in use.
	Accepts(src, given *hookstreamv1.Source) bool
	// Rotated reports, in constant time, whether a rotation to the credential has
	// been made, and no other since.
	Rotated(src *hookstreamv1.Source, credential string) bool
}

// A Rotation is what a caller wants of Rotate.
type Rotation struct {
	// Credential is the new one; empty: make one.
	Credential string
	// Overlap is how long the present one is accepted beside it; nil: as long as
	// the sender may need.
	Overlap *time.Duration
	Now     time.Time
}

// ErrNoRotation says that the sources of a provider have no credential that the
// gateway could replace.
var ErrNoRotation = errors.New("provider: its sources have no credential to rotate")

// A Mistake is what is wrong with a field that a caller gave. It holds no
// credential.
type Mistake struct{ Field, Description string }

// Mistakes are all that are wrong with a request.
type Mistakes []Mistake

// Error names the fields.
func (m Mistakes) Error() string {
	var texts []string
	for _, mistake := range m {
		texts = append(texts, mistake.Field+": "+mistake.Description)
	}
	return strings.Join(texts, "; ")
}

// Err answers the mistakes as an error, nil when there are none.
func (m Mistakes) Err() error {
	if len(m) == 0 {
		return nil
	}
	return m
}

// Review answers the mistakes in what a caller wrote of a source: see Reviewer.
func (s *Set) Review(src *hookstreamv1.Source, written func(field string) bool) Mistakes {
	if p, ok := s.Of(src).(Reviewer); ok {
		return p.Review(src, written)
	}
	return nil
}

// Credentials answers who looks after the credentials of a source; where its
// provider does not, that does nothing and answers ErrNoRotation.
func (s *Set) Credentials(src *hookstreamv1.Source) Credentials {
	if p, ok := s.Of(src).(Credentials); ok {
		return p
	}
	return noCredentials{}
}

type noCredentials struct{}

func (noCredentials) Given(*hookstreamv1.Source, func(string) bool)                {}
func (noCredentials) Refresh(*hookstreamv1.Source, time.Time)                      {}
func (noCredentials) Retire(*hookstreamv1.Source, *hookstreamv1.Source, time.Time) {}
func (noCredentials) Accepts(src, given *hookstreamv1.Source) bool {
	return proto.Equal(configOf(src), configOf(given))
}
func (noCredentials) Rotated(*hookstreamv1.Source, string) bool             { return false }
func (noCredentials) Rotate(*hookstreamv1.Source, Rotation) (string, error) { return "", ErrNoRotation }

// configOf answers a source's config, whoever's it is; nil when it has none.
func configOf(src *hookstreamv1.Source) proto.Message {
	m := src.ProtoReflect()
	f := m.WhichOneof(m.Descriptor().Oneofs().ByName("config"))
	if f == nil {
		return nil
	}
	return m.Get(f).Message().Interface()
}

// Fingerprint tells the credentials of a source apart for those who manage it: the
// first 8 hexadecimal digits of the SHA-256, which are no help in guessing a random
// one. It is not KeyFingerprint, which is kept with events.
func Fingerprint(credential string) string {
	if credential == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(credential))
	return hex.EncodeToString(sum[:4])
}

const (
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	secretLength   = 32
)

// NewSecret makes 32 random letters and digits: 190 bits. There are senders that take
// no other length.
func NewSecret() string {
	secret := make([]byte, 0, secretLength)
	for len(secret) < secretLength {
		var b [secretLength]byte
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		for _, c := range b {
			// 248 is the largest multiple of 62 in a byte: no letter is likelier.
			if c < 248 && len(secret) < secretLength {
				secret = append(secret, secretAlphabet[int(c)%len(secretAlphabet)])
			}
		}
	}
	return string(secret)
}
