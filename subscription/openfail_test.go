package subscription_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/subscription"
	"github.com/hookstream/hookstream/subscription/memengine"
)

var errBroken = errors.New("broken")

// brokenAt fails the n-th thing that a manager asks of its engine and its bucket.
type brokenAt struct {
	*memengine.Engine
	left *int
}

func (b brokenAt) broken() error {
	if *b.left--; *b.left == 0 {
		return errBroken
	}
	return nil
}

func (b brokenAt) OpenAcks(ctx context.Context) (subscription.Journal, error) {
	if err := b.broken(); err != nil {
		return nil, err
	}
	return b.Engine.OpenAcks(ctx)
}

func (b brokenAt) OpenAttempts(ctx context.Context, heard func(queue.Attempted)) (subscription.Attempts, error) {
	if err := b.broken(); err != nil {
		return nil, err
	}
	return b.Engine.OpenAttempts(ctx, heard)
}

func (b brokenAt) OpenParked(ctx context.Context) (subscription.Parking, error) {
	if err := b.broken(); err != nil {
		return nil, err
	}
	return b.Engine.OpenParked(ctx)
}

func (b brokenAt) Bus(gateway string) (subscription.Bus, error) {
	if err := b.broken(); err != nil {
		return nil, err
	}
	return b.Engine.Bus(gateway)
}

func (b brokenAt) WatchDropped(fn func(string, uint64)) (func(), error) {
	if err := b.broken(); err != nil {
		return nil, err
	}
	return b.Engine.WatchDropped(fn)
}

func (b brokenAt) Bucket(ctx context.Context, name string) (eventlog.Bucket, error) {
	if err := b.broken(); err != nil {
		return nil, err
	}
	bucket, err := b.Engine.Bucket(ctx, name)
	return brokenBucket{bucket, b}, err
}

type brokenBucket struct {
	eventlog.Bucket
	at brokenAt
}

func (b brokenBucket) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	if err := b.at.broken(); err != nil {
		return err
	}
	return b.Bucket.Watch(ctx, fn, ready)
}

func (b brokenBucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	if key == subscription.KeyLives {
		return 0, errBroken // which is no reason not to open
	}
	if err := b.at.broken(); err != nil {
		return 0, err
	}
	return b.Bucket.Create(ctx, key, value)
}

// Whatever fails while a manager opens is what Open answers, and nothing of it goes
// on. That its life cannot be counted, as on a full disk, is no failure.
func TestOpenFails(t *testing.T) {
	const steps = 8 // those above
	for n := 1; n <= steps+1; n++ {
		synctest.Test(t, func(t *testing.T) {
			store := emptyMemory(1, true).store
			engine := store.Engine()
			defer store.Close()
			defer engine.Close()
			h, err := hub.New(hub.Options{Log: store.Log()})
			if err != nil {
				t.Fatal(err)
			}
			left := n
			m, err := subscription.Open(t.Context(), subscription.Options{Engine: brokenAt{engine, &left}, Hub: h})
			if n > steps && err == nil {
				m.Close()
				return
			}
			if !errors.Is(err, errBroken) {
				t.Errorf("step %d: %v", n, err)
			}
		})
	}
}
