package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A live scenario posts a burst of events while streams are open.
type live struct {
	streams, burst int64
	view           hookstreamv1.EventView
}

func liveScenarios() (all []Scenario) {
	for _, l := range []live{
		{1, 10_000, hookstreamv1.EventView_EVENT_VIEW_TYPED},
		{10, 10_000, hookstreamv1.EventView_EVENT_VIEW_TYPED},
		{100, 10_000, hookstreamv1.EventView_EVENT_VIEW_TYPED},
		{1000, 2_000, hookstreamv1.EventView_EVENT_VIEW_TYPED},
		{1000, 2_000, hookstreamv1.EventView_EVENT_VIEW_METADATA},
	} {
		all = append(all, Scenario{
			Name:    fmt.Sprintf("live/%d/%s", l.streams, viewName(l.view)),
			About:   fmt.Sprintf("%d events are posted at once while %d streams are open, until the last has the last", l.burst, l.streams),
			Measure: l.measure,
		})
	}
	return all
}

func (l live) measure(ctx context.Context, b *Bench) (Result, error) {
	l.burst = b.some(l.burst)
	g, err := b.startStreamGateway(ctx)
	if err != nil {
		return Result{}, err
	}
	naive, at, err := b.StartBaseline(ctx, grpcNaive)
	if err != nil {
		return Result{}, err
	}
	r, err := b.Hold(ctx, Contest{
		Subject: l.contender("gateway", liveServer{g.server(load.Frames, fromNowOn(l.view)), g.sender, g.Ingress, g.path}),
		Baselines: []Contender{
			l.contender(grpcNaive, liveServer{streamServer{at.GRPC, naive, load.Plain, new(hookstreamv1.SubscribeRequest)}, g.sender, at.HTTP, "/"}),
		},
	})
	r.Notes = append(r.Notes,
		"CPU is what a delivery costs: that of the same burst with no stream open is taken off",
		grpcNaive+" verifies and keeps nothing, and sends each event as it came")
	return r, err
}

func (l live) contender(name string, s liveServer) Contender {
	return Contender{Name: name, Process: s.process, Round: func(ctx context.Context, _ time.Duration) (Sample, error) {
		return s.net(ctx, l.streams, l.burst)
	}}
}

// A liveServer takes posts and streams them.
type liveServer struct {
	streamServer
	sender      sender
	posts, path string
}

// net is a burst whose CPU is what the streams cost.
func (s liveServer) net(ctx context.Context, streams, n int64) (Sample, error) {
	alone := stopCPU(s.process)
	if _, err := postAll(ctx, s.sender.batch(s.posts, s.path, n)); err != nil {
		return Sample{}, err
	}
	without := alone()
	sample, err := s.burst(ctx, streams, n)
	if sample.CPU >= 0 {
		sample.CPU = max(0, sample.CPU-without)
	}
	return sample, err
}

// burst posts n events while streams are open, and answers what these received
// from the first post until the last stream had the last event.
func (s liveServer) burst(ctx context.Context, streams, n int64) (Sample, error) {
	subs, err := load.NewSubscribers(s.addr, int(streams))
	if err != nil {
		return Sample{}, err
	}
	defer func() { _ = subs.Close() }()
	work, ctx := errgroup.WithContext(ctx)
	opened := new(errgroup.Group)
	for range streams {
		st, err := subs.Open(ctx, s.shape, s.req)
		if err != nil {
			return Sample{}, err
		}
		opened.Go(st.Opened)
		work.Go(func() error { return st.Until(n) })
	}
	if err := opened.Wait(); err != nil {
		return Sample{}, err
	}
	begin, cpu := time.Now(), stopCPU(s.process)
	work.Go(func() error {
		_, err := postAll(ctx, s.sender.batch(s.posts, s.path, n))
		return err
	})
	err = work.Wait()
	t := subs.Tally()
	if want := streams * n; err == nil && t.Deliveries != want {
		err = fmt.Errorf("bench: %d deliveries, want %d", t.Deliveries, want)
	}
	return streamSample(t, time.Since(begin), cpu()), errors.Join(err, exact(t))
}
