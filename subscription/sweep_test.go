package subscription_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// What a deletion left behind that failed halfway is removed: queues, parked
// deliveries, replayed ones. What a gateway only has not heard of stays.
func TestSweep(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		for _, id := range []string{"gone", "overlooked"} {
			r.create(id, subscription.Settings{})
		}
		r.publishN(3)
		for _, id := range []string{"gone", "overlooked"} {
			for _, d := range pull(t, r.a, id, 3) {
				if o := settle(t, r.a, subscription.Settlement{Token: d.Token, Verdict: subscription.Park}).Outcome; o != subscription.Parked {
					t.Fatalf("outcome %d", o)
				}
			}
			one := subscription.Selection{IDs: []string{waitParked(t, r.a, id, 3)[0].ID}}
			if n, err := r.a.ReplayParked(ctx, id, one, false); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := r.a.LeaveBehind(ctx, "gone"); err != nil {
			t.Fatal(err)
		}
		r.a.Overlook("overlooked")
		if err := r.a.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		parked, err := queue.On(r.b.engine).OpenParked(ctx)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := r.b.Get("overlooked")
		if err != nil {
			t.Fatal(err)
		}
		if owners, err := parked.Owners(ctx); err != nil || len(owners) != 1 || owners[0] != kept.UID {
			t.Errorf("owners of parked deliveries: %v, %v; want %s", owners, err, kept.UID)
		}
		for _, list := range []func() ([]string, error){
			func() ([]string, error) { return queue.On(r.b.engine).QueueNames(ctx, "sub-") },
			func() ([]string, error) { return parked.QueueNames(ctx, "sub-") },
		} {
			if names, err := list(); err != nil || len(names) != 1 {
				t.Errorf("queues: %v, %v", names, err)
			}
		}
		waitParked(t, r.b, "overlooked", 2)
	})
}

// A form that a newer gateway wrote is no deletion: what was read last goes on,
// nothing is removed, and nobody writes over it here.
func TestAFormThatCannotBeRead(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		sub := r.create("crm", subscription.Settings{})
		r.create("other", subscription.Settings{})
		bucket, err := r.a.engine.Bucket(ctx, "SUBSCRIPTIONS")
		if err != nil {
			t.Fatal(err)
		}
		revision := latest(t, bucket, "crm").Revision
		if _, err := bucket.Update(ctx, "crm", []byte(`{"uid": {"form": 2}}`), revision); err != nil {
			t.Fatal(err)
		}
		if _, err := bucket.Create(ctx, "new", []byte(`{"ordering": "BY_MOON"}`)); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the new form", func() bool { _, err := r.a.Get("new"); return errors.Is(err, subscription.ErrUnreadable) })
		if got, err := r.a.Get("crm"); err != nil || got.UID != sub.UID {
			t.Fatalf("%+v, %v", got, err)
		}
		r.publishN(1)
		ack(t, r.a, pull(t, r.a, "crm", 1)...)
		short, cancel := contextFor(t, 20*time.Second)
		defer cancel()
		for what, err := range map[string]error{
			"pause":  second(r.a.Pause(short, "crm", "")),
			"delete": r.a.Delete(short, "crm", ""),
			"create": second(r.a.Create(short, "new", subscription.Settings{}, subscription.Position{})),
			"ensure": third(r.a.Ensure(short, "new", subscription.Settings{}, subscription.Position{})),
			"pull":   second(r.a.Pull(short, "new", subscription.ConsumerOptions{}, time.Second)),
		} {
			if !errors.Is(err, subscription.ErrUnreadable) {
				t.Errorf("%s: %v", what, err)
			}
		}
		// Without a queue of its own it may own any.
		r.a.Overlook("other")
		if err := r.a.Sweep(ctx); err != nil {
			t.Error(err)
		}
		if names, err := queue.On(r.a.engine).QueueNames(ctx, "sub-"); err != nil || len(names) != 2 {
			t.Errorf("queues: %v, %v", names, err)
		}
	})
}

func latest(t *testing.T, b eventlog.Bucket, key string) (out eventlog.Change) {
	t.Helper()
	if err := b.Latest(t.Context(), 0, func(c eventlog.Change) {
		if c.Key == key {
			out = c
		}
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func second[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }
