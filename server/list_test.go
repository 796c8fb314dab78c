package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// listed makes sources and subscriptions that differ.
func listed(t *testing.T) *subscriptionWorld {
	w := startSubscriptions(t)
	for i, team := range []string{"crm", "billing", "crm", ""} {
		src := yousignSource("secret-one")
		src.Description, src.Disabled = fmt.Sprint("d", 9-i), i == 2
		sub := &hookstreamv1.Subscription{MaxAttempts: int32(9 - i)}
		if team != "" {
			src.Labels = map[string]string{"team": team}
			sub.Labels = src.GetLabels()
		}
		w.gateway.create(t, fmt.Sprint("s", i), src)
		if _, err := w.subs.CreateSubscription(t.Context(), &hookstreamv1.CreateSubscriptionRequest{SubscriptionId: fmt.Sprint("s", i), Subscription: sub}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// names lists over REST, page by page, and answers the last parts of the names.
func (w *subscriptionWorld) names(t *testing.T, path, filter, order string, size int) (got []string) {
	t.Helper()
	q := url.Values{"filter": {filter}, "orderBy": {order}, "pageSize": {fmt.Sprint(size)}}
	for {
		code, _, body := w.do(t, "GET", path+"?"+q.Encode(), "")
		if code != 200 {
			t.Fatalf("%s %v: %d %s", path, q, code, body)
		}
		var page map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		var token string
		for field, value := range page {
			if field == "nextPageToken" {
				_ = json.Unmarshal(value, &token)
				continue
			}
			var items []struct{ Name, ID, Type string }
			if err := json.Unmarshal(value, &items); err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				name := item.Name + item.ID + item.Type
				got = append(got, name[strings.LastIndex(name, "/")+1:])
			}
		}
		if token == "" {
			return got
		}
		q.Set("pageToken", token)
	}
}

func TestListsAreFilteredAndOrdered(t *testing.T) {
	w := listed(t)
	for _, c := range []struct{ path, filter, order, want string }{
		{"/v1/sources", "", "", "s0 s1 s2 s3"},
		{"/v1/sources", `labels.team = "crm"`, "", "s0 s2"},
		{"/v1/sources", `labels.team = "crm"`, "name desc", "s2 s0"},
		{"/v1/sources", "", "description", "s3 s2 s1 s0"},
		{"/v1/sources", "NOT labels:team OR disabled = true", "disabled desc, name", "s2 s3"},
		{"/v1/sources", "", "provider_does_not_matter", "!order_by"},
		{"/v1/sources", `yousign.secrets:"secret"`, "", "!filter"},
		{"/v1/sources", "s1", "", "!filter"},
		{"/v1/sources", "", "yousign.secrets", "!order_by"},
		{"/v1/sources", `name = "` + strings.Repeat("x", 2000) + `"`, "", "!filter"},
		{"/v1/subscriptions", "", "", "s0 s1 s2 s3"},
		{"/v1/subscriptions", "max_attempts > 6", "max_attempts", "s2 s1 s0"},
		{"/v1/subscriptions", `ack_deadline = "60s" AND labels.team = "crm"`, "", "s0 s2"},
		{"/v1/subscriptions", "nme:*", "", "!filter"},
		{"/v1/providers", "", "", ""},
		{"/v1/providers", "x:*", "", "!filter"},
		{"/v1/eventTypes", "", "", "signature_request.done"},
		{"/v1/eventTypes", `type = "signer.*"`, "", ""},
		{"/v1/eventTypes", "", "x", "!order_by"},
	} {
		if field, refused := strings.CutPrefix(c.want, "!"); refused {
			q := url.Values{"filter": {c.filter}, "orderBy": {c.order}}
			code, _, body := w.do(t, "GET", c.path+"?"+q.Encode(), "")
			if code != 400 || !strings.Contains(body, `"field":"`+field+`"`) {
				t.Errorf("%+v: %d %s", c, code, body)
			}
			continue
		}
		for _, size := range []int{1, 3, 100} {
			if diff := cmp.Diff(strings.Fields(c.want), append([]string{}, w.names(t, c.path, c.filter, c.order, size)...)); diff != "" {
				t.Errorf("%+v in pages of %d (-want +got):\n%s", c, size, diff)
			}
		}
	}
	_, err := w.sources.ListSources(t.Context(), &hookstreamv1.ListSourcesRequest{Filter: "nme:*", OrderBy: "nme"})
	wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	resp, err := w.sources.ListSources(t.Context(), &hookstreamv1.ListSourcesRequest{Filter: `labels.team = "crm"`, OrderBy: "name desc"})
	if err != nil || len(resp.GetSources()) != 2 || resp.GetSources()[0].GetName() != "sources/s2" || len(resp.GetSources()[0].GetYousign().GetSecrets()) != 0 {
		t.Errorf("%v, %v", resp, err)
	}
}

// A token is of one filter and one order. Between two pages of an order sources
// come, go and change their place: those that do not are listed once.
func TestAnOrderedListUnderWrites(t *testing.T) {
	w := listed(t)
	ask := func(token, filter, order string) (*hookstreamv1.ListSourcesResponse, error) {
		return w.sources.ListSources(t.Context(), &hookstreamv1.ListSourcesRequest{PageSize: 1, PageToken: token, Filter: filter, OrderBy: order})
	}
	first, err := ask("", "", "description")
	if err != nil || len(first.GetSources()) != 1 || first.GetSources()[0].GetName() != "sources/s3" {
		t.Fatal(first, err)
	}
	token := first.GetNextPageToken()
	for _, other := range [][2]string{{"", ""}, {"", "description desc"}, {"disabled = true", "description"}} {
		_, err := ask(token, other[0], other[1])
		wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	}
	added := yousignSource("secret-one")
	added.Description = "d0"
	w.gateway.create(t, "a-new", added)
	if _, err := w.sources.DeleteSource(t.Context(), &hookstreamv1.DeleteSourceRequest{Name: "sources/s3"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sources.UpdateSource(t.Context(), &hookstreamv1.UpdateSourceRequest{
		Source: &hookstreamv1.Source{Name: "sources/s0", Description: "d1"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"description"}},
	}); err != nil {
		t.Fatal(err)
	}
	var rest []string
	for token != "" {
		page, err := ask(token, "", "description")
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range page.GetSources() {
			rest = append(rest, src.GetName())
		}
		token = page.GetNextPageToken()
	}
	if diff := cmp.Diff([]string{"sources/s2", "sources/s1"}, rest); diff != "" {
		t.Errorf("the rest (-want +got):\n%s", diff)
	}
}

func TestParkedDeliveriesAreFiltered(t *testing.T) {
	w := startSubscriptions(t)
	name := w.subscriptionWithParked(t)
	path := "/v1/" + name + "/parkedDeliveries"
	for _, size := range []int{1, 2, 100} {
		for filter, want := range map[string]int{
			"":                             4,
			`reason = "even"`:              2,
			`event.type = "signature_*"`:   4,
			`event.type = "signer.*"`:      0,
			`attempts > 1`:                 0,
			`NOT reason:"e" OR attempts=1`: 4,
		} {
			if got := w.names(t, path, filter, "park_time", size); len(got) != want {
				t.Errorf("%s in pages of %d: %v", filter, size, got)
			}
		}
	}
	for q, field := range map[string]string{
		"orderBy=park_time+desc": "order_by", "orderBy=attempts": "order_by",
		"filter=event.raw:*": "filter", "filter=event.yousign:*": "filter", "filter=event.proof:*": "filter", "filter=event.json:*": "filter",
	} {
		if code, _, body := w.do(t, "GET", path+"?"+q, ""); code != 400 || !strings.Contains(body, `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s", q, code, body)
		}
	}
}

// subscriptionWithParked parks four events, for reasons that take turns.
func (w *subscriptionWorld) subscriptionWithParked(t *testing.T) string {
	t.Helper()
	name := w.create("crm", &hookstreamv1.Subscription{}).GetName()
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	stream.frame()
	w.put(4)
	var settlements []*hookstreamv1.Settlement
	for i, d := range stream.receive(4) {
		settlements = append(settlements, &hookstreamv1.Settlement{
			AckToken: d.GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_PARK, Reason: []string{"even", "odd"}[i%2],
		})
	}
	resp, err := w.subs.Acknowledge(t.Context(), &hookstreamv1.AcknowledgeRequest{Name: name, Settlements: settlements})
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, resp.GetResults(), 4, hookstreamv1.AckOutcome_ACK_OUTCOME_PARKED)
	return name
}
