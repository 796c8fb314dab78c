package server

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/request"
)

// noRequests are those of a gateway that has refused none.
type noRequests struct{ store *request.Store }

func newNoRequests(t *testing.T) noRequests {
	store := request.Open(request.Options{Bucket: emptyBucket{}})
	t.Cleanup(store.Close)
	return noRequests{store}
}

type emptyBucket struct{ eventlog.Bucket }

func (emptyBucket) Watch(ctx context.Context, _ func(eventlog.Change), ready func()) error {
	ready()
	<-ctx.Done()
	return ctx.Err()
}

func (n noRequests) Store() *request.Store       { return n.store }
func (noRequests) ShowsBody(string) bool         { return false }
func (noRequests) CatchUp(context.Context) error { return nil }

func (noRequests) Again(context.Context, *request.Request, time.Time) (*hookstreamv1.RequestVerdict, error) {
	return new(hookstreamv1.RequestVerdict), nil
}
func (noRequests) Examine(context.Context, *request.Request, *hookstreamv1.RequestVerdict) {}

// Pages hold what a filter lets through, each once, in their order, and their tokens are
// good for nothing else.
func TestPagesOfRequests(t *testing.T) {
	now := time.Now()
	var all []request.Request
	for i := range 25 {
		all = append(all, request.Request{
			ID: fmt.Sprintf("%016x", i), Source: []string{"billing", "esign", request.Nowhere}[i%3], Cause: []request.Cause{request.Forged, request.NotFound}[i%3/2],
			FirstTime: now.Add(-time.Duration(i) * time.Minute), LastTime: now.Add(-time.Duration(i/5) * time.Minute),
			Remote: netip.MustParseAddr("192.0.2.1"), Reason: "signature_mismatch",
		})
	}
	all[3].Event, all[3].PromoteTime = "events/e-1", now
	for filter, want := range map[string]int{
		"": 25, "source:billing": 9, "source:sources/billing,esign": 17, `source:""`: 8, "cause:not_found": 8, "cause:Forged reason:signature_*": 17,
		"promoted:yes": 1, "id:e-1": 1, "name:requests/000000000000000a": 1, "remote:192.0.2.1 -source:billing": 16, "after:150s": 15, "before:150s": 10,
	} {
		for name, order := range map[string]func(*request.Request) string{"newest": newestFirst, "arrival": byArrival} {
			var got []string
			req := &hookstreamv1.ListRequestsRequest{Filter: filter, PageSize: 4}
			for {
				p, err := newRequestPage(name, req, order)
				if err != nil {
					t.Fatalf("%s: %v", filter, err)
				}
				found := p.of(all)
				for i := range found[:min(4, len(found))] {
					got = append(got, order(&found[i]))
				}
				if len(found) <= 4 {
					break
				}
				req.PageToken = p.tokenAfter(&found[3])
				if _, err := newRequestPage(name, &hookstreamv1.ListRequestsRequest{Filter: filter + " method:PUT", PageToken: req.PageToken}, order); err == nil {
					t.Errorf("%s: a token is taken for another filter", filter)
				}
				if _, err := newRequestPage("other", req, order); err == nil {
					t.Errorf("%s: a token is taken for another list", filter)
				}
			}
			if len(got) != want || !slices.IsSorted(got) || len(slices.Compact(got)) != want {
				t.Errorf("%s, %s: %d, want %d: %q", filter, name, len(got), want, got)
			}
		}
	}
}

// Whatever is kept is shown as the schema has it.
func TestWhateverIsKeptOfARequestIsShown(t *testing.T) {
	for _, cause := range request.Causes() {
		got := shownRequest(&request.Request{
			ID: "0123456789abcdef", Source: request.Nowhere, Cause: cause, Method: "P\xffST", Path: "/\xff",
			Header: []request.Line{{Name: "User-Agent", Value: []byte("\xff")}}, Proof: []request.Line{{Name: "X-Signature", Value: []byte("proof")}},
		})
		if got.GetCause() == hookstreamv1.RefusalCause_REFUSAL_CAUSE_UNSPECIFIED || got.GetSource() != "" || got.GetMethod() != "P\uFFFDST" || len(got.GetHeaders()) != 1 {
			t.Errorf("%s: %v", cause, got)
		}
	}
}
