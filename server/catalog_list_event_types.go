package server

import (
	"context"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// ListEventTypes answers a page of the types of all providers or of one. A
// provider that nobody knows has none.
func (c *catalogService) ListEventTypes(_ context.Context, req *hookstreamv1.ListEventTypesRequest) (*hookstreamv1.ListEventTypesResponse, error) {
	types := c.types
	if provider := req.GetProvider(); provider != "" {
		types = c.typesOf(provider)
	}
	found, next, err := list[*hookstreamv1.EventType]{name: "eventTypes/" + req.GetProvider(), key: eventTypeKey}.page(types, req)
	if err != nil {
		return nil, err
	}
	return &hookstreamv1.ListEventTypesResponse{EventTypes: found, NextPageToken: next}, nil
}

func (c *catalogService) typesOf(provider string) []*hookstreamv1.EventType {
	var out []*hookstreamv1.EventType
	for _, t := range c.types {
		if t.GetProvider() == provider {
			out = append(out, t)
		}
	}
	return out
}
