package main

import (
	"context"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// ackWait bounds an acknowledgement.
const ackWait = 10 * time.Second

// ack acknowledges what was printed, also when ctx has ended meanwhile: it was
// seen. What cannot be acknowledged is printed again.
func (f *follower) ack(ctx context.Context) error {
	if len(f.unacked) == 0 {
		return nil
	}
	if err := f.syncOutput(); err != nil {
		return stopped{err}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackWait)
	defer cancel()
	resp, err := f.acks.Acknowledge(ctx, acks(f.request.GetSubscription(), f.unacked))
	f.unacked = nil
	if err != nil {
		return err
	}
	if err := settled(resp.GetResults()); err != nil {
		what, _ := explain(err)
		f.say("%s; the gateway hands these out again", what)
	}
	return nil
}

// acks says that deliveries are done with.
func acks(subscription string, tokens []string) *hookstreamv1.AcknowledgeRequest {
	return settlements(subscription, tokens, &hookstreamv1.Settlement{Verdict: hookstreamv1.Settlement_VERDICT_ACK})
}

// settlements says the same of all deliveries.
func settlements(subscription string, tokens []string, what *hookstreamv1.Settlement) *hookstreamv1.AcknowledgeRequest {
	req := &hookstreamv1.AcknowledgeRequest{Name: subscription}
	for _, token := range tokens {
		req.Settlements = append(req.Settlements, &hookstreamv1.Settlement{
			AckToken: token, Verdict: what.GetVerdict(), Delay: what.GetDelay(), Reason: what.GetReason(), Extension: what.GetExtension(),
		})
	}
	return req
}

// tellPhase says when a subscription begins or ceases to hand out.
func (f *follower) tellPhase(phase hookstreamv1.SubscriptionPhase) {
	if phase == f.phase {
		return
	}
	before := f.phase
	f.phase = phase
	switch phase {
	case hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_PAUSED:
		f.say("the subscription is paused")
	case hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_STANDING_BY:
		f.say("another gateway hands out; standing by")
	case hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_ACTIVE:
		if before != hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_UNSPECIFIED {
			f.say("the subscription hands out again")
		}
	}
}
