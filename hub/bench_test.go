package hub

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/memlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// benchBody is about 1 KB, of which most is typed.
var benchBody = `{"eventId": "0f8fad5b", "signer": {"id": "s1", "signatureLink": "https://x"}, "rest": {"a": "` + strings.Repeat("x", 850) + `"}}`

func benchRecord(b *testing.B) event.Record {
	l := newLog()
	put(b, l, sample{body: benchBody})
	recs, err := l.Read(b.Context(), 1, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	return recs[0]
}

// BenchmarkFrame makes the bytes of a delivery, which happens once for each view.
func BenchmarkFrame(b *testing.B) {
	rec := benchRecord(b)
	h := newHub(b, newLog())
	for f := range formCount {
		name := []string{"Metadata", "Typed", "TypedRedacted", "Raw", "RawWithheld", "Full", "FullRedacted"}[f]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.framed(h.newEntry(rec, nil), f)
			}
		})
	}
}

// BenchmarkMiss is what an event costs a stream that does not want it.
func BenchmarkMiss(b *testing.B) {
	rec := benchRecord(b)
	h := newHub(b, newLog())
	e := h.newEntry(rec, nil)
	for name, in := range map[string]*hookstreamv1.EventSelector{
		"Route":        {Types: []string{"other.*", "*.nothing"}},
		"FilterPlain":  {Filter: `event.topic == "other"`},
		"FilterTyped":  {Filter: `event.yousign.event_id == "other"`},
		"FilterLooped": {Filter: `event.redacted_fields.exists(f, f == "other")`},
	} {
		s := &stream{hub: h, memo: make(map[*route]*routeMemo), req: request(b, h, func(r *Request) { r.Selector = selector(b, h, in) })}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := s.wants(context.Background(), e); ok {
					b.Fatal("it matches")
				}
			}
		})
	}
}

// BenchmarkFanOut hands live events to streams that take them at once; an
// operation is one delivery to one stream.
func BenchmarkFanOut(b *testing.B) {
	for _, streams := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			l := memlog.New(memlog.Options{Incarnation: testIncarnation, MaxRecords: 100_000})
			h := running(b, newHub(b, l))
			n := b.N/streams + 1
			var ready, done sync.WaitGroup
			for range streams {
				ready.Add(1)
				done.Go(func() {
					left := n
					_ = h.Stream(b.Context(), request(b, h), func(f Frame) error {
						if _, ok := f.Message.(*hookstreamv1.Opened); ok {
							ready.Done()
						}
						if left -= len(f.Deliveries); left == 0 {
							return errEnough
						}
						return nil
					})
				})
			}
			ready.Wait()
			b.ResetTimer()
			s := sample{body: benchBody}
			for range n {
				put(b, l, s)
			}
			done.Wait()
		})
	}
}

// BenchmarkCatchUp reads a history with a ring that does not hold it; an
// operation is one delivery to one stream.
func BenchmarkCatchUp(b *testing.B) {
	const events = 20_000
	for _, view := range views[:2] {
		for _, streams := range []int{1, 100} {
			b.Run(fmt.Sprintf("%s/%d", strings.TrimPrefix(view.String(), "EVENT_VIEW_"), streams), func(b *testing.B) {
				l := newLog()
				for range events {
					put(b, l, sample{body: benchBody})
				}
				h := running(b, newHub(b, l))
				b.ResetTimer()
				for left := b.N; left > 0; left -= events * streams {
					catchUp(b, h, streams, view)
				}
				b.ReportMetric(float64(h.Stats().Deliveries)/b.Elapsed().Seconds(), "deliveries/s")
			})
		}
	}
}

// BenchmarkCatchUpEmbedded reads a history of the real engine, each round with
// nothing in memory; an operation is one delivery to one stream.
func BenchmarkCatchUpEmbedded(b *testing.B) {
	const events = 50_000
	o := jetstream.DefaultOptions()
	o.Dir, o.Durability = b.TempDir(), jetstream.DurabilityRelaxed
	l := logtest.Open(b, o).Events()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range events / 50 {
				put(b, l, sample{body: benchBody})
			}
		})
	}
	wg.Wait()
	h := running(b, newHub(b, l))
	for _, streams := range []int{1, 100} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			before := h.Stats().Deliveries
			for left := b.N; left > 0; left -= events * streams {
				h.chunks.forget()
				catchUp(b, h, streams, hookstreamv1.EventView_EVENT_VIEW_METADATA)
			}
			b.ReportMetric(float64(h.Stats().Deliveries-before)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

func catchUp(b *testing.B, h *Hub, streams int, view hookstreamv1.EventView) {
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			r := request(b, h, earliest, atHead, func(r *Request) { r.View = view })
			if err := h.Stream(b.Context(), r, func(Frame) error { return nil }); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}
