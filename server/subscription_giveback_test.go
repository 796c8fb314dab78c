package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// What does not fit the answer to a Pull in the view that was asked for, larger
// than what is kept, was no attempt: it comes with a later one.
func TestWhatDidNotFitAPullIsNoAttempt(t *testing.T) {
	w := startSubscriptions(t)
	w.create("crm", &hookstreamv1.Subscription{MaxAttempts: 1, Selector: &hookstreamv1.EventSelector{Sources: []string{"open"}}})
	body := fmt.Sprintf(`{"subscriptionDescription":%q}`, strings.Repeat("abcdefgh", 50<<10))
	ids := make(map[string]bool)
	for range 14 {
		ids[w.putEvent("open", "signature_request", "done", body)] = true
	}
	deadline := time.Now().Add(time.Minute)
	for len(ids) > 0 && time.Now().Before(deadline) {
		const asked = 2 << 20
		res, err := w.subs.Pull(t.Context(), &hookstreamv1.PullRequest{
			Name: "subscriptions/crm", MaxEvents: 1000, MaxBytes: asked, View: hookstreamv1.EventView_EVENT_VIEW_FULL, Wait: durationpb.New(time.Second),
		})
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		var acks []string
		for _, d := range res.GetDeliveries() {
			size += len(d.GetEvent().GetRaw().GetBody())
			delete(ids, d.GetEvent().GetProviderEventId())
			acks = append(acks, d.GetAckToken())
			if d.GetAttempt() != 1 {
				t.Errorf("attempt %d", d.GetAttempt())
			}
		}
		if size > asked && len(acks) > 1 {
			t.Errorf("%d bytes were answered, %d asked for", size, asked)
		}
		if _, err := w.subs.Acknowledge(t.Context(), acksOf("subscriptions/crm", acks...)); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) > 0 {
		t.Errorf("%d events were never answered", len(ids))
	}
	parked, err := w.subs.ListParkedDeliveries(t.Context(), &hookstreamv1.ListParkedDeliveriesRequest{Parent: "subscriptions/crm", PageSize: 100})
	if err != nil || len(parked.GetParkedDeliveries()) > 0 {
		t.Errorf("parked: %v, %v", parked.GetParkedDeliveries(), err)
	}
}

// A consumer says over the API that it did not begin with an event, and is told
// which delivery is the newer.
func TestReleaseOverTheAPI(t *testing.T) {
	w := startSubscriptions(t)
	w.create("crm", &hookstreamv1.Subscription{MaxAttempts: 1, Selector: &hookstreamv1.EventSelector{Sources: []string{"open"}}})
	w.putEvent("open", "signature_request", "done", `{}`)
	var last int64
	for range 3 {
		res, err := w.subs.Pull(t.Context(), &hookstreamv1.PullRequest{Name: "subscriptions/crm", Wait: durationpb.New(10 * time.Second)})
		if err != nil || len(res.GetDeliveries()) != 1 {
			t.Fatal(res, err)
		}
		d := res.GetDeliveries()[0]
		if d.GetAttempt() != 1 || d.GetHandOut() <= last {
			t.Errorf("attempt %d, hand-out %d after %d", d.GetAttempt(), d.GetHandOut(), last)
		}
		last = d.GetHandOut()
		answer, err := w.subs.Acknowledge(t.Context(), &hookstreamv1.AcknowledgeRequest{
			Name: "subscriptions/crm", Settlements: []*hookstreamv1.Settlement{{AckToken: d.GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_RELEASE}},
		})
		if err != nil || answer.GetResults()[0].GetOutcome() != hookstreamv1.AckOutcome_ACK_OUTCOME_DONE {
			t.Fatal(answer, err)
		}
	}
}
