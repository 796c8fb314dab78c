package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// ListSources answers a page of sources, by id unless said otherwise. Sources that
// are made or deleted between two pages move no other from its page.
func (s *sourceService) ListSources(_ context.Context, req *hookstreamv1.ListSourcesRequest) (*hookstreamv1.ListSourcesResponse, error) {
	sources := list[*hookstreamv1.Source]{name: "sources", key: source.ID, shown: s.store.Public}
	found, next, err := sources.page(s.store.List(), req)
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.ListSourcesResponse{Sources: found, NextPageToken: next}, nil
}
