package server

import (
	"context"
	"slices"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

// SendSourceTestEvent sends a sample through the source's own ingress.
func (s *sourceService) SendSourceTestEvent(ctx context.Context, req *hookstreamv1.SendSourceTestEventRequest) (*hookstreamv1.SendSourceTestEventResponse, error) {
	src, err := s.store.Find(ctx, source.ParseName(req.GetName()))
	if err != nil {
		return nil, err
	}
	if s.tests == nil {
		return nil, ErrNotSupportedByProvider
	}
	if err := s.checkType(provider.IDOf(src), req.GetType()); err != nil {
		return nil, err
	}
	return s.tests.SendTest(ctx, src, req.GetType())
}

// checkType refuses a type that the catalog does not know.
func (s *sourceService) checkType(provider, typ string) error {
	known := typ == "" || slices.ContainsFunc(s.types, func(t *hookstreamv1.EventType) bool {
		return t.GetProvider() == provider && t.GetType() == typ
	})
	if !known {
		var v violations
		v.add("type", "ListEventTypes of %s has no such type", provider)
		return v.err()
	}
	return nil
}
