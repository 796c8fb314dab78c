package server

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Pages have each subscription once, over gRPC and REST, and what is known of each.
func TestListEventDeliveries(t *testing.T) {
	w := startSubscriptions(t)
	w.create("a", &hookstreamv1.Subscription{})
	w.create("b", &hookstreamv1.Subscription{Selector: &hookstreamv1.EventSelector{Types: []string{"signer.done"}}})
	w.create("c", &hookstreamv1.Subscription{})
	w.put(1)
	found, err := w.events.ListEvents(t.Context(), &hookstreamv1.ListEventsRequest{})
	if err != nil || len(found.Events) != 1 {
		t.Fatal(found, err)
	}
	name := found.Events[0].Name
	pulled, err := w.subs.Pull(t.Context(), &hookstreamv1.PullRequest{Name: "subscriptions/a", Wait: durationpb.New(10 * time.Second)})
	if err != nil || len(pulled.Deliveries) != 1 {
		t.Fatal(pulled, err)
	}
	_, err = w.subs.Acknowledge(t.Context(), &hookstreamv1.AcknowledgeRequest{Name: "subscriptions/a", Settlements: []*hookstreamv1.Settlement{
		{AckToken: pulled.Deliveries[0].GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_PARK, Reason: "by hand"},
	}})
	if err != nil {
		t.Fatal(err)
	}

	var all []*hookstreamv1.EventDelivery
	req := &hookstreamv1.ListEventDeliveriesRequest{Parent: name, PageSize: 2}
	for pages := 1; ; pages++ {
		page, err := w.events.ListEventDeliveries(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Deliveries...)
		if req.PageToken = page.NextPageToken; req.PageToken == "" {
			if pages != 2 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	want := []hookstreamv1.EventDelivery_State{hookstreamv1.EventDelivery_STATE_PARKED, hookstreamv1.EventDelivery_STATE_NOT_SELECTED, hookstreamv1.EventDelivery_STATE_PENDING}
	if len(all) != len(want) {
		t.Fatal(all)
	}
	for i, d := range all {
		if d.GetState() != want[i] || d.Attempts == nil {
			t.Errorf("%v, want %s", d, want[i])
		}
	}
	if d := all[0]; d.GetReason() != "by hand" || d.GetParkedDelivery() == "" || d.GetParkTime() == nil || d.GetAttempts() != 1 {
		t.Errorf("parked: %v", d)
	}

	if code, _, body := w.do(t, http.MethodGet, "/v1/"+name+"/deliveries?pageSize=1", ""); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	_, err = w.events.ListEventDeliveries(t.Context(), &hookstreamv1.ListEventDeliveriesRequest{Parent: name, PageToken: "other"})
	if status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
	_, err = w.events.ListEventDeliveries(t.Context(), &hookstreamv1.ListEventDeliveriesRequest{Parent: "events/nothing-1"})
	if status.Code(err) != codes.NotFound {
		t.Error(err)
	}
}
