package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// keep has the log keep that many events.
func keep(n int64) func(*jetstream.Options) {
	return func(o *jetstream.Options) { o.MaxEvents = n }
}

// What the log dropped before a subscription had settled it is told to whoever
// consumes it, whatever it consumes by, once and in the state.
func TestAGapIsToldInEveryForm(t *testing.T) {
	w := startSubscriptions(t, keep(10))
	for i, by := range ways {
		id := fmt.Sprintf("by-%d", i)
		w.create(id, &hookstreamv1.Subscription{})
		w.create(id+"-ordered", &hookstreamv1.Subscription{Ordering: hookstreamv1.Ordering_ORDERING_BY_ENTITY})
		t.Logf("%s is for %s", id, by.name)
	}
	w.put(60)
	for i, by := range ways {
		for _, ordering := range []string{"", "-ordered"} {
			t.Run(by.name+ordering, func(t *testing.T) {
				name := fmt.Sprintf("subscriptions/by-%d%s", i, ordering)
				eventually(t, "the state has the gap", func() bool { return w.state(name).GetMissedEvents() == 50 })
				p := w.open(t, by, w.addrs(), &hookstreamv1.SubscribeRequest{Subscription: name})
				missed, got := int64(0), 0
				var resumed *timestamppb.Timestamp
				for got < 10 || missed < 50 {
					f, err := p.next()
					if err != nil {
						t.Fatal(err)
					}
					missed += f.GetGap().GetMissedEvents()
					if f.GetGap() != nil {
						resumed = f.GetGap().GetResumeTime()
					}
					got += len(f.GetBatch().GetDeliveries())
					if ds := f.GetBatch().GetDeliveries(); len(ds) > 0 {
						w.ack(name, ds)
					}
				}
				if missed != 50 || got != 10 {
					t.Errorf("told of %d missed events and handed %d", missed, got)
				}
				if resumed == nil {
					t.Error("nobody is told when the gap ends")
				}
			})
		}
	}
}

// A record that the log has lost is told to every subscription that was not past it,
// whatever it consumes by and selects, once and in the state.
func TestAHoleIsToldInEveryForm(t *testing.T) {
	dir := t.TempDir()
	in := func(o *jetstream.Options) { o.Dir = dir }
	selects := func(typ string) *hookstreamv1.EventSelector { return &hookstreamv1.EventSelector{Types: []string{typ}} }
	kinds := []struct {
		name   string
		sub    *hookstreamv1.Subscription
		events int
	}{
		{"all", &hookstreamv1.Subscription{}, 7},
		{"a-type", &hookstreamv1.Subscription{Selector: selects("signature_request.done")}, 7},
		{"another-type", &hookstreamv1.Subscription{Selector: selects("signer.done")}, 0},
		{"ordered", &hookstreamv1.Subscription{Ordering: hookstreamv1.Ordering_ORDERING_BY_ENTITY}, 7},
		{"ordered-type", &hookstreamv1.Subscription{Ordering: hookstreamv1.Ordering_ORDERING_BY_ENTITY, Selector: selects("signature_request.done")}, 7},
	}
	t.Run("before", func(t *testing.T) {
		w := startSubscriptions(t, in)
		for _, k := range kinds {
			for i := range ways {
				w.create(fmt.Sprintf("%s-%d", k.name, i), k.sub)
			}
		}
		for n := range 8 {
			w.putEvent("open", "signature_request", "done", fmt.Sprintf(`{"n":%d}`, n))
		}
	})
	damageEvent(t, dir, `{"n":4}`)
	w := startSubscriptions(t, in)
	for _, k := range kinds {
		for i, by := range ways {
			t.Run(k.name+" by "+by.name, func(t *testing.T) {
				t.Parallel()
				name := fmt.Sprintf("subscriptions/%s-%d", k.name, i)
				eventually(t, "the state has the gap", func() bool { return w.state(name).GetMissedEvents() == 1 })
				p := w.open(t, by, w.addrs(), &hookstreamv1.SubscribeRequest{Subscription: name})
				missed, got := int64(0), 0
				for got < k.events || missed < 1 {
					f, err := p.next()
					if err != nil {
						t.Fatal(err)
					}
					missed += f.GetGap().GetMissedEvents()
					if f.GetGap() != nil && f.GetGap().GetResumeTime() == nil {
						t.Error("nobody is told when the gap ends")
					}
					got += len(f.GetBatch().GetDeliveries())
					if ds := f.GetBatch().GetDeliveries(); len(ds) > 0 {
						w.ack(name, ds)
					}
				}
				if missed != 1 || got != k.events || w.state(name).GetMissedEvents() != 1 {
					t.Errorf("told of %d missed events, handed %d, want %d", missed, got, k.events)
				}
			})
		}
	}
}

// damageEvent changes a byte of a body in the log, which nobody has open.
func damageEvent(t *testing.T, dir, body string) {
	t.Helper()
	blocks, err := filepath.Glob(filepath.Join(dir, "jetstream/$G/streams/HOOKSTREAM_EVENTS/msgs/*.blk"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range blocks {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(body)); at >= 0 {
			b[at+1] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no %s in %s", body, blocks)
}

// A stream without a subscription ends at a gap, or tells it, as it was asked.
func TestAGapOfAPlainStreamInEveryForm(t *testing.T) {
	dir := t.TempDir()
	in := func(o *jetstream.Options) { o.Dir, o.MaxEvents = dir, 10 }
	var cursor string
	t.Run("before", func(t *testing.T) {
		w := startSubscriptions(t, in)
		w.put(1)
		s := w.open(t, ways[0], w.addrs(), &hookstreamv1.SubscribeRequest{Start: earliest(), Stop: atHead()})
		for cursor == "" {
			f, err := s.next()
			if err != nil {
				t.Fatal(err)
			}
			if ds := f.GetBatch().GetDeliveries(); len(ds) > 0 {
				cursor = ds[0].GetCursor()
			}
		}
		w.put(60)
	})
	w := startSubscriptions(t, in) // which has nothing in memory
	for _, by := range ways {
		if by.pull {
			continue
		}
		t.Run(by.name, func(t *testing.T) {
			after := &hookstreamv1.SubscribeRequest_AfterCursor{AfterCursor: cursor}
			failing, err := by.open(t.Context(), w.addrs(), &hookstreamv1.SubscribeRequest{Start: after, Stop: atHead()})
			if err == nil {
				_, err = failing.next()
			}
			if err == nil || !strings.Contains(err.Error(), expiredMessage) {
				t.Errorf("over the gap without being asked: %v", err)
			}
			p := w.open(t, by, w.addrs(), &hookstreamv1.SubscribeRequest{
				Start: after, Stop: atHead(), OnCursorExpired: hookstreamv1.CursorExpiredPolicy_CURSOR_EXPIRED_POLICY_SKIP_TO_EARLIEST,
			})
			missed, got := int64(0), 0
			for {
				f, err := p.next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				missed += f.GetGap().GetMissedEvents()
				got += len(f.GetBatch().GetDeliveries())
			}
			if missed != 50 || got != 10 {
				t.Errorf("told of %d missed events and sent %d", missed, got)
			}
		})
	}
}
