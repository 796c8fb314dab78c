package server

import (
	"cmp"
	"context"
	"slices"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// catalogService is the CatalogService. What it answers never changes while the
// process runs.
type catalogService struct {
	hookstreamv1.UnimplementedCatalogServiceServer

	providers []*hookstreamv1.Provider
	types     []*hookstreamv1.EventType
}

func newCatalogService(providers []*hookstreamv1.Provider, types []*hookstreamv1.EventType) *catalogService {
	byID := func(a, b *hookstreamv1.Provider) int { return cmp.Compare(a.GetId(), b.GetId()) }
	byKey := func(a, b *hookstreamv1.EventType) int { return cmp.Compare(eventTypeKey(a), eventTypeKey(b)) }
	return &catalogService{
		providers: slices.SortedFunc(slices.Values(providers), byID),
		types:     slices.SortedFunc(slices.Values(types), byKey),
	}
}

// eventTypeKey orders types by provider, then by type.
func eventTypeKey(t *hookstreamv1.EventType) string { return t.GetProvider() + "/" + t.GetType() }

// ListProviders answers a page of the providers.
func (c *catalogService) ListProviders(_ context.Context, req *hookstreamv1.ListProvidersRequest) (*hookstreamv1.ListProvidersResponse, error) {
	found, next, err := list[*hookstreamv1.Provider]{name: "providers", key: (*hookstreamv1.Provider).GetId}.page(c.providers, req)
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.ListProvidersResponse{Providers: found, NextPageToken: next}, nil
}
