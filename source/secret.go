package source

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// Secret i of a Yousign source is described by secret_states[i]: the states are
// filled here and never by a caller, and hold when an old secret ends.

// SetSecrets makes secrets the only ones that cfg accepts. One that cfg had
// already keeps its expiry.
func SetSecrets(cfg *yousignv1.SourceConfig, secrets []string) {
	states := make([]*yousignv1.SecretState, len(secrets))
	for i, secret := range secrets {
		states[i] = &yousignv1.SecretState{ExpireTime: expiry(cfg, secret)}
	}
	cfg.Secrets, cfg.SecretStates = slices.Clone(secrets), states
}

// RotateSecret puts a new secret first and keeps the one that was first until
// then, if that is after now; older ones are dropped. Called again with the same
// secret it changes nothing but the end of the old one, which it never moves
// later.
func RotateSecret(cfg *yousignv1.SourceConfig, secret string, now, until time.Time) {
	old := slices.DeleteFunc(slices.Clone(cfg.GetSecrets()), func(s string) bool { return s == secret })
	secrets := []string{secret}
	states := []*yousignv1.SecretState{{}}
	if len(old) > 0 && until.After(now) {
		end := expiry(cfg, old[0])
		if end == nil || end.AsTime().After(until) {
			end = timestamppb.New(until)
		}
		secrets = append(secrets, old[0])
		states = append(states, &yousignv1.SecretState{ExpireTime: end})
	}
	cfg.Secrets, cfg.SecretStates = secrets, states
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

// clearStates drops the states that a caller gave.
func clearStates(src *hookstreamv1.Source) {
	if cfg := src.GetYousign(); cfg != nil {
		cfg.SecretStates = nil
	}
}

// normalize fills what is derived from the credentials and drops secrets that
// have expired by now.
func normalize(src *hookstreamv1.Source, now time.Time) {
	if cfg := src.GetIgnisign(); cfg != nil {
		cfg.ApiKeyFingerprint = fingerprint(cfg.GetApiKey())
	}
	cfg := src.GetYousign()
	if cfg == nil {
		return
	}
	var secrets []string
	var states []*yousignv1.SecretState
	for _, secret := range cfg.GetSecrets() {
		end := expiry(cfg, secret)
		if expired(end, now) {
			continue
		}
		secrets = append(secrets, secret)
		states = append(states, &yousignv1.SecretState{Fingerprint: fingerprint(secret), ExpireTime: end})
	}
	cfg.Secrets, cfg.SecretStates = secrets, states
}

func expired(end *timestamppb.Timestamp, now time.Time) bool {
	return end != nil && !end.AsTime().After(now)
}

// fingerprint tells credentials apart without showing them. Eight digits of a
// hash are no help in guessing a random secret.
func fingerprint(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:4])
}
