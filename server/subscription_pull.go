package server

import (
	"cmp"
	"context"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// What a pull is given when it does not say.
const (
	defaultPullEvents = 100
	defaultPullBytes  = 256 << 10
	defaultPullWait   = 10 * time.Second
)

// pullGlance is the shortest wait: what is there has to be fetched too.
const pullGlance = 300 * time.Millisecond

// maxPullBytes bounds an answer: clients refuse a message of 4 MiB.
const maxPullBytes = 3 << 20

// Pull answers deliveries as soon as there are any.
func (s *subscriptionService) Pull(ctx context.Context, req *hookstreamv1.PullRequest) (*hookstreamv1.PullResponse, error) {
	id, view := subscriptionID(req.GetName()), viewOf(req.GetView())
	sub, err := s.manager.Get(id)
	if err != nil {
		return nil, err
	}
	if err := checkSubscriptionView(s.hub, view, sub); err != nil {
		return nil, err
	}
	found, err := s.manager.Pull(ctx, id, subscription.ConsumerOptions{
		ClientID: req.GetClientId(), Address: peerOf(ctx),
		MaxEvents:  int(cmp.Or(req.GetMaxEvents(), defaultPullEvents)),
		BatchBytes: int(cmp.Or(req.GetMaxBytes(), defaultPullBytes)),
	}, pullWait(ctx, req))
	if err != nil {
		return nil, err
	}
	return s.pulled(ctx, id, found, view)
}

// pullWait ends before the caller gives up: an answer that nobody reads would
// hold its deliveries until their deadline.
func pullWait(ctx context.Context, req *hookstreamv1.PullRequest) time.Duration {
	wait := defaultPullWait
	if req.GetWait() != nil {
		wait = max(req.GetWait().AsDuration(), pullGlance)
	}
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, max(0, time.Until(deadline)*9/10))
	}
	return wait
}

// pulled answers what was found. Deliveries were counted by the size in which
// their events are kept; those that do not fit the answer after all are given
// back.
func (s *subscriptionService) pulled(ctx context.Context, id string, found []subscription.Delivery, view hookstreamv1.EventView) (*hookstreamv1.PullResponse, error) {
	b := newDeliveryBatch(found, view, maxPullBytes)
	s.giveBack(ctx, id, found[b.len():])
	return b.pull()
}

func (s *subscriptionService) giveBack(ctx context.Context, id string, all []subscription.Delivery) {
	if len(all) == 0 {
		return
	}
	var back []subscription.Settlement
	for _, d := range all {
		back = append(back, subscription.Settlement{
			Token: d.Token, Verdict: subscription.Retry, Delay: new(time.Duration(0)), Reason: "did not fit the answer to a pull",
		})
	}
	s.manager.Settle(ctx, id, back)
}
