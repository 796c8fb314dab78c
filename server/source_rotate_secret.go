package server

import (
	"context"
	"errors"
	"strings"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

// RotateSourceSecret gives a source a new credential.
func (s *sourceService) RotateSourceSecret(ctx context.Context, req *hookstreamv1.RotateSourceSecretRequest) (*hookstreamv1.RotateSourceSecretResponse, error) {
	var v violations
	if v.addSecret("secret", req.GetSecret()); len(v) > 0 {
		return nil, v.err()
	}
	id, made := source.ParseName(req.GetName()), ""
	updated, err := s.store.Update(ctx, id, req.GetEtag(), func(src *hookstreamv1.Source) (err error) {
		made, err = s.rotate(src, req)
		return err
	})
	if errors.Is(err, source.ErrEtagMismatch) {
		// Perhaps by this very call, whose answer was lost.
		if src, lost := s.store.Get(id); lost == nil && s.credentials(src).Rotated(src, req.GetSecret()) {
			updated, err = src, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.RotateSourceSecretResponse{Source: s.store.Public(updated), Secret: made}, nil
}

func (s *sourceService) credentials(src *hookstreamv1.Source) provider.Credentials {
	return s.store.Providers().Credentials(src)
}

// rotate gives src the new credential, and answers it when it was made here.
func (s *sourceService) rotate(src *hookstreamv1.Source, req *hookstreamv1.RotateSourceSecretRequest) (made string, err error) {
	rotation := provider.Rotation{Credential: req.GetSecret(), Now: time.Now()}
	if req.GetOverlap() != nil {
		overlap := req.GetOverlap().AsDuration()
		rotation.Overlap = &overlap
	}
	made, err = s.credentials(src).Rotate(src, rotation)
	if err != nil {
		return "", rotateError(err)
	}
	if v := checkRotated(src); len(v) > 0 {
		return "", v.err()
	}
	return made, s.usable(src)
}

func rotateError(err error) error {
	var wrong provider.Mistakes
	switch {
	case errors.Is(err, provider.ErrNoRotation):
		return ErrNotSupportedByProvider
	case errors.As(err, &wrong):
		var v violations
		v.addMistakes(wrong)
		return v.err()
	}
	return err
}

// checkRotated holds the credential that src was given to the rules in the schema
// of its config, and names it as the request does.
func checkRotated(src *hookstreamv1.Source) (v violations) {
	config := provider.IDOf(src) + "."
	for _, wrong := range check(src) {
		if strings.HasPrefix(wrong.GetField(), config) {
			v.add("secret", "%s", wrong.GetDescription())
		}
	}
	return v
}
