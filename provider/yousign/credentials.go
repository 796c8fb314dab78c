package yousign

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
)

// Secret i of a source is described by secret_states[i]: the states are filled here
// and never by a caller, and hold when an old secret ends.

// MaxSecrets is how many secrets a source accepts at once, as in the schema: the
// one in use and those that others were rotated out of and have yet to end.
const MaxSecrets = 5

// DefaultOverlap is longer than Yousign goes on retrying a request that was signed
// with the old secret.
const DefaultOverlap = 5 * 24 * time.Hour

// ErrTooManySecrets says that a rotation would have to drop a secret that was
// promised to be accepted for longer.
var ErrTooManySecrets = errors.New("too many secrets are accepted still")

var _ provider.Credentials = Provider{}

// Given makes the secrets that a caller wrote the only ones, and has none of them
// end: see SetSecrets.
func (Provider) Given(src *hookstreamv1.Source, written func(field string) bool) {
	if cfg := src.GetYousign(); cfg != nil && written("yousign.secrets") {
		SetSecrets(cfg, cfg.GetSecrets())
	}
}

// Refresh drops secrets that have ended by now, unless there are no others: a source
// is not kept without a secret, and what an operator sees of it still says when the
// last one ended.
func (Provider) Refresh(src *hookstreamv1.Source, now time.Time) {
	if cfg := src.GetYousign(); cfg != nil {
		dropEnded(cfg, now)
	}
}

// Rotate accepts a new secret beside the old one, and answers the secret when it
// was made here.
func (Provider) Rotate(src *hookstreamv1.Source, r provider.Rotation) (made string, err error) {
	secret, overlap := r.Credential, DefaultOverlap
	if secret == "" {
		made = provider.NewSecret()
		secret = made
	}
	if r.Overlap != nil {
		overlap = *r.Overlap
	}
	if err := RotateSecret(src.GetYousign(), secret, r.Now, r.Now.Add(overlap)); err != nil {
		return "", provider.Mistakes{{Field: "secret", Description: err.Error() + "; set the list of secrets to drop some sooner"}}
	}
	return made, nil
}

// Accepts reports whether all secrets of given are accepted, and the first of them is
// the first that src has.
func (p Provider) Accepts(src, given *hookstreamv1.Source) bool {
	secrets := given.GetYousign().GetSecrets()
	return len(secrets) > 0 && p.Rotated(src, secrets[0]) && !slices.ContainsFunc(secrets, func(secret string) bool {
		return !holds(src.GetYousign().GetSecrets(), secret)
	})
}

// holds compares in constant time.
func holds(secrets []string, secret string) bool {
	found := 0
	for _, s := range secrets {
		found |= subtle.ConstantTimeCompare([]byte(s), []byte(secret))
	}
	return found == 1
}

// Rotated reports whether a secret is the one that a rotation puts first.
func (Provider) Rotated(src *hookstreamv1.Source, secret string) bool {
	secrets := src.GetYousign().GetSecrets()
	return secret != "" && len(secrets) > 0 && subtle.ConstantTimeCompare([]byte(secret), []byte(secrets[0])) == 1
}

// SetSecrets makes secrets the only ones that cfg accepts. None of them has an
// end: whoever says which secrets there are means them, also one that was about
// to end.
func SetSecrets(cfg *yousignv1.SourceConfig, secrets []string) {
	cfg.Secrets, cfg.SecretStates = slices.Clone(secrets), make([]*yousignv1.SecretState, len(secrets))
	for i := range cfg.SecretStates {
		cfg.SecretStates[i] = &yousignv1.SecretState{}
	}
}

// RotateSecret puts a new secret first and has those without an end accepted
// until then, if that is after now. One that was to end already does so when that
// was promised, neither sooner nor later. A secret that is first already changes
// nothing: the call was repeated. The error wraps ErrTooManySecrets, and cfg is
// as before.
func RotateSecret(cfg *yousignv1.SourceConfig, secret string, now, until time.Time) error {
	if len(cfg.GetSecrets()) > 0 && cfg.GetSecrets()[0] == secret && expiry(cfg, secret) == nil {
		return nil
	}
	secrets := []string{secret}
	states := []*yousignv1.SecretState{{}}
	var first time.Time // to end
	for _, old := range cfg.GetSecrets() {
		end := expiry(cfg, old)
		if end == nil {
			end = timestamppb.New(until)
		}
		if old == secret || expired(end, now) {
			continue
		}
		if first.IsZero() || end.AsTime().Before(first) {
			first = end.AsTime()
		}
		secrets = append(secrets, old)
		states = append(states, &yousignv1.SecretState{ExpireTime: end})
	}
	if len(secrets) > MaxSecrets {
		return fmt.Errorf("%w: %d, of which the first ends %s", ErrTooManySecrets, len(secrets)-1, first.UTC().Format(time.RFC3339))
	}
	cfg.Secrets, cfg.SecretStates = secrets, states
	return nil
}

// expiry answers when cfg stops accepting the secret; nil for never, and for a
// secret that it does not have.
func expiry(cfg *yousignv1.SourceConfig, secret string) *timestamppb.Timestamp {
	i := slices.Index(cfg.GetSecrets(), secret)
	if i < 0 || i >= len(cfg.GetSecretStates()) {
		return nil
	}
	return cfg.GetSecretStates()[i].GetExpireTime()
}

func dropEnded(cfg *yousignv1.SourceConfig, now time.Time) {
	ended := func(secret string) bool { return expired(expiry(cfg, secret), now) }
	some := slices.ContainsFunc(cfg.GetSecrets(), func(secret string) bool { return !ended(secret) })
	var secrets []string
	var states []*yousignv1.SecretState
	for _, secret := range cfg.GetSecrets() {
		if !some || !ended(secret) {
			secrets = append(secrets, secret)
			states = append(states, &yousignv1.SecretState{Fingerprint: provider.Fingerprint(secret), ExpireTime: expiry(cfg, secret)})
		}
	}
	cfg.Secrets, cfg.SecretStates = secrets, states
}

func expired(end *timestamppb.Timestamp, now time.Time) bool {
	return end != nil && !end.AsTime().After(now)
}
