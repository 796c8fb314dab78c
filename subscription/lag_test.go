package subscription_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hookstream/hookstream/subscription"
)

// What was acknowledged, and confirmed, is not outstanding to who asks next.
func TestStateAfterAcknowledgement(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		r.publishN(50)
		for i := range 8 {
			id := fmt.Sprint("crm", i)
			ordering := []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity}[i%2]
			r.create(id, subscription.Settings{Ordering: ordering})
			for left := 50; left > 0; {
				got, err := r.a.Pull(t.Context(), id, subscription.ConsumerOptions{MaxEvents: left}, 5*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				ack(t, r.a, got...)
				if left -= len(got); left > 0 {
					continue
				}
				s, err := r.a.State(t.Context(), id)
				if err != nil || s.Outstanding > 0 || s.Backlog > 0 {
					t.Errorf("%s: %+v, %v, when all are acknowledged", id, s, err)
				}
			}
		}
	})
}
