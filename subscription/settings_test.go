package subscription_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hookstream/hookstream/subscription"
)

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// A longest back-off below the shortest is refused wherever settings come in;
// what was not set gives way.
func TestBackoffBounds(t *testing.T) {
	t.Parallel()
	r := embedded(t)
	ctx := t.Context()
	for name, c := range map[string]struct {
		min, max         time.Duration
		wantMin, wantMax time.Duration // 0: refused
	}{
		"both unset":     {0, 0, time.Second, 10 * time.Minute},
		"a long min":     {20 * time.Minute, 0, 20 * time.Minute, 20 * time.Minute},
		"a short max":    {0, 500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond},
		"equal":          {time.Minute, time.Minute, time.Minute, time.Minute},
		"no wait":        {subscription.NoBackoff, time.Second, subscription.NoBackoff, time.Second},
		"max below min":  {time.Minute, time.Second, 0, 0},
		"just below min": {time.Minute, time.Minute - 1, 0, 0},
	} {
		s := subscription.Settings{BackoffMin: c.min, BackoffMax: c.max}
		sub, err := r.a.Draft("some", s)
		if c.wantMax != 0 {
			if err != nil || sub.BackoffMin != c.wantMin || sub.BackoffMax != c.wantMax {
				t.Errorf("%s: %+v, %v", name, sub, err)
			}
			continue
		}
		r.create("crm", subscription.Settings{})
		change := func(to *subscription.Settings) error { to.BackoffMin, to.BackoffMax = c.min, c.max; return nil }
		for what, err := range map[string]error{
			"draft":   err,
			"create":  second(r.a.Create(ctx, "some", s, subscription.Position{})),
			"ensure":  third(r.a.Ensure(ctx, "some", s, subscription.Position{})),
			"again":   third(r.a.Ensure(ctx, "crm", s, subscription.Position{})),
			"update":  second(r.a.Update(ctx, "crm", "", change)),
			"preview": second(r.a.Preview(t.Context(), "crm", "", change)),
		} {
			var invalid *subscription.InvalidError
			if !errors.As(err, &invalid) || invalid.Violations[0].Field != "backoff_max" {
				t.Errorf("%s, %s: %v", name, what, err)
			}
		}
		if err := r.a.Delete(ctx, "crm", ""); err != nil {
			t.Fatal(err)
		}
	}
}
