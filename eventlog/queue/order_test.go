package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// What a pinned queue hands out arrives in that order, however much is asked for
// meanwhile: the order of an entity rests on it.
func TestPinnedQueueKeepsItsOrder(t *testing.T) {
	t.Parallel()
	p := newPinned(t)
	p.queue.MaxHeld = 5000
	if err := p.e.MakeQueue(t.Context(), p.queue); err != nil {
		t.Fatal(err)
	}
	const events = 2000
	var last uint64
	all, bad := make(chan struct{}), 0
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := p.e.Pull(p.queue, p.e.Pin(p.queue), func(h queue.Hand) {
		if h.Turn != last+1 {
			bad++
		}
		if last = max(last, h.Turn); last == events {
			close(all)
		}
	}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Stop()
	go func() {
		for ctx.Err() == nil {
			for n := 1; n <= 64; n *= 2 {
				out.FillNow(n)
			}
			time.Sleep(100 * time.Microsecond)
		}
	}()
	entries := make([]eventlog.Entry, 0, events)
	for n := range events {
		entries = append(entries, logtest.Entry("a", n))
	}
	for _, e := range entries {
		if _, err := p.e.Events().Append(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-all:
	case <-ctx.Done():
		t.Fatalf("%d of %d came", last, events)
	}
	cancel()
	if bad > 0 {
		t.Errorf("%d of %d messages came out of order", bad, events)
	}
}
