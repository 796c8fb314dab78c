package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
)

// longLists is a gateway whose every list has three pages of one item, the second of
// which is empty, and which wants a filter and an order with each.
type longLists struct {
	hookstreamv1.UnimplementedSourceServiceServer
	hookstreamv1.UnimplementedSubscriptionServiceServer
	hookstreamv1.UnimplementedCatalogServiceServer
	hookstreamv1.UnimplementedEventServiceServer
	hookstreamv1.UnimplementedRequestServiceServer
}

// ListRequests has an order of its own.
func (longLists) ListRequests(_ context.Context, req *hookstreamv1.ListRequestsRequest) (*hookstreamv1.ListRequestsResponse, error) {
	n, next, err := listed(&hookstreamv1.ListSourcesRequest{Filter: req.GetFilter(), OrderBy: longOrder, PageToken: req.GetPageToken()})
	page := &hookstreamv1.ListRequestsResponse{NextPageToken: next}
	if n > 0 {
		page.Requests = []*hookstreamv1.Request{{Name: fmt.Sprintf("requests/item-%d", n)}}
	}
	return page, err
}

// ListEvents has an order of its own.
func (longLists) ListEvents(_ context.Context, req *hookstreamv1.ListEventsRequest) (*hookstreamv1.ListEventsResponse, error) {
	n, next, err := listed(&hookstreamv1.ListSourcesRequest{Filter: req.GetFilter(), OrderBy: longOrder, PageToken: req.GetPageToken()})
	page := &hookstreamv1.ListEventsResponse{NextPageToken: next}
	if n > 0 {
		page.Events = []*hookstreamv1.Event{{Name: fmt.Sprintf("events/item-%d", n)}}
	}
	return page, err
}

const (
	longFilter = `labels.team = "crm"`
	longOrder  = "name desc"
)

// listed answers which page is asked for and the token of the next.
func listed(req interface {
	GetPageToken() string
	GetFilter() string
	GetOrderBy() string
},
) (n int, next string, err error) {
	if req.GetFilter() != longFilter || req.GetOrderBy() != longOrder {
		return 0, "", status.Errorf(codes.InvalidArgument, "filter %q, order %q", req.GetFilter(), req.GetOrderBy())
	}
	next, ok := map[string]string{"": "second", "second": "third", "third": ""}[req.GetPageToken()]
	if !ok {
		return 0, "", status.Errorf(codes.InvalidArgument, "token %q", req.GetPageToken())
	}
	return map[string]int{"second": 1, "": 2}[next], next, nil
}

func (longLists) ListSources(_ context.Context, req *hookstreamv1.ListSourcesRequest) (*hookstreamv1.ListSourcesResponse, error) {
	n, next, err := listed(req)
	page := &hookstreamv1.ListSourcesResponse{NextPageToken: next}
	if n > 0 {
		page.Sources = []*hookstreamv1.Source{{Name: fmt.Sprintf("sources/item-%d", n)}}
	}
	return page, err
}

func (longLists) ListSubscriptions(_ context.Context, req *hookstreamv1.ListSubscriptionsRequest) (*hookstreamv1.ListSubscriptionsResponse, error) {
	n, next, err := listed(req)
	page := &hookstreamv1.ListSubscriptionsResponse{NextPageToken: next}
	if n > 0 {
		page.Subscriptions = []*hookstreamv1.Subscription{{Name: fmt.Sprintf("subscriptions/item-%d", n)}}
	}
	return page, err
}

func (longLists) ListParkedDeliveries(_ context.Context, req *hookstreamv1.ListParkedDeliveriesRequest) (*hookstreamv1.ListParkedDeliveriesResponse, error) {
	n, next, err := listed(req)
	page := &hookstreamv1.ListParkedDeliveriesResponse{NextPageToken: next}
	if n > 0 {
		page.ParkedDeliveries = []*hookstreamv1.ParkedDelivery{{Name: fmt.Sprintf("subscriptions/crm/parkedDeliveries/item-%d", n)}}
	}
	return page, err
}

func (longLists) ListReplays(_ context.Context, req *hookstreamv1.ListReplaysRequest) (*hookstreamv1.ListReplaysResponse, error) {
	n, next, err := listed(req)
	page := &hookstreamv1.ListReplaysResponse{NextPageToken: next}
	if n > 0 {
		page.Replays = []*hookstreamv1.Replay{{Name: fmt.Sprintf("subscriptions/crm/replays/item-%d", n)}}
	}
	return page, err
}

func (longLists) ListProviders(_ context.Context, req *hookstreamv1.ListProvidersRequest) (*hookstreamv1.ListProvidersResponse, error) {
	n, next, err := listed(req)
	page := &hookstreamv1.ListProvidersResponse{NextPageToken: next}
	if n > 0 {
		page.Providers = []*hookstreamv1.Provider{{Id: fmt.Sprintf("item-%d", n)}}
	}
	return page, err
}

func (longLists) ListEventTypes(_ context.Context, req *hookstreamv1.ListEventTypesRequest) (*hookstreamv1.ListEventTypesResponse, error) {
	n, next, err := listed(req)
	page := &hookstreamv1.ListEventTypesResponse{NextPageToken: next}
	if n > 0 {
		page.EventTypes = []*hookstreamv1.EventType{{Provider: "p", Type: fmt.Sprintf("item-%d", n)}}
	}
	return page, err
}

// Every command that lists gets all pages, the empty ones too, and passes the
// filter and the order on with each.
func TestListsHaveAllPages(t *testing.T) {
	heavy.Test(t)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	hookstreamv1.RegisterSourceServiceServer(server, longLists{})
	hookstreamv1.RegisterSubscriptionServiceServer(server, longLists{})
	hookstreamv1.RegisterCatalogServiceServer(server, longLists{})
	hookstreamv1.RegisterEventServiceServer(server, longLists{})
	hookstreamv1.RegisterRequestServiceServer(server, longLists{})
	go server.Serve(lis)
	t.Cleanup(server.Stop)
	lists := 0
	for _, node := range aParser(t).Model.Leaves(false) {
		path := strings.Fields(pathOf(node))
		if path[len(path)-1] != "list" && pathOf(node) != "providers" && pathOf(node) != "event-types" {
			continue
		}
		lists++
		if slices.Contains(path, "parked") || slices.Contains(path, "replays") {
			path = append(path, "crm")
		}
		for _, form := range []string{"text", "wide", "json", "yaml"} {
			args := append(slices.Clone(path), "--server", lis.Addr().String(), "--filter", longFilter, "-o", form)
			if path[0] != "events" && path[0] != "requests" {
				args = append(args, "--order-by", longOrder)
			}
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), args, func(string) string { return "" }, strings.NewReader(""), &stdout, &stderr)
			if code != exitOK || !strings.Contains(stdout.String(), "item-1") || !strings.Contains(stdout.String(), "item-2") {
				t.Errorf("%q: %d %s%s", args, code, &stdout, &stderr)
			}
		}
	}
	if lists != 8 {
		t.Errorf("%d lists", lists)
	}
}
