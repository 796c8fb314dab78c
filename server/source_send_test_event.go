package server

import (
	"context"
	"slices"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// usualTypes are sent when the caller names no type.
var usualTypes = map[string]string{"yousign": "signature_request.done"}

// SendTestEvent sends a sample through the source's own ingress.
func (s *sourceService) SendTestEvent(ctx context.Context, req *hookstreamv1.SendTestEventRequest) (*hookstreamv1.SendTestEventResponse, error) {
	src, err := s.store.Get(source.ParseName(req.GetName()))
	if err != nil {
		return nil, err
	}
	if s.tests == nil || src.GetYousign() == nil {
		// Only Ignisign can make the token that proves its origin.
		return nil, ErrNotSupportedByProvider
	}
	typ, err := s.sampleType(providerOf(src), req.GetType())
	if err != nil {
		return nil, err
	}
	return s.tests.SendTest(ctx, src, typ)
}

// sampleType answers the type to send, which the catalog must know.
func (s *sourceService) sampleType(provider, typ string) (string, error) {
	if typ == "" {
		typ = usualTypes[provider]
	}
	known := slices.ContainsFunc(s.types, func(t *hookstreamv1.EventType) bool {
		return t.GetProvider() == provider && t.GetType() == typ
	})
	if !known {
		var v violations
		v.add("type", "ListEventTypes of %s has no such type", provider)
		return "", v.err()
	}
	return typ, nil
}
