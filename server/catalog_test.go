package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func catalog(o *Options, _ *HTTPOptions) {
	o.Providers = []*hookstreamv1.Provider{{Id: "yousign"}, {Id: "ignisign"}}
	o.EventTypes = []*hookstreamv1.EventType{
		{Provider: "yousign", Type: "signer.done"},
		{Provider: "ignisign", Type: "APP.ARCHIVED"},
		{Provider: "yousign", Type: "contact.created"},
	}
}

func TestListProviders(t *testing.T) {
	g := start(t, catalog)
	resp, err := g.catalog.ListProviders(t.Context(), &hookstreamv1.ListProvidersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range resp.GetProviders() {
		got = append(got, p.GetId())
	}
	if diff := cmp.Diff([]string{"ignisign", "yousign"}, got); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
}

func TestListEventTypesByProviderAndInPages(t *testing.T) {
	g := start(t, catalog)
	list := func(provider string, size int32) (got []string) {
		t.Helper()
		token := ""
		for {
			resp, err := g.catalog.ListEventTypes(t.Context(), &hookstreamv1.ListEventTypesRequest{Provider: provider, PageSize: size, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, typ := range resp.GetEventTypes() {
				got = append(got, typ.GetType())
			}
			if token = resp.GetNextPageToken(); token == "" {
				return got
			}
		}
	}
	for _, size := range []int32{0, 1, 2, 3} {
		if diff := cmp.Diff([]string{"APP.ARCHIVED", "contact.created", "signer.done"}, list("", size)); diff != "" {
			t.Errorf("page size %d (-want +got):\n%s", size, diff)
		}
	}
	if diff := cmp.Diff([]string{"contact.created", "signer.done"}, list("yousign", 1)); diff != "" {
		t.Errorf("of one provider (-want +got):\n%s", diff)
	}
	if got := list("nobody", 1); got != nil {
		t.Errorf("of a provider that nobody knows: %v", got)
	}
	_, err := g.catalog.ListEventTypes(t.Context(), &hookstreamv1.ListEventTypesRequest{
		Provider: "yousign", PageToken: pageToken("eventTypes/", "ignisign/APP.ARCHIVED"),
	})
	wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
}
