package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/hookstream/hookstream/eventlog/queue"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

const subAtOnce = "subscriptions/one"

func subsOf(c changer) hookstreamv1.SubscriptionServiceClient {
	return hookstreamv1.NewSubscriptionServiceClient(c.g.conn)
}

func updateSubAtOnce(path string, fill func(sub *hookstreamv1.Subscription, tag string)) func(context.Context, changer) error {
	return func(ctx context.Context, c changer) error {
		sub := &hookstreamv1.Subscription{Name: subAtOnce, Etag: c.etag}
		fill(sub, c.tag)
		return c.call(ctx, "PATCH", subAtOnce+"?updateMask="+path, sub, func() error {
			_, err := subsOf(c).UpdateSubscription(ctx, &hookstreamv1.UpdateSubscriptionRequest{Subscription: sub, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{path}}})
			return err
		})
	}
}

// subscriptionChangesAtOnce are all that change a subscription.
func subscriptionChangesAtOnce() []change[*hookstreamv1.Subscription] {
	type sub = *hookstreamv1.Subscription
	always := func(changer, sub) bool { return true }
	return []change[sub]{
		{
			"description",
			updateSubAtOnce("description", func(s sub, tag string) { s.Description = tag }),
			func(c changer, s sub) bool { return s.GetDescription() == c.tag },
		},
		{
			"labels",
			updateSubAtOnce("labels", func(s sub, tag string) { s.Labels = map[string]string{"k": tag} }),
			func(c changer, s sub) bool { return s.GetLabels()["k"] == c.tag },
		},
		{"pause", func(ctx context.Context, c changer) error {
			req := &hookstreamv1.PauseSubscriptionRequest{Name: subAtOnce, Etag: c.etag}
			body := proto.CloneOf(req)
			body.Name = ""
			return c.call(ctx, "POST", subAtOnce+":pause", body, func() error {
				_, err := subsOf(c).PauseSubscription(ctx, req)
				return err
			})
		}, func(_ changer, s sub) bool { return s.GetPaused() }},
		{"seek", func(ctx context.Context, c changer) error {
			req := &hookstreamv1.SeekSubscriptionRequest{Name: subAtOnce, Etag: c.etag, To: &hookstreamv1.SeekSubscriptionRequest_Latest{Latest: true}}
			body := proto.CloneOf(req)
			body.Name = ""
			return c.call(ctx, "POST", subAtOnce+":seek", body, func() error {
				_, err := subsOf(c).SeekSubscription(ctx, req)
				return err
			})
		}, always},
		{"ensure", func(ctx context.Context, c changer) error {
			req := &hookstreamv1.EnsureSubscriptionRequest{SubscriptionId: "one", Subscription: &hookstreamv1.Subscription{Description: c.tag, MaxAttempts: 77}}
			return c.call(ctx, "POST", "subscriptions:ensure", req, func() error {
				_, err := subsOf(c).EnsureSubscription(ctx, req)
				return err
			})
		}, always},
		{"delete", func(ctx context.Context, c changer) error {
			return c.call(ctx, "DELETE", subAtOnce+"?etag="+c.etag, nil, func() error {
				_, err := subsOf(c).DeleteSubscription(ctx, &hookstreamv1.DeleteSubscriptionRequest{Name: subAtOnce, Etag: c.etag})
				return err
			})
		}, always},
	}
}

// Two who change a subscription in the same moment, at one gateway or at two, over gRPC
// or REST: none is told OK of what is lost, and one of two with the same etag is told to
// try again.
func TestTwoChangesOfASubscriptionAtOnce(t *testing.T) {
	w := startSubscriptions(t)
	h := w.runHub()
	other, err := subscription.Open(t.Context(), subscription.Options{Engine: subscription.On(queue.On(w.engine)), Hub: h, Gateway: "other"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	g := [2]*gateway{w.gateway, start(t, func(o *Options, _ *HTTPOptions) { o.Sources, o.Subscriptions, o.Hub = w.openSources(), other, h })}
	kinds := subscriptionChangesAtOnce()
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	var now *hookstreamv1.Subscription
	for round := range 100 {
		if now != nil && now.GetPaused() {
			if now, err = w.subs.ResumeSubscription(t.Context(), &hookstreamv1.ResumeSubscriptionRequest{Name: subAtOnce}); err != nil {
				t.Fatal(err)
			}
		}
		if now == nil {
			req := &hookstreamv1.CreateSubscriptionRequest{SubscriptionId: "one", Subscription: &hookstreamv1.Subscription{}}
			if _, err := w.subs.CreateSubscription(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
		now = settledSub(t, g)
		var callers [2]changer
		var changes [2]change[*hookstreamv1.Subscription]
		withEtag := random.IntN(2) == 0
		for i := range callers {
			callers[i] = changer{g: g[random.IntN(2)], rest: random.IntN(2) == 0, tag: fmt.Sprintf("%d-%d", round, i)}
			changes[i] = kinds[random.IntN(len(kinds))]
			if withEtag {
				callers[i].etag = now.GetEtag()
			}
		}
		got := atOnce(t, callers, changes)
		now = settledSub(t, g)
		checkAtOnce(t, callers, changes, got, now, now != nil)
		if t.Failed() {
			t.Fatalf("round %d: %s and %s with etag %v, told %v, now %v", round, changes[0].kind, changes[1].kind, withEtag, got, now)
		}
	}
}

// settledSub waits until both gateways know of the same, and answers it, nil for nothing.
func settledSub(t *testing.T, g [2]*gateway) *hookstreamv1.Subscription {
	t.Helper()
	var now [2]*hookstreamv1.Subscription
	eventually(t, "both gateways know of the same", func() bool {
		for i := range g {
			sub, err := subsOf(changer{g: g[i]}).GetSubscription(t.Context(), &hookstreamv1.GetSubscriptionRequest{Name: subAtOnce})
			if err != nil && status.Code(err) != codes.NotFound {
				t.Fatal(err)
			}
			if now[i] = sub; err != nil {
				now[i] = nil
			}
		}
		return now[0].GetEtag() == now[1].GetEtag()
	})
	return now[0]
}
