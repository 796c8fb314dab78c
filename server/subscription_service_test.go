package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// defaultSubscription is what a subscription without settings is answered as.
func defaultSubscription() *hookstreamv1.Subscription {
	return &hookstreamv1.Subscription{
		Ordering:    hookstreamv1.Ordering_ORDERING_UNORDERED,
		AckDeadline: durationpb.New(time.Minute), MaxAttempts: 10,
		BackoffMin: durationpb.New(time.Second), BackoffMax: durationpb.New(10 * time.Minute),
		MaxOutstandingEvents: 1000, MaxOutstandingBytes: 64 << 20,
	}
}

// settingsOnly leaves out what only the gateway writes.
var settingsOnly = protocmp.IgnoreFields(new(hookstreamv1.Subscription), "name", "uid", "etag", "create_time", "update_time")

func TestLifeOfASubscription(t *testing.T) {
	w := startSubscriptions(t)
	ctx := t.Context()
	created := w.create("crm", &hookstreamv1.Subscription{})
	if diff := cmp.Diff(defaultSubscription(), created, protocmp.Transform(), settingsOnly); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if created.GetName() != "subscriptions/crm" || created.GetUid() == "" || created.GetEtag() == "" || created.GetCreateTime() == nil {
		t.Errorf("created %v", created)
	}
	got, err := w.subs.GetSubscription(ctx, &hookstreamv1.GetSubscriptionRequest{Name: "subscriptions/crm"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(created, got, protocmp.Transform()); diff != "" {
		t.Errorf("get (-created +got):\n%s", diff)
	}
	_, err = w.subs.CreateSubscription(ctx, &hookstreamv1.CreateSubscriptionRequest{SubscriptionId: "crm", Subscription: &hookstreamv1.Subscription{}})
	wantStatus(t, err, codes.AlreadyExists, "RESOURCE_EXISTS")

	_, err = w.subs.DeleteSubscription(ctx, &hookstreamv1.DeleteSubscriptionRequest{Name: "subscriptions/crm", Etag: "stale"})
	wantStatus(t, err, codes.Aborted, "ETAG_MISMATCH")
	if _, err = w.subs.DeleteSubscription(ctx, &hookstreamv1.DeleteSubscriptionRequest{Name: "subscriptions/crm", Etag: created.GetEtag()}); err != nil {
		t.Fatal(err)
	}
	_, err = w.subs.GetSubscription(ctx, &hookstreamv1.GetSubscriptionRequest{Name: "subscriptions/crm"})
	wantStatus(t, err, codes.NotFound, "RESOURCE_NOT_FOUND")
}

// Whatever a caller asks of a subscription that is not there, it is told so.
func TestNoSuchSubscription(t *testing.T) {
	w := startSubscriptions(t)
	ctx, name := t.Context(), "subscriptions/nobody"
	_, update := w.subs.UpdateSubscription(ctx, &hookstreamv1.UpdateSubscriptionRequest{Subscription: &hookstreamv1.Subscription{Name: name, MaxAttempts: 2}})
	_, del := w.subs.DeleteSubscription(ctx, &hookstreamv1.DeleteSubscriptionRequest{Name: name})
	_, pause := w.subs.PauseSubscription(ctx, &hookstreamv1.PauseSubscriptionRequest{Name: name})
	_, resume := w.subs.ResumeSubscription(ctx, &hookstreamv1.ResumeSubscriptionRequest{Name: name})
	_, seek := w.subs.SeekSubscription(ctx, &hookstreamv1.SeekSubscriptionRequest{Name: name, To: &hookstreamv1.SeekSubscriptionRequest_Earliest{Earliest: true}})
	_, pull := w.subs.Pull(ctx, &hookstreamv1.PullRequest{Name: name})
	_, ack := w.subs.Acknowledge(ctx, acksOf(name, "x"))
	_, state := w.subs.GetSubscriptionState(ctx, &hookstreamv1.GetSubscriptionStateRequest{Name: name + "/state"})
	_, list := w.subs.ListParkedDeliveries(ctx, &hookstreamv1.ListParkedDeliveriesRequest{Parent: name})
	_, replay := w.subs.ReplayParkedDeliveries(ctx, &hookstreamv1.ReplayParkedDeliveriesRequest{Parent: name, All: true})
	_, purge := w.subs.PurgeParkedDeliveries(ctx, &hookstreamv1.PurgeParkedDeliveriesRequest{Parent: name, All: true})
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	for method, err := range map[string]error{
		"update": update, "delete": del, "pause": pause, "resume": resume, "seek": seek, "pull": pull, "ack": ack,
		"state": state, "list": list, "replay": replay, "purge": purge, "subscribe": stream.end(),
	} {
		if st := status.Convert(err); st.Code() != codes.NotFound || reasonOf(st) != "RESOURCE_NOT_FOUND" {
			t.Errorf("%s: %v", method, err)
		}
	}
}

func TestListSubscriptionsInPages(t *testing.T) {
	w := startSubscriptions(t)
	for _, id := range []string{"b", "a-2", "a", "c"} {
		w.create(id, &hookstreamv1.Subscription{})
	}
	var got []string
	for token := ""; ; {
		page, err := w.subs.ListSubscriptions(t.Context(), &hookstreamv1.ListSubscriptionsRequest{PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, sub := range page.GetSubscriptions() {
			got = append(got, sub.GetName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"subscriptions/a", "subscriptions/a-2", "subscriptions/b", "subscriptions/c"}, got); diff != "" {
		t.Error(diff)
	}
	_, err := w.subs.ListSubscriptions(t.Context(), &hookstreamv1.ListSubscriptionsRequest{PageToken: pageToken("sources", "a")})
	wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
}

func TestUpdateSubscription(t *testing.T) {
	w := startSubscriptions(t)
	w.create("crm", &hookstreamv1.Subscription{
		Labels: map[string]string{"a": "1", "b": "2"}, MaxAttempts: 3,
		Selector: &hookstreamv1.EventSelector{Types: []string{"a.*"}, Sources: []string{"open"}},
	})
	update := func(sub *hookstreamv1.Subscription, paths ...string) *hookstreamv1.Subscription {
		t.Helper()
		sub.Name = "subscriptions/crm"
		got, err := w.subs.UpdateSubscription(t.Context(), &hookstreamv1.UpdateSubscriptionRequest{
			Subscription: sub, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths},
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := defaultSubscription()
	want.Labels, want.MaxAttempts = map[string]string{"a": "9", "b": "2"}, 3
	want.Selector = &hookstreamv1.EventSelector{Types: []string{"b.*"}, Sources: []string{"open"}}
	want.BackoffMin = durationpb.New(0)
	before, _ := w.subs.GetSubscription(t.Context(), &hookstreamv1.GetSubscriptionRequest{Name: "subscriptions/crm"})
	if got := update(&hookstreamv1.Subscription{Selector: &hookstreamv1.EventSelector{Types: []string{"a.*"}}}); got.GetEtag() != before.GetEtag() {
		t.Errorf("without a mask, what a selector does not have changed: %v", got)
	}
	got := update(&hookstreamv1.Subscription{
		Labels: map[string]string{"a": "9"}, Selector: &hookstreamv1.EventSelector{Types: []string{"b.*"}},
		BackoffMin: durationpb.New(0), MaxAttempts: 100,
	}, "labels.a", "selector.types", "backoffMin")
	if diff := cmp.Diff(want, got, protocmp.Transform(), settingsOnly); diff != "" {
		t.Errorf("named parts (-want +got):\n%s", diff)
	}
	// No wait at all stays none when something else is changed.
	if got = update(&hookstreamv1.Subscription{Description: "d"}); got.GetBackoffMin() == nil || got.GetBackoffMin().AsDuration() != 0 {
		t.Errorf("back-off %v", got.GetBackoffMin())
	}
	if got = update(&hookstreamv1.Subscription{}, "*"); cmp.Diff(defaultSubscription(), got, protocmp.Transform(), settingsOnly) != "" {
		t.Errorf("everything made default is %v", got)
	}
	etag := got.GetEtag()
	if got = update(got); got.GetEtag() != etag {
		t.Error("what was answered, sent back, is a change")
	}
}

func TestUpdateSubscriptionRefuses(t *testing.T) {
	w := startSubscriptions(t)
	w.create("crm", &hookstreamv1.Subscription{})
	for _, tt := range []struct {
		name  string
		sub   *hookstreamv1.Subscription
		paths []string
		field string
	}{
		{"another ordering", &hookstreamv1.Subscription{Ordering: hookstreamv1.Ordering_ORDERING_BY_ENTITY}, nil, "subscription.ordering"},
		{"a field that is none", &hookstreamv1.Subscription{}, []string{"ack_dedline"}, "update_mask"},
		{"a part of what has none", &hookstreamv1.Subscription{}, []string{"ack_deadline.seconds"}, "update_mask"},
		{"a part that is none", &hookstreamv1.Subscription{}, []string{"selector.tipes"}, "update_mask"},
		{"* and more", &hookstreamv1.Subscription{}, []string{"*", "labels"}, "update_mask"},
		{"a value out of bounds", &hookstreamv1.Subscription{MaxAttempts: 5000}, nil, "subscription.max_attempts"},
		{"too few bytes", &hookstreamv1.Subscription{MaxOutstandingBytes: 1}, nil, "subscription.max_outstanding_bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.sub.Name = "subscriptions/crm"
			_, err := w.subs.UpdateSubscription(t.Context(), &hookstreamv1.UpdateSubscriptionRequest{
				Subscription: tt.sub, UpdateMask: &fieldmaskpb.FieldMask{Paths: tt.paths},
			})
			st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
			if diff := cmp.Diff([]string{tt.field}, violated(st)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValidateOnlyKeepsNoSubscription(t *testing.T) {
	w := startSubscriptions(t)
	ctx := t.Context()
	draft, err := w.subs.CreateSubscription(ctx, &hookstreamv1.CreateSubscriptionRequest{
		SubscriptionId: "crm", Subscription: &hookstreamv1.Subscription{MaxAttempts: 2}, ValidateOnly: true,
	})
	if err != nil || draft.GetMaxAttempts() != 2 || draft.GetAckDeadline().AsDuration() != time.Minute {
		t.Errorf("draft %v, %v", draft, err)
	}
	_, err = w.subs.GetSubscription(ctx, &hookstreamv1.GetSubscriptionRequest{Name: "subscriptions/crm"})
	wantStatus(t, err, codes.NotFound, "RESOURCE_NOT_FOUND")
	before := w.create("crm", &hookstreamv1.Subscription{})
	_, err = w.subs.CreateSubscription(ctx, &hookstreamv1.CreateSubscriptionRequest{
		SubscriptionId: "crm", Subscription: &hookstreamv1.Subscription{}, ValidateOnly: true,
	})
	wantStatus(t, err, codes.AlreadyExists, "RESOURCE_EXISTS")
	preview, err := w.subs.UpdateSubscription(ctx, &hookstreamv1.UpdateSubscriptionRequest{
		Subscription: &hookstreamv1.Subscription{Name: "subscriptions/crm", MaxAttempts: 7}, ValidateOnly: true,
	})
	if err != nil || preview.GetMaxAttempts() != 7 {
		t.Errorf("preview %v, %v", preview, err)
	}
	after, err := w.subs.GetSubscription(ctx, &hookstreamv1.GetSubscriptionRequest{Name: "subscriptions/crm"})
	if err != nil || cmp.Diff(before, after, protocmp.Transform()) != "" {
		t.Errorf("after previews: %v, %v", after, err)
	}
}

func TestAFilterThatDoesNotCompile(t *testing.T) {
	w := startSubscriptions(t)
	_, err := w.subs.CreateSubscription(t.Context(), &hookstreamv1.CreateSubscriptionRequest{
		SubscriptionId: "crm", Subscription: &hookstreamv1.Subscription{Selector: &hookstreamv1.EventSelector{Filter: "event.nonsense =="}},
	})
	st := wantStatus(t, err, codes.InvalidArgument, "FILTER_INVALID")
	if diff := cmp.Diff([]string{"subscription.selector.filter"}, violated(st)); diff != "" {
		t.Error(diff)
	}
}

// A service that declares its subscription when it starts finds it, makes it, or
// is told what differs.
func TestEnsureSubscription(t *testing.T) {
	w := startSubscriptions(t)
	ensure := func(sub *hookstreamv1.Subscription) (*hookstreamv1.EnsureSubscriptionResponse, error) {
		return w.subs.EnsureSubscription(t.Context(), &hookstreamv1.EnsureSubscriptionRequest{SubscriptionId: "crm", Subscription: sub})
	}
	first, err := ensure(&hookstreamv1.Subscription{MaxAttempts: 3})
	if err != nil || !first.GetCreated() {
		t.Fatalf("first: %v, %v", first, err)
	}
	second, err := ensure(&hookstreamv1.Subscription{MaxAttempts: 3, AckDeadline: durationpb.New(time.Minute)})
	if err != nil || second.GetCreated() || second.GetSubscription().GetEtag() != first.GetSubscription().GetEtag() {
		t.Errorf("second: %v, %v", second, err)
	}
	_, err = ensure(&hookstreamv1.Subscription{AckDeadline: durationpb.New(time.Second), MaxAttempts: 3, Labels: map[string]string{"a": "b"}})
	st := wantStatus(t, err, codes.FailedPrecondition, "SUBSCRIPTION_DIFFERS")
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetMetadata()["fields"] != "labels,ack_deadline" {
			t.Errorf("fields %q", info.GetMetadata()["fields"])
		}
	}
	if !strings.Contains(st.Message(), "ack_deadline") {
		t.Errorf("people are told %q", st.Message())
	}
}

func TestStreamAcksAndNacks(t *testing.T) {
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{BackoffMin: durationpb.New(0)}).GetName()
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name, ClientId: "worker-1"})
	opened := stream.frame()
	switch o := opened.GetOpened(); {
	case o.GetSubscription().GetName() != name, o.GetPhase() != hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_ACTIVE,
		o.GetFlowControl().GetMaxOutstandingEvents() != 1000, opened.GetCursor() != "":
		t.Errorf("opened %v", opened)
	}
	ids := w.put(3)
	got := stream.receive(3)
	if diff := cmp.Diff(ids, idsOf(got)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	for _, d := range got {
		if d.GetAttempt() != 1 || d.GetCursor() == "" || d.GetReplayed() || time.Until(d.GetAckDeadline().AsTime()) > time.Minute || time.Until(d.GetAckDeadline().AsTime()) < 30*time.Second {
			t.Errorf("delivery %v", d)
		}
	}
	state := w.state(name)
	if state.GetOutstandingEvents() != 3 || len(state.GetConsumers()) != 1 {
		t.Fatalf("state %v", state)
	}
	if c := state.GetConsumers()[0]; c.GetClientId() != "worker-1" || !strings.HasPrefix(c.GetAddress(), "127.0.0.1:") || c.GetOutstandingEvents() != 3 || c.GetOutstandingBytes() == 0 {
		t.Errorf("consumer %v", c)
	}
	resp, err := w.subs.Acknowledge(t.Context(), &hookstreamv1.AcknowledgeRequest{
		Name: name, Settlements: []*hookstreamv1.Settlement{
			{AckToken: got[2].GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_EXTEND, Extension: durationpb.New(10 * time.Minute)},
			{AckToken: got[0].GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_ACK},
			{AckToken: "forged", Verdict: hookstreamv1.Settlement_VERDICT_ACK},
			{AckToken: got[1].GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_RETRY, Reason: "busy", Delay: durationpb.New(0)},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	results := resp.GetResults()
	wantOutcomes(t, results[:2], 2, hookstreamv1.AckOutcome_ACK_OUTCOME_DONE)
	wantOutcomes(t, results[2:3], 1, hookstreamv1.AckOutcome_ACK_OUTCOME_INVALID)
	wantOutcomes(t, results[3:], 1, hookstreamv1.AckOutcome_ACK_OUTCOME_DONE)
	var tokens []string
	for _, r := range results {
		tokens = append(tokens, r.GetAckToken())
	}
	if diff := cmp.Diff([]string{got[2].GetAckToken(), got[0].GetAckToken(), "forged", got[1].GetAckToken()}, tokens); diff != "" {
		t.Errorf("each is answered with its token (-want +got):\n%s", diff)
	}
	if x := results[0]; time.Until(x.GetAckDeadline().AsTime()) < 9*time.Minute || x.GetNewAckToken() == "" {
		t.Errorf("extended %v", x)
	}
	again := stream.receive(1)
	if again[0].GetEvent().GetProviderEventId() != ids[1] || again[0].GetAttempt() != 2 {
		t.Errorf("after a nack comes %v", again)
	}
	w.ack(name, append(again, got[2]))
	w.ack(name, got[:1]) // saying the same again is no error
	eventually(t, "nothing is outstanding", func() bool { return w.state(name).GetOutstandingEvents() == 0 })
}

// What a stream held when it ended is with another one at once, long before the
// deadline.
func TestAStreamThatEndsGivesBack(t *testing.T) {
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{AckDeadline: durationpb.New(time.Hour), BackoffMin: durationpb.New(0)}).GetName()
	first, hangUp := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	first.frame()
	ids := w.put(2)
	held := first.receive(2)
	hangUp()
	second, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	var got []*hookstreamv1.Delivery
	for range ids { // nobody knows which of them ended the first: one at a time
		one := second.receive(1)
		if len(one) != 1 || one[0].GetAttempt() != 1 {
			t.Errorf("handed out: %v", one)
		}
		if got = append(got, one...); len(got) == 1 {
			w.ack(name, one)
		}
	}
	if diff := cmp.Diff(ids, slices.Sorted(slices.Values(idsOf(got)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	resp, err := w.subs.Acknowledge(t.Context(), acksOf(name, tokensOf(held)...))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, resp.GetResults(), 2, hookstreamv1.AckOutcome_ACK_OUTCOME_EXPIRED)
	w.ack(name, got[1:])
}

func TestFlowControlOfAStream(t *testing.T) {
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{MaxOutstandingEvents: 50}).GetName()
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name, FlowControl: &hookstreamv1.FlowControl{MaxOutstandingEvents: 2, MaxBatchEvents: 1}})
	if o := stream.frame().GetOpened().GetFlowControl(); o.GetMaxOutstandingEvents() != 2 || o.GetMaxBatchEvents() != 1 || o.GetMaxOutstandingBytes() != 64<<20 {
		t.Errorf("granted %v", o)
	}
	w.put(5)
	got := stream.receive(2)
	eventually(t, "delivery stands still", func() bool {
		s := w.state(name)
		return s.GetBlockedReason() == hookstreamv1.BlockedReason_BLOCKED_REASON_CONSUMERS_BUSY && s.GetOutstandingEvents() == 2
	})
	w.ack(name, got[:1])
	if more := stream.frame().GetBatch().GetDeliveries(); len(more) != 1 {
		t.Errorf("for one that was acknowledged came %d", len(more))
	}
}

func TestSubscribeRefusesWhatASubscriptionHas(t *testing.T) {
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{}).GetName()
	for field, req := range map[string]*hookstreamv1.SubscribeRequest{
		"selector":          {Subscription: name, Selector: &hookstreamv1.EventSelector{}},
		"start":             {Subscription: name, Start: &hookstreamv1.SubscribeRequest_Latest{Latest: true}},
		"stop":              {Subscription: name, Stop: &hookstreamv1.SubscribeRequest_AtHead{AtHead: true}},
		"on_cursor_expired": {Subscription: name, OnCursorExpired: hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_FAIL},
		"subscription":      {Subscription: "crm"},
		"flow_control.max_outstanding_events": {
			FlowControl: &hookstreamv1.FlowControl{MaxOutstandingEvents: 1},
		},
		"flow_control.max_outstanding_bytes": {
			FlowControl: &hookstreamv1.FlowControl{MaxOutstandingBytes: 1},
		},
	} {
		stream, _ := w.consume(req)
		st := wantStatus(t, stream.end(), codes.InvalidArgument, "REQUEST_INVALID")
		if diff := cmp.Diff([]string{field}, violated(st)); diff != "" {
			t.Error(diff)
		}
	}
}

// A view that shows sensitive fields is refused as for any stream.
func TestSubscriptionsWithholdSensitiveViews(t *testing.T) {
	w := startSubscriptions(t)
	all := w.create("all", &hookstreamv1.Subscription{}).GetName()
	open := w.create("open", &hookstreamv1.Subscription{Selector: &hookstreamv1.EventSelector{Sources: []string{"open"}}}).GetName()
	raw := hookstreamv1.EventView_EVENT_VIEW_RAW
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: all, View: raw})
	wantStatus(t, stream.end(), codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD")
	_, err := w.subs.Pull(t.Context(), &hookstreamv1.PullRequest{Name: all, View: raw})
	wantStatus(t, err, codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD")
	_, err = w.subs.ListParkedDeliveries(t.Context(), &hookstreamv1.ListParkedDeliveriesRequest{Parent: all, View: raw})
	wantStatus(t, err, codes.FailedPrecondition, "SENSITIVE_FIELDS_WITHHELD")

	stream, _ = w.consume(&hookstreamv1.SubscribeRequest{Subscription: open, View: raw})
	stream.frame()
	w.putEvent("closed", "t", "a", "{}")
	w.putEvent("open", "t", "a", `{"x":1}`)
	if got := stream.receive(1); string(got[0].GetEvent().GetRaw().GetBody()) != `{"x":1}` {
		t.Errorf("got %v", got)
	}
}

// Who asks for more deliveries than an answer may hold gets what it may.
func TestPullOfTooMany(t *testing.T) {
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{MaxOutstandingEvents: 2000}).GetName()
	w.put(1001)
	eventually(t, "they are there to be handed out", func() bool { return w.state(name).GetBacklogEvents() == 1001 })
	resp, err := w.subs.Pull(t.Context(), &hookstreamv1.PullRequest{Name: name, MaxEvents: 5000, MaxBytes: 2 << 20})
	if err != nil || len(resp.GetDeliveries()) == 0 || len(resp.GetDeliveries()) > 1000 {
		t.Errorf("%d deliveries, %v", len(resp.GetDeliveries()), err)
	}
}

func TestPauseTellsStreamsAndRefusesPulls(t *testing.T) {
	w := startSubscriptions(t)
	ctx, name := t.Context(), w.create("crm", &hookstreamv1.Subscription{}).GetName()
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	stream.frame()
	w.put(1)
	before := stream.receive(1)
	paused, err := w.subs.PauseSubscription(ctx, &hookstreamv1.PauseSubscriptionRequest{Name: name})
	if err != nil || !paused.GetPaused() {
		t.Fatalf("pause: %v, %v", paused, err)
	}
	if beat := stream.frame().GetHeartbeat(); beat.GetPhase() != hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_PAUSED || beat.GetSendTime() == nil {
		t.Errorf("the stream is told %v", beat)
	}
	w.ack(name, before) // works while paused
	_, err = w.subs.Pull(ctx, &hookstreamv1.PullRequest{Name: name})
	wantStatus(t, err, codes.FailedPrecondition, "SUBSCRIPTION_PAUSED")
	w.put(1)
	if s := w.state(name); !s.GetPaused() || s.GetBlockedReason() != hookstreamv1.BlockedReason_BLOCKED_REASON_PAUSED {
		t.Errorf("state %v", s)
	}
	late, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	if o := late.frame().GetOpened(); o.GetPhase() != hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_PAUSED {
		t.Errorf("a stream that opens meanwhile is told %v", o.GetPhase())
	}
	if _, err := w.subs.ResumeSubscription(ctx, &hookstreamv1.ResumeSubscriptionRequest{Name: name, Etag: "stale"}); status.Code(err) != codes.Aborted {
		t.Errorf("resume by a stale etag: %v", err)
	}
	if _, err := w.subs.ResumeSubscription(ctx, &hookstreamv1.ResumeSubscriptionRequest{Name: name, Etag: paused.GetEtag()}); err != nil {
		t.Fatal(err)
	}
	// One of the three consumers has it, whoever was faster.
	if _, err := w.subs.Pull(ctx, &hookstreamv1.PullRequest{Name: name, Wait: durationpb.New(0)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the event is handed out", func() bool { return w.state(name).GetOutstandingEvents() == 1 })
}

func TestSeek(t *testing.T) {
	w := startSubscriptions(t)
	ctx, name := t.Context(), w.create("crm", &hookstreamv1.Subscription{}).GetName()
	ids := w.put(3)
	pull := func(n int) []*hookstreamv1.Delivery {
		t.Helper()
		var got []*hookstreamv1.Delivery
		for len(got) < n {
			resp, err := w.subs.Pull(ctx, &hookstreamv1.PullRequest{Name: name, Wait: durationpb.New(5 * time.Second)})
			if err != nil {
				t.Fatal(err)
			}
			if len(resp.GetDeliveries()) == 0 {
				t.Fatalf("%d deliveries, want %d", len(got), n)
			}
			got = append(got, resp.GetDeliveries()...)
		}
		return got
	}
	seek := func(req *hookstreamv1.SeekSubscriptionRequest) {
		t.Helper()
		req.Name = name
		if _, err := w.subs.SeekSubscription(ctx, req); err != nil {
			t.Fatal(err)
		}
	}
	got := pull(3)
	w.ack(name, got[:2])
	seek(&hookstreamv1.SeekSubscriptionRequest{To: &hookstreamv1.SeekSubscriptionRequest_AfterCursor{AfterCursor: got[0].GetCursor()}})
	resp, err := w.subs.Acknowledge(ctx, acksOf(name, tokensOf(got[2:])...))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, resp.GetResults(), 1, hookstreamv1.AckOutcome_ACK_OUTCOME_EXPIRED)
	after := pull(2)
	if diff := cmp.Diff(ids[1:], idsOf(after)); diff != "" {
		t.Errorf("after a cursor (-want +got):\n%s", diff)
	}
	seek(&hookstreamv1.SeekSubscriptionRequest{To: &hookstreamv1.SeekSubscriptionRequest_Earliest{Earliest: true}})
	if diff := cmp.Diff(ids, idsOf(pull(3))); diff != "" {
		t.Errorf("from the beginning (-want +got):\n%s", diff)
	}
	seek(&hookstreamv1.SeekSubscriptionRequest{To: &hookstreamv1.SeekSubscriptionRequest_Latest{Latest: true}})
	next := w.put(1)
	if diff := cmp.Diff(next, idsOf(pull(1))); diff != "" {
		t.Errorf("from the end (-want +got):\n%s", diff)
	}

	_, err = w.subs.SeekSubscription(ctx, &hookstreamv1.SeekSubscriptionRequest{Name: name})
	wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	_, err = w.subs.SeekSubscription(ctx, &hookstreamv1.SeekSubscriptionRequest{Name: name, To: &hookstreamv1.SeekSubscriptionRequest_AfterCursor{AfterCursor: "nonsense"}})
	wantStatus(t, err, codes.InvalidArgument, "CURSOR_INVALID")
	another := event.Cursor{Incarnation: 1, Seq: 1, Time: time.Unix(1, 0)}.String()
	_, err = w.subs.SeekSubscription(ctx, &hookstreamv1.SeekSubscriptionRequest{Name: name, To: &hookstreamv1.SeekSubscriptionRequest_AfterCursor{AfterCursor: another}})
	wantStatus(t, err, codes.DataLoss, "CURSOR_UNKNOWN")
}

func TestPullWaits(t *testing.T) {
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{}).GetName()
	resp, err := w.subs.Pull(t.Context(), &hookstreamv1.PullRequest{Name: name, Wait: durationpb.New(0)})
	if err != nil || len(resp.GetDeliveries()) != 0 {
		t.Errorf("with nothing there: %v, %v", resp, err)
	}
	// The caller's own deadline is shorter than the wait, and no error.
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if resp, err = w.subs.Pull(ctx, &hookstreamv1.PullRequest{Name: name}); err != nil || len(resp.GetDeliveries()) != 0 {
		t.Errorf("until the caller's deadline: %v, %v", resp, err)
	}
	type answer struct {
		resp *hookstreamv1.PullResponse
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		resp, err := w.subs.Pull(t.Context(), &hookstreamv1.PullRequest{Name: name, MaxEvents: 2, ClientId: "puller"})
		answered <- answer{resp, err}
	}()
	eventually(t, "the pull waits", func() bool { return len(w.state(name).GetConsumers()) == 1 })
	w.put(3)
	a := <-answered
	if a.err != nil || len(a.resp.GetDeliveries()) == 0 || len(a.resp.GetDeliveries()) > 2 {
		t.Fatalf("a pull that waited: %v, %v", a.resp, a.err)
	}
	w.ack(name, a.resp.GetDeliveries())
}

func TestParkedDeliveries(t *testing.T) {
	w := startSubscriptions(t)
	ctx, name := t.Context(), w.create("crm", &hookstreamv1.Subscription{MaxAttempts: 1}).GetName()
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name, ClientId: "worker"})
	stream.frame()
	ids := w.put(3)
	got := stream.receive(3)
	resp, err := w.subs.Acknowledge(ctx, &hookstreamv1.AcknowledgeRequest{Name: name, Settlements: []*hookstreamv1.Settlement{
		{AckToken: got[0].GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_PARK, Reason: "no such customer"},
		{AckToken: got[1].GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_RETRY, Reason: "last attempt"}, // which it was
		{AckToken: got[2].GetAckToken(), Verdict: hookstreamv1.Settlement_VERDICT_SKIP},
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, resp.GetResults()[:2], 2, hookstreamv1.AckOutcome_ACK_OUTCOME_PARKED)
	wantOutcomes(t, resp.GetResults()[2:], 1, hookstreamv1.AckOutcome_ACK_OUTCOME_DONE)

	var parked []*hookstreamv1.ParkedDelivery
	for token := ""; ; {
		page, err := w.subs.ListParkedDeliveries(ctx, &hookstreamv1.ListParkedDeliveriesRequest{Parent: name, PageSize: 1, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		parked = append(parked, page.GetParkedDeliveries()...)
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	var told []string
	for _, p := range parked {
		told = append(told, fmt.Sprint(p.GetEvent().GetProviderEventId(), " ", p.GetAttempts(), " ", p.GetReason(), " ", p.GetClientId()))
		if !strings.HasPrefix(p.GetName(), name+"/parkedDeliveries/") || p.GetParkTime() == nil {
			t.Errorf("parked %v", p)
		}
	}
	if diff := cmp.Diff([]string{ids[0] + " 1 no such customer worker", ids[1] + " 1 last attempt worker"}, told); diff != "" {
		t.Fatal(diff)
	}
	if n := w.state(name).GetParkedEvents(); n != 2 {
		t.Errorf("state counts %d", n)
	}

	one := []string{parked[0].GetName()}
	dry, err := w.subs.ReplayParkedDeliveries(ctx, &hookstreamv1.ReplayParkedDeliveriesRequest{Parent: name, All: true, ValidateOnly: true})
	if err != nil || dry.GetReplayedCount() != 2 {
		t.Errorf("dry replay: %v, %v", dry, err)
	}
	replay, err := w.subs.ReplayParkedDeliveries(ctx, &hookstreamv1.ReplayParkedDeliveriesRequest{Parent: name, Names: one})
	if err != nil || replay.GetReplayedCount() != 1 {
		t.Errorf("replay: %v, %v", replay, err)
	}
	again := stream.receive(1)
	if again[0].GetEvent().GetProviderEventId() != ids[0] || !again[0].GetReplayed() || again[0].GetAttempt() != 1 {
		t.Errorf("replayed %v", again)
	}
	w.ack(name, again)
	dryPurge, err := w.subs.PurgeParkedDeliveries(ctx, &hookstreamv1.PurgeParkedDeliveriesRequest{Parent: name, All: true, ValidateOnly: true})
	if err != nil || dryPurge.GetPurgedCount() != 1 {
		t.Errorf("dry purge: %v, %v", dryPurge, err)
	}
	purge, err := w.subs.PurgeParkedDeliveries(ctx, &hookstreamv1.PurgeParkedDeliveriesRequest{Parent: name, All: true})
	if err != nil || purge.GetPurgedCount() != 1 {
		t.Errorf("purge: %v, %v", purge, err)
	}
	if n := w.state(name).GetParkedEvents(); n != 0 {
		t.Errorf("after the purge %d are parked", n)
	}
}

func TestParkedDeliveriesRefuse(t *testing.T) {
	w := startSubscriptions(t)
	ctx, name := t.Context(), w.create("crm", &hookstreamv1.Subscription{}).GetName()
	_, err := w.subs.PurgeParkedDeliveries(ctx, &hookstreamv1.PurgeParkedDeliveriesRequest{Parent: name})
	wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	_, err = w.subs.ReplayParkedDeliveries(ctx, &hookstreamv1.ReplayParkedDeliveriesRequest{Parent: name, All: true, Names: []string{name + "/parkedDeliveries/1"}})
	wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
	_, err = w.subs.PurgeParkedDeliveries(ctx, &hookstreamv1.PurgeParkedDeliveriesRequest{Parent: name, Names: []string{"subscriptions/other/parkedDeliveries/1"}})
	if diff := cmp.Diff([]string{"names"}, violated(wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID"))); diff != "" {
		t.Error(diff)
	}
	_, err = w.subs.ListParkedDeliveries(ctx, &hookstreamv1.ListParkedDeliveriesRequest{Parent: name, PageToken: "no token"})
	wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
}

func TestDeletingASubscriptionEndsItsStreams(t *testing.T) {
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{}).GetName()
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	stream.frame()
	if _, err := w.subs.DeleteSubscription(t.Context(), &hookstreamv1.DeleteSubscriptionRequest{Name: name}); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, stream.end(), codes.NotFound, "SUBSCRIPTION_DELETED")
}

func TestDrainTellsTheStreamsOfSubscriptions(t *testing.T) {
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{}).GetName()
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	stream.frame()
	drained := make(chan error, 1)
	go func() { drained <- w.manager.Drain(context.Background(), 50*time.Millisecond) }()
	if d := stream.frame().GetDraining(); d.GetGracePeriod().AsDuration() <= 0 {
		t.Errorf("told %v", d)
	}
	wantStatus(t, stream.end(), codes.Unavailable, "DRAINING")
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A settlement that says two things is done by neither, and nor is what came with
// it.
func TestASettlementSaysOneThing(t *testing.T) {
	const retry, park, release = hookstreamv1.Settlement_VERDICT_RETRY, hookstreamv1.Settlement_VERDICT_PARK, hookstreamv1.Settlement_VERDICT_RELEASE
	const ack, extend = hookstreamv1.Settlement_VERDICT_ACK, hookstreamv1.Settlement_VERDICT_EXTEND
	w := startSubscriptions(t)
	name := w.create("crm", &hookstreamv1.Subscription{}).GetName()
	stream, _ := w.consume(&hookstreamv1.SubscribeRequest{Subscription: name})
	stream.frame()
	w.put(2)
	got := stream.receive(2)
	second := durationpb.New(time.Second)
	for _, tc := range []struct {
		field string
		said  *hookstreamv1.Settlement
	}{
		{"verdict", &hookstreamv1.Settlement{}},
		{"verdict", &hookstreamv1.Settlement{Verdict: 99}},
		{"delay", &hookstreamv1.Settlement{Verdict: ack, Delay: second}},
		{"delay", &hookstreamv1.Settlement{Verdict: release, Delay: second}},
		{"extension", &hookstreamv1.Settlement{Verdict: retry, Extension: second}},
		{"reason", &hookstreamv1.Settlement{Verdict: ack, Reason: "done"}},
		{"reason", &hookstreamv1.Settlement{Verdict: extend, Reason: "slow"}},
	} {
		tc.said.AckToken = got[1].GetAckToken()
		req := acksOf(name, got[0].GetAckToken())
		req.Settlements = append(req.Settlements, tc.said)
		_, err := w.subs.Acknowledge(t.Context(), req)
		st := wantStatus(t, err, codes.InvalidArgument, "REQUEST_INVALID")
		if diff := cmp.Diff([]string{"settlements[1]." + tc.field}, violated(st)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.said, diff)
		}
	}
	resp, err := w.subs.Acknowledge(t.Context(), &hookstreamv1.AcknowledgeRequest{Name: name, Settlements: []*hookstreamv1.Settlement{
		{AckToken: got[0].GetAckToken(), Verdict: park, Reason: "still ours"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, resp.GetResults(), 1, hookstreamv1.AckOutcome_ACK_OUTCOME_PARKED)
}
