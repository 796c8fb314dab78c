package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// uninformed is the engine of a gateway that does not hear of changes for a while: what
// tells it of them has died with a node.
type uninformed struct {
	subscription.Engine
	deaf  sync.Mutex // held while nothing is heard
	asked atomic.Int64
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

func (b uninformedBucket) Now(ctx context.Context, key string) (eventlog.Change, error) {
	defer b.u.asked.Add(1)
	return b.Bucket.Now(ctx, key)
}

// openUninformed opens a gateway that hears nothing of what follows until hear is called,
// once it knows the subscription.
func openUninformed(t *testing.T, r *rig, sub *subscription.Subscription) (_ *gateway, u *uninformed, hear func()) {
	u = &uninformed{Engine: subscription.On(queue.On(r.b.engine))}
	g := openGatewayOn(t, r.b.engine, subscription.Options{Gateway: "uninformed", Engine: u})
	waitFor(t, "the subscription there", func() bool { _, err := g.Get(sub.ID); return err == nil })
	u.deaf.Lock()
	hear = sync.OnceFunc(u.deaf.Unlock)
	t.Cleanup(hear)
	return g, u, hear
}

// A queue that is not there was deleted by whoever sought the subscription. A gateway
// that has not heard of that does not begin it anew: everything that was acknowledged
// would be handed out once more. It asks, and goes on with what is in force.
func TestAGatewayThatHeardOfNoSeekBeginsNothingAnew(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		for _, ordering := range []subscription.Ordering{subscription.Unordered, subscription.OrderByEntity} {
			id := map[subscription.Ordering]string{subscription.Unordered: "unordered", subscription.OrderByEntity: "ordered"}[ordering]
			sub := r.create(id, subscription.Settings{Ordering: ordering})
			g, _, _ := openUninformed(t, r, sub)
			r.publishN(3)
			first := pull(t, r.a, id, 3)
			ack(t, r.a, first...)
			if _, err := r.a.Seek(t.Context(), id, "", subscription.Position{}); err != nil {
				t.Fatal(err)
			}
			last := r.publish("", "")
			got := pull(t, g, id, 1)
			if seqs := seqsOf(got); !slices.Equal(seqs, []uint64{last}) {
				t.Errorf("%s: %v were handed out, and only %d was not acknowledged", id, seqs, last)
			}
			ack(t, g, got...)
		}
	})
}

// So it is with a subscription that was deleted.
func TestAGatewayThatHeardOfNoDeletionBeginsNothingAnew(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		sub := r.create("crm", subscription.Settings{})
		g, u, _ := openUninformed(t, r, sub)
		r.publishN(3)
		ack(t, r.a, pull(t, r.a, "crm", 3)...)
		if err := r.a.Delete(t.Context(), "crm", ""); err != nil {
			t.Fatal(err)
		}
		s := attach(g, "crm", subscription.ConsumerOptions{}, nil)
		waitFor(t, "an end, or a delivery", func() bool {
			_, err := g.Get("crm")
			return s.count() > 0 || err != nil && u.asked.Load() > 0
		})
		s.stop()
		if got := s.deliveries(); len(got) > 0 {
			t.Errorf("%v were handed out of a subscription that is deleted", seqsOf(got))
		}
		names, err := queue.On(r.b.engine).QueueNames(t.Context(), "sub-"+sub.UID)
		if err != nil || len(names) > 0 {
			t.Errorf("the queue is there again: %v, %v", names, err)
		}
	})
}

// Nor does who seeks make a queue of a generation that others have left behind. It
// learns of what they did, and moves on from there.
func TestWhoHeardOfNoSeekSeeksFromWhereItIs(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		sub := r.create("crm", subscription.Settings{})
		g, _, hear := openUninformed(t, r, sub)
		for range 2 {
			if _, err := r.a.Seek(t.Context(), "crm", "", subscription.Position{Earliest: true}); err != nil {
				t.Fatal(err)
			}
		}
		sought := make(chan int)
		go func() {
			now, err := g.Seek(context.WithoutCancel(t.Context()), "crm", "", subscription.Position{Earliest: true})
			if err != nil {
				t.Error(err)
				sought <- 0
				return
			}
			sought <- now.Generation
		}()
		waitFor(t, "what is in force there", func() bool { now, err := g.Get("crm"); return err == nil && now.Generation >= 3 })
		hear()
		if n := <-sought; n != 4 {
			t.Errorf("generation %d follows 3", n)
		}
		names, err := queue.On(r.b.engine).QueueNames(t.Context(), "sub-"+sub.UID)
		if err != nil || len(names) != 1 {
			t.Errorf("queues of generations that are over: %v, %v", names, err)
		}
	})
}

