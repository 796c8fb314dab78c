package hub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// Many readers begin anywhere while the log is written, and cross from history
// into live events: each gets every event once, in every view at the same time.
func TestCrossingFromHistoryToLive(t *testing.T) {
	t.Run("memory", func(t *testing.T) { cross(t, newLog()) })
	t.Run("embedded", func(t *testing.T) {
		o := jetstream.DefaultOptions()
		o.Dir = t.TempDir()
		cross(t, logtest.Open(t, o).Events())
	})
}

func cross(t *testing.T, l eventlog.Log) {
	const old, live, readers = 1500, 1500, 24
	put(t, l, numbered(old)...)
	h := running(t, newHub(t, l, func(o *Options) { o.RingEvents = 256 }))
	var wg sync.WaitGroup
	for n := range readers {
		wg.Go(func() {
			after := event.Cursor{Incarnation: l.Incarnation(), Seq: rand.Uint64N(old)}
			r := request(t, h, func(r *Request) { r.Start.After, r.View = &after, views[n%len(views)] })
			if err := crossing(t, h, r, after.Seq+1, old+live); err != nil {
				t.Errorf("reader %d from %d: %v", n, after.Seq, err)
			}
		})
	}
	for range 3 {
		wg.Go(func() { put(t, l, numbered(live/3)...) })
	}
	wg.Wait()
}

// crossing reads from next to last and wants every event once.
func crossing(t *testing.T, h *Hub, r Request, next, last uint64) error {
	err := h.Stream(t.Context(), r, func(f Frame) error {
		for _, d := range decodeFrame(t, f).deliveries {
			if err := wantEvent(d.Event, event.Name(h.inc, next), r.View); err != nil {
				return err
			}
			if next++; next > last {
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return fmt.Errorf("ended with %w", err)
}

func wantEvent(e *hookstreamv1.Event, name string, view hookstreamv1.EventView) error {
	typed := view == hookstreamv1.EventView_EVENT_VIEW_TYPED || view == hookstreamv1.EventView_EVENT_VIEW_FULL
	raw := view == hookstreamv1.EventView_EVENT_VIEW_RAW || view == hookstreamv1.EventView_EVENT_VIEW_FULL
	if e.Name != name || (e.GetYousign().GetEventId() != "") != typed || (len(e.GetRaw().GetBody()) > 0) != raw {
		return fmt.Errorf("want %s in %s, got %v", name, view, e)
	}
	return nil
}
