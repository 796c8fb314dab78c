package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/source"
)

// CreateSource keeps a new source.
func (s *sourceService) CreateSource(ctx context.Context, req *hookstreamv1.CreateSourceRequest) (*hookstreamv1.Source, error) {
	if v := s.checkGiven(req.GetSource(), everyField).under("source"); len(v) > 0 {
		return nil, v.err()
	}
	draft := s.store.Draft(req.GetSourceId(), req.GetSource())
	if err := s.usable(draft); err != nil {
		return nil, err
	}
	if req.GetValidateOnly() {
		if _, err := s.store.Get(req.GetSourceId()); err == nil {
			return nil, source.ErrExists
		}
		return s.store.Public(draft), nil
	}
	created, err := s.store.Create(ctx, req.GetSourceId(), req.GetSource())
	if err != nil {
		return nil, err
	}
	return s.store.Public(created), nil
}

// usable says what a source lacks, as a violation of the request.
func (s *sourceService) usable(src *hookstreamv1.Source) error {
	if s.check == nil {
		return nil
	}
	err := s.check(src)
	if err == nil {
		return nil
	}
	var v violations
	v.add("source."+provider.IDOf(src), "%v", err)
	return v.err()
}
