package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// defaultOverlap is longer than Yousign goes on retrying a request that was
// signed with the old secret.
const defaultOverlap = 5 * 24 * time.Hour

// RotateSecret gives a source a new credential.
func (s *sourceService) RotateSecret(ctx context.Context, req *hookstreamv1.RotateSecretRequest) (*hookstreamv1.RotateSecretResponse, error) {
	var v violations
	if v.addSecret("secret", req.GetSecret()); len(v) > 0 {
		return nil, v.err()
	}
	id, made := source.ParseName(req.GetName()), ""
	updated, err := s.store.Update(ctx, id, req.GetEtag(), func(src *hookstreamv1.Source) (err error) {
		switch src.GetConfig().(type) {
		case *hookstreamv1.Source_Yousign:
			made, err = rotateYousign(src, req)
		case *hookstreamv1.Source_Ignisign:
			err = rotateIgnisign(src, req)
		default:
			err = ErrNotSupportedByProvider
		}
		if err != nil {
			return err
		}
		return s.usable(src)
	})
	if errors.Is(err, source.ErrEtagMismatch) {
		// Perhaps by this very call, whose answer was lost.
		if src, lost := s.store.Get(id); lost == nil && rotatedTo(src, req.GetSecret()) {
			updated, err = src, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.RotateSecretResponse{Source: source.Public(updated), Secret: made}, nil
}

// rotatedTo reports whether a secret is the one that a rotation puts first.
func rotatedTo(src *hookstreamv1.Source, secret string) bool {
	current := src.GetIgnisign().GetApiKey()
	if secrets := src.GetYousign().GetSecrets(); len(secrets) > 0 {
		current = secrets[0]
	}
	return secret != "" && subtle.ConstantTimeCompare([]byte(secret), []byte(current)) == 1
}

// rotateYousign accepts a new secret beside the old one, and answers the secret
// when it was made here.
func rotateYousign(src *hookstreamv1.Source, req *hookstreamv1.RotateSecretRequest) (made string, err error) {
	secret := req.GetSecret()
	if secret == "" {
		made = newSecret()
		secret = made
	}
	overlap := defaultOverlap
	if req.Overlap != nil {
		overlap = req.GetOverlap().AsDuration()
	}
	now := time.Now()
	var v violations
	if err := source.RotateSecret(src.GetYousign(), secret, now, now.Add(overlap)); err != nil {
		v.add("secret", "%v; set the list of secrets to drop some sooner", err)
	} else if len(check(src)) > 0 {
		// The schema of a source says what a secret may be.
		v.add("secret", "must be 8 to 256 characters long")
	}
	return made, v.err()
}

// rotateIgnisign replaces the API key: the gateway asks Ignisign with it, and
// nothing is signed with the old one.
func rotateIgnisign(src *hookstreamv1.Source, req *hookstreamv1.RotateSecretRequest) error {
	var v violations
	if req.GetSecret() == "" {
		v.add("secret", "only Ignisign can make an API key: give the new one")
	}
	if req.GetOverlap().AsDuration() > 0 {
		v.add("overlap", "an API key replaces the old one at once")
	}
	src.GetIgnisign().ApiKey = req.GetSecret()
	return v.err()
}

const (
	secretAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	secretLength   = 32
)

// newSecret makes 32 random letters and digits: 190 bits.
func newSecret() string {
	secret := make([]byte, 0, secretLength)
	for len(secret) < secretLength {
		var b [secretLength]byte
		_, _ = rand.Read(b[:])
		for _, c := range b {
			// 248 is the largest multiple of 62 in a byte: no letter is likelier.
			if c < 248 && len(secret) < secretLength {
				secret = append(secret, secretAlphabet[int(c)%len(secretAlphabet)])
			}
		}
	}
	return string(secret)
}
