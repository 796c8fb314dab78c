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

// Pull answers deliveries as soon as there are any.
func (s *subscriptionService) Pull(ctx context.Context, req *hookstreamv1.PullRequest) (*hookstreamv1.PullResponse, error) {
	id, view := subscriptionID(req.GetName()), viewOf(req.GetView())
	sub, err := s.manager.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := checkSubscriptionView(s.hub, view, sub); err != nil {
		return nil, err
	}
	found, err := s.manager.Pull(ctx, id, subscription.ConsumerOptions{
		ClientID: req.GetClientId(), Address: peerOf(ctx),
		MaxEvents:  int(min(cmp.Or(req.GetMaxEvents(), defaultPullEvents), maxPageSize)),
		BatchBytes: int(cmp.Or(req.GetMaxBytes(), defaultPullBytes)),
	}, pullWait(ctx, req))
	if err != nil {
		return nil, err
	}
	size := min(int(cmp.Or(req.GetMaxBytes(), defaultPullBytes)), subscription.MaxPullBytes)
	resp, err := s.pulled(ctx, id, found, view, size)
	if err == nil {
		if g := s.manager.UntoldGap(ctx, id); g.Missed > 0 {
			resp.Gap = gapMessage(g)
		}
	}
	return resp, err
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

// pulled answers what was found, as much of it as fits in the view that was asked
// for: it was counted by the size in which events are kept. The rest is given
// back, and all of it when nobody waits for the answer any more.
func (s *subscriptionService) pulled(ctx context.Context, id string, found []subscription.Delivery, view hookstreamv1.EventView, maxBytes int) (*hookstreamv1.PullResponse, error) {
	b := newDeliveryBatch(found, view, maxBytes)
	s.giveBack(ctx, id, found[b.len():])
	out, err := b.pull()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		s.giveBack(ctx, id, found[:b.len()])
		return nil, err
	}
	return out, nil
}

// giveBackTime bounds how long it may take to give back what is not answered.
const giveBackTime = 5 * time.Second

// giveBack releases what is not answered. It reached nobody.
func (s *subscriptionService) giveBack(ctx context.Context, id string, all []subscription.Delivery) {
	if len(all) == 0 {
		return
	}
	var back []subscription.Settlement
	for _, d := range all {
		back = append(back, subscription.Settlement{Token: d.Token, Verdict: subscription.Release, Unsent: true})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTime)
	defer cancel()
	s.manager.Settle(ctx, id, back)
}
