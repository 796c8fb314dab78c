package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A latency scenario posts at a fixed rate while streams are open.
type latency struct {
	name    string
	streams int64
	rate    float64 // 0: half of what the gateway can take
}

func latencyScenarios() (all []Scenario) {
	for _, l := range []latency{{"half/1", 1, 0}, {"half/10", 10, 0}, {"1000/100", 100, 1000}} {
		rate := "half of what the gateway can take"
		if l.rate > 0 {
			rate = fmt.Sprintf("%.0f a second", l.rate)
		}
		all = append(all, Scenario{
			Name:    "latency/" + l.name,
			About:   fmt.Sprintf("time from the sender's 200 until each of %d streams has the event; events are due at %s", l.streams, rate),
			Measure: l.measure,
		})
	}
	return all
}

// capacityPosts are posted twice before: to warm the gateway up, and to see what
// it can take.
const capacityPosts = 30_000

func (l latency) measure(ctx context.Context, b *Bench) (Result, error) {
	g, err := b.startStreamGateway(ctx)
	if err != nil {
		return Result{}, err
	}
	var took time.Duration
	for range 2 {
		if took, err = postAll(ctx, g.sender.batch(g.Ingress, g.path, b.some(capacityPosts))); err != nil {
			return Result{}, err
		}
	}
	capacity := perSecond(b.some(capacityPosts), took)
	if l.rate == 0 || l.rate > capacity/2 {
		l.rate = capacity / 2
	}
	r, err := b.Hold(ctx, Contest{Subject: Contender{Name: "gateway", Process: g.Process, Round: func(ctx context.Context, span time.Duration) (Sample, error) {
		return l.round(ctx, g, span)
	}}})
	if err == nil {
		r.Figures = append(r.Figures, Figure{Name: "p99 of the gateway", Value: r.Rows[0].P99, Unit: "ms", Target: AtMost(10)})
		r.Notes = append(r.Notes, fmt.Sprintf("%.0f posts a second were due; closed loop reached %.0f", l.rate, capacity))
	}
	return r, err
}

func (l latency) round(ctx context.Context, g streamGateway, span time.Duration) (Sample, error) {
	subs, err := load.NewSubscribers(g.GRPC, int(l.streams))
	if err != nil {
		return Sample{}, err
	}
	defer func() { _ = subs.Close() }()
	watch := newStopwatch()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	work, ctx := errgroup.WithContext(ctx)
	n := max(fillConnections, int64(l.rate*span.Seconds()))
	server := g.server(load.Watched(watch.receive), fromNowOn(hookstreamv1.EventView_EVENT_VIEW_METADATA))
	opened := new(errgroup.Group)
	for range l.streams {
		st, err := subs.Open(ctx, server.shape, server.req)
		if err != nil {
			return Sample{}, err
		}
		opened.Go(st.Opened)
		work.Go(func() error { return st.Until(n) })
	}
	if err := opened.Wait(); err != nil {
		return Sample{}, err
	}
	p := g.sender.batch(g.Ingress, g.path, n)
	p.Rate, p.OnSend = l.rate, watch.send
	p.OnAnswer = func(id []byte, status int, at time.Time) {
		if status == http.StatusOK {
			watch.answer(id, at)
		}
	}
	begin, cpu := time.Now(), stopCPU(g.Process)
	work.Go(func() error {
		_, err := postAll(ctx, p)
		return err
	})
	err = work.Wait()
	t := subs.Tally()
	sample := streamSample(t, time.Since(begin), cpu())
	sample.Latency = watch.histogram()
	sample.Figures = append(sample.Figures, Figure{Name: "p99.9 of the gateway", Value: milliseconds(sample.Latency.Quantile(0.999)), Unit: "ms"})
	if got, want := sample.Latency.Count(), n*l.streams; err == nil && got != want {
		err = fmt.Errorf("bench: %d receipts of events that were answered, want %d", got, want)
	}
	return sample, errors.Join(err, exact(t))
}
