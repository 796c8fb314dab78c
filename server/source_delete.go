package server

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// DeleteSource removes a source.
func (s *sourceService) DeleteSource(ctx context.Context, req *hookstreamv1.DeleteSourceRequest) (*emptypb.Empty, error) {
	if err := s.store.Delete(ctx, source.ParseName(req.GetName()), req.GetEtag()); err != nil {
		return nil, err
	}
	return new(emptypb.Empty), nil
}