// A subscription that was made, changed or deleted through another gateway is found,
// changed and made again through one that hears of nothing, at once.
func TestAGatewayThatHearsNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *rig) {
		known := r.create("known", subscription.Settings{})
		g, u, _ := openUninformed(t, r, known)
		ctx := t.Context()
		create := func(id string) *subscription.Subscription {
			sub, err := r.a.Create(ctx, id, subscription.Settings{}, subscription.Position{Earliest: true})
			if err != nil {
				t.Fatal(err)
			}
			return sub
		}
		r.publish("", "")
		uses := map[string]func(id string) error{
			"pull": func(id string) error {
				got, err := g.Pull(ctx, id, subscription.ConsumerOptions{}, 30*time.Second)
				if err == nil && len(got) != 1 {
					err = fmt.Errorf("%d deliveries", len(got))
				}
				return err
			},
			"subscribe": func(id string) error {
				ctx, cancel := context.WithCancel(ctx)
				err := g.Attach(ctx, id, subscription.ConsumerOptions{}, func(subscription.Frame) error { cancel(); return nil })
				if errors.Is(err, context.Canceled) {
					return nil
				}
				return err
			},
			"state":  func(id string) error { _, err := g.State(ctx, id); return err },
			"parked": func(id string) error { _, _, err := g.ListParked(ctx, id, 1, ""); return err },
			"purge": func(id string) error {
				_, err := g.PurgeParked(ctx, id, subscription.Selection{All: true}, false)
				return err
			},
			"replay": func(id string) error {
				_, err := g.ReplayParked(ctx, id, subscription.Selection{All: true}, false)
				return err
			},
			"update": func(id string) error {
				_, err := g.Update(ctx, id, "", func(s *subscription.Settings) error { s.MaxAttempts = 3; return nil })
				return err
			},
			"preview": func(id string) error {
				_, err := g.Preview(ctx, id, "", func(s *subscription.Settings) error { s.MaxAttempts = 3; return nil })
				return err
			},
			"seek":   func(id string) error { _, err := g.Seek(ctx, id, "", subscription.Position{}); return err },
			"pause":  func(id string) error { _, err := g.Pause(ctx, id, ""); return err },
			"resume": func(id string) error { _, err := g.Resume(ctx, id, ""); return err },
			"delete": func(id string) error { return g.Delete(ctx, id, "") },
			"ensure": func(id string) error {
				sub, made, err := g.Ensure(ctx, id, subscription.Settings{}, subscription.Position{})
				if err == nil && (made || sub.ID != id) {
					err = fmt.Errorf("%s made %t", sub.ID, made)
				}
				return err
			},
		}
		for what, use := range uses {
			create(what)
			if err := use(what); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		// An etag that another gateway gave.
		paused, err := r.a.Pause(ctx, known.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		if now, err := g.Resume(ctx, known.ID, paused.Etag); err != nil || now.Paused {
			t.Errorf("resumed with the etag of another gateway: %v", err)
		}
		if now, err := g.Get(known.ID); err != nil || now.Paused {
			t.Errorf("resumed, and not in force: %v", err)
		}
		// What was deleted elsewhere is in nobody's way.
		if err := r.a.Delete(ctx, known.ID, ""); err != nil {
			t.Fatal(err)
		}
		again, made, err := g.Ensure(ctx, known.ID, subscription.Settings{}, subscription.Position{Earliest: true})
		if err != nil || !made || again.UID == known.UID {
			t.Fatalf("ensured what was deleted: made %t, %v", made, err)
		}
		if err := g.Delete(ctx, known.ID, ""); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the deletion there", func() bool { _, err := r.a.Get(known.ID); return err != nil })
		last := create(known.ID)
		ack(t, g, pull(t, g, known.ID, 1)...)
		if now, err := g.Get(known.ID); err != nil || now.UID != last.UID {
			t.Errorf("what was made anew is not what is known: %v", err)
		}
		// What there never was costs one question, however often it is asked for.
		before := u.asked.Load()
		var strangers sync.WaitGroup
		for range 50 {
			strangers.Go(func() {
				if _, err := g.State(ctx, "none"); !errors.Is(err, subscription.ErrNotFound) {
					t.Errorf("what there never was: %v", err)
				}
			})
		}
		strangers.Wait()
		if n := u.asked.Load() - before; n > 25 {
			t.Errorf("%d questions for 50 that asked at the same time", n)
		}
	})
}
