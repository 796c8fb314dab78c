package server

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// uninformed is the engine of a gateway that does not hear of changes while deaf is held.
type uninformed struct {
	subscription.Engine
	deaf sync.Mutex
}

func (u *uninformed) Bucket(ctx context.Context, name string) (eventlog.Bucket, error) {
	b, err := u.Engine.Bucket(ctx, name)
	return uninformedBucket{b, u}, err
}

type uninformedBucket struct {
	eventlog.Bucket
	u *uninformed
}

func (b uninformedBucket) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	return b.Bucket.Watch(ctx, func(c eventlog.Change) {
		b.u.deaf.Lock()
		defer b.u.deaf.Unlock()
		fn(c)
	}, ready)
}

// What was handed out of a subscription on another gateway is acknowledged here, by gRPC
// and by REST, though this gateway has not heard of the subscription yet.
func TestAcknowledgeWhatWasNotHeardOf(t *testing.T) {
	u := new(uninformed)
	w := startSubscriptionsWith(t, subscription.Options{Engine: u})
	other, err := subscription.Open(t.Context(), subscription.Options{Engine: subscription.On(queue.On(w.engine)), Hub: w.runHub()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	u.deaf.Lock()
	defer u.deaf.Unlock()
	w.put(1)
	handedOut := func(id string) (name, token string) {
		if _, err := other.Create(t.Context(), id, subscription.Settings{}, subscription.Position{Earliest: true}); err != nil {
			t.Fatal(err)
		}
		for {
			got, err := other.Pull(t.Context(), id, subscription.ConsumerOptions{}, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) > 0 {
				return "subscriptions/" + id, got[0].Token
			}
		}
	}
	name, token := handedOut("grpc")
	resp, err := w.subs.Acknowledge(t.Context(), acksOf(name, token))
	if err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, resp.GetResults(), 1, hookstreamv1.AckOutcome_ACK_OUTCOME_DONE)
	name, token = handedOut("rest")
	code, _, body := w.do(t, http.MethodPost, "/v1/"+name+":acknowledge", fmt.Sprintf(`{"settlements": [{"ackToken": %q, "verdict": "VERDICT_ACK"}]}`, token))
	if code != http.StatusOK || !strings.Contains(body, `"ACK_OUTCOME_DONE"`) {
		t.Errorf("by REST: %d, %s", code, body)
	}
}
