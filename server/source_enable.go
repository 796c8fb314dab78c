package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// EnableSource lets a source receive again.
func (s *sourceService) EnableSource(ctx context.Context, req *hookstreamv1.EnableSourceRequest) (*hookstreamv1.Source, error) {
	return s.setDisabled(ctx, req.GetName(), false)
}

// DisableSource stops a source from receiving.
func (s *sourceService) DisableSource(ctx context.Context, req *hookstreamv1.DisableSourceRequest) (*hookstreamv1.Source, error) {
	return s.setDisabled(ctx, req.GetName(), true)
}

func (s *sourceService) setDisabled(ctx context.Context, name string, disabled bool) (*hookstreamv1.Source, error) {
	src, err := s.store.Update(ctx, source.ParseName(name), "", func(src *hookstreamv1.Source) error {
		src.Disabled = disabled
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.store.Public(src), nil
}
