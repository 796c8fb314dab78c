package server

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
)

// BenchmarkRareInALongLog reads one event in a thousand out of a log of as many as
// HOOKSTREAM_REPLAY_EVENTS says, 200,000 unless it says, with the history's help and
// without it. An operation is one replay of all.
func BenchmarkRareInALongLog(b *testing.B) {
	events, err := strconv.ParseInt(os.Getenv("HOOKSTREAM_REPLAY_EVENTS"), 10, 64)
	if err != nil {
		events = 200_000
	}
	o := jetstream.DefaultOptions()
	o.Dir, o.Durability = b.TempDir(), jetstream.DurabilityRelaxed
	engine := logtest.Open(b, o)
	log := engine.Events()
	putMany(b, log, events)
	store, err := history.Open(b.TempDir(), log.Incarnation(), uint64(events), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	began, cpu := time.Now(), cpuTime()
	go store.Follow(ctx, log)
	for store.Applied() < uint64(events) {
		time.Sleep(time.Millisecond)
	}
	b.Logf("the history is made of %d events in %s, %s of processor time", events, time.Since(began), cpuTime()-cpu)
	for _, line := range []string{"nowhere", "-common", `cel:event.source == "nothing"`} {
		wordsFound(b, log, store, events, line)
	}
	for name, index := range map[string]hub.Index{"history": store.Finder, "none": nil} {
		b.Run(name, func(b *testing.B) {
			var used time.Duration
			for range b.N {
				h, err := hub.New(hub.Options{Log: log, Index: index, Holes: engine.Holes})
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(b.Context())
				go func() { _ = h.Run(ctx) }()
				cpu := cpuTime()
				if n := rare(b, h); n != events/1000 {
					b.Fatalf("%d events", n)
				}
				used += cpuTime() - cpu
				cancel()
			}
			b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
		})
	}
}

// wordsFound measures how far two seconds reach that look for a word, which is nowhere.
func wordsFound(b *testing.B, log eventlog.Log, store *history.Store, events int64, line string) {
	h, err := hub.New(hub.Options{Log: log})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	go func() { _ = h.Run(ctx) }()
	service, err := NewEventService(EventServiceOptions{Hub: h, History: store})
	if err != nil {
		b.Fatal(err)
	}
	began, cpu := time.Now(), cpuTime()
	page, err := service.ListEvents(ctx, &hookstreamv1.ListEventsRequest{Filter: line})
	took, used := time.Since(began), cpuTime()-cpu
	if err != nil {
		b.Fatal(err)
	}
	first := uint64(1)
	if page.SearchTime != nil {
		if first, err = log.SeqAt(ctx, page.SearchTime.AsTime()); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%s: %d events back in %s, %s of processor time, %d found", line, uint64(events)-first+1, took, used, len(page.Events))
}

// putMany appends small events, of which one in a thousand is of another type.
func putMany(b *testing.B, log eventlog.Log, events int64) {
	var n atomic.Int64
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := n.Add(1); i <= events; i = n.Add(1) {
				topic := "common"
				if i%1000 == 500 {
					topic = "rare"
				}
				data, err := event.Encode(&hookstreamv1.Event{
					Source: "sources/billing", Provider: "yousign", Topic: topic, Action: "done", Type: topic + ".done",
				}, &hookstreamv1.RawRequest{Body: fmt.Appendf(nil, `{"n":%d}`, i), ContentType: "application/json"})
				if err == nil {
					_, err = log.Append(context.Background(), eventlog.Entry{Source: "billing", Topic: topic, Action: "done", DedupKey: fmt.Sprint(i), Data: data})
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// rare replays what is rare and answers how many came.
func rare(b *testing.B, h *hub.Hub) (n int64) {
	s, err := h.CompileSelector(&hookstreamv1.EventSelector{Types: []string{"rare.done"}})
	if err != nil {
		b.Fatal(err)
	}
	err = h.Stream(b.Context(), hub.Request{
		Selector: s, View: hookstreamv1.EventView_EVENT_VIEW_METADATA, Start: hub.Start{Earliest: true}, Stop: hub.Stop{AtHead: true},
		BatchEvents: 256, BatchBytes: 256 << 10, Heartbeat: time.Minute, Opened: new(hookstreamv1.Opened),
	}, func(f hub.Frame) error { n += int64(len(f.Deliveries)); return nil })
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
