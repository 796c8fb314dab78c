package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// GetSource answers a source without its credentials.
func (s *sourceService) GetSource(ctx context.Context, req *hookstreamv1.GetSourceRequest) (*hookstreamv1.Source, error) {
	src, err := s.store.Find(ctx, source.ParseName(req.GetName()))
	if err != nil {
		return nil, err
	}
	return s.store.Public(src), nil
}
