package subscription_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// BenchmarkAcknowledged measures events that are handed out and whose
// acknowledgement is confirmed, durable, a frame at a time, on an embedded
// engine.
func BenchmarkAcknowledged(b *testing.B) {
	for _, consumers := range []int{1, 10} {
		for name, ordering := range map[string]subscription.Ordering{"unordered": subscription.Unordered, "by entity": subscription.OrderByEntity} {
			b.Run(fmt.Sprintf("%s/consumers=%d", name, consumers), func(b *testing.B) {
				acknowledge(b, ordering, consumers)
			})
		}
	}
}

func acknowledge(b *testing.B, ordering subscription.Ordering, consumers int) {
	e := openEngine(b, options(b, b.TempDir()))
	g := openGateway(b, e, "a")
	fill(b, e.Events(), b.N)
	if _, err := g.Create(b.Context(), "crm", subscription.Settings{Ordering: ordering, MaxOutstandingEvents: 5000}, subscription.Position{Earliest: true}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var done atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range consumers {
		wg.Go(func() {
			_ = g.Attach(ctx, "crm", subscription.ConsumerOptions{}, func(f subscription.Frame) error {
				words := make([]subscription.Settlement, len(f.Deliveries))
				for i, d := range f.Deliveries {
					words[i] = subscription.Settlement{Token: d.Token, Verdict: subscription.Ack}
				}
				for _, r := range g.Settle(ctx, "crm", words) {
					if r.Outcome != subscription.Done {
						b.Errorf("outcome %d", r.Outcome)
					}
				}
				if done.Add(int64(len(words))) >= int64(b.N) {
					cancel()
				}
				return nil
			})
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(done.Load())/b.Elapsed().Seconds(), "events/s")
}

// fill appends n events of 1 KB about a thousand entities.
func fill(b *testing.B, l eventlog.Log, n int) {
	body := make([]byte, 1024)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				data, err := event.Encode(&hookstreamv1.Event{
					Source: "sources/billing", Provider: "yousign", Topic: "signer", Action: "done", Type: "signer.done",
					Entity: fmt.Sprintf("signature_requests/%d", i%1000),
				}, &hookstreamv1.RawRequest{Body: body})
				if err == nil {
					_, err = l.Append(b.Context(), eventlog.Entry{Source: "billing", Topic: "signer", Action: "done", DedupKey: fmt.Sprint(i), Data: data})
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
