package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/source"
)

// ListSources answers a page of sources in the order of their ids. Sources that
// are made or deleted between two pages move no other from its page.
func (s *sourceService) ListSources(_ context.Context, req *hookstreamv1.ListSourcesRequest) (*hookstreamv1.ListSourcesResponse, error) {
	found, next, err := page(s.store.List(), source.ID, "sources", req)
	if err != nil {
		return nil, err
	}
	out := &hookstreamv1.ListSourcesResponse{NextPageToken: next}
	for _, src := range found {
		out.Sources = append(out.Sources, s.store.Public(src))
	}
	return out, nil
}
