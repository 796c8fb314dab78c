package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const idleStreams = 10_000

func idleScenarios() []Scenario {
	return []Scenario{{
		Name:    fmt.Sprintf("idle/%d", idleStreams),
		About:   "memory and goroutines of a stream that waits for events which do not come",
		Measure: measureIdle,
	}}
}

func measureIdle(ctx context.Context, b *Bench) (Result, error) {
	g, err := b.startStreamGateway(ctx, "--pprof-addr", anyPort)
	if err != nil {
		return Result{}, err
	}
	n := b.some(idleStreams)
	before, err := g.steady(ctx)
	if err != nil {
		return Result{}, err
	}
	subs, err := load.NewSubscribers(g.GRPC, int(n))
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = subs.Close() }()
	if err := openIdle(ctx, subs, n); err != nil {
		return Result{}, err
	}
	after, err := g.steady(ctx)
	if err != nil {
		return Result{}, err
	}
	each := func(what func(footprint) float64) float64 { return (what(after) - what(before)) / float64(n) }
	return Result{
		Figures: []Figure{
			{Name: "resident memory of a stream", Value: each(footprint.residentKiB), Unit: "KiB", Target: AtMost(40)},
			{Name: "heap and stacks of a stream", Value: each(footprint.inUseKiB), Unit: "KiB"},
			{Name: "goroutines of a stream", Value: each(footprint.running)},
		},
		Notes: []string{fmt.Sprintf("%d streams, after the gateway has collected its garbage", n)},
	}, nil
}

// openIdle opens n streams and reads until each has caught up.
func openIdle(ctx context.Context, subs *load.Subscribers, n int64) error {
	var work errgroup.Group
	work.SetLimit(64)
	for range n {
		work.Go(func() error {
			st, err := subs.Open(ctx, load.Frames, fromNowOn(hookstreamv1.EventView_EVENT_VIEW_TYPED))
			if err != nil {
				return err
			}
			for range 2 { // opened, caught up
				if err := st.Next(); err != nil {
					return fmt.Errorf("bench: subscribe: %w", err)
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// A footprint is what a gateway holds.
type footprint struct{ inUse, resident, goroutines float64 }

func (f footprint) inUseKiB() float64    { return f.inUse / (1 << 10) }
func (f footprint) residentKiB() float64 { return f.resident / (1 << 10) }
func (f footprint) running() float64     { return f.goroutines }

// steady answers what the gateway holds once it has collected its garbage.
func (g *Gateway) steady(ctx context.Context) (footprint, error) {
	for range 2 { // what the first collection finds, the second frees
		if err := g.collect(ctx); err != nil {
			return footprint{}, err
		}
	}
	now, err := scrape(ctx, g.HTTP)
	if err != nil {
		return footprint{}, err
	}
	v, err := now.need("go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes", "process_resident_memory_bytes", "go_goroutines")
	if err != nil {
		return footprint{}, err
	}
	return footprint{inUse: v[0] + v[1], resident: v[2], goroutines: v[3]}, nil
}

// collect makes the gateway collect its garbage: a heap profile can ask for it.
func (g *Gateway) collect(ctx context.Context) error {
	if g.PProf == "" {
		return pause(ctx, time.Second)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.PProf+"/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("bench: collect garbage: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("bench: collect garbage: %s", resp.Status)
	}
	return nil
}
