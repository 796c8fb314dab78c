package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// What is not used must not cost: a gateway that has much of it competes with one
// that has nothing. noise is what two equal gateways may differ by.
const noise = 0.95

// asideConnections is how many connections post meanwhile.
const asideConnections = 64

func asideScenarios() []Scenario {
	return []Scenario{
		{
			Name:    "ingest/idle-streams",
			About:   "ingest of a gateway with 1,000 streams that wait for a type that does not come, against one with none",
			Measure: ingestBesideStreams,
		},
		{
			Name:    "ingest/sources",
			About:   "ingest of a gateway with 10,000 sources, 64 of them in use, against one with a single source",
			Measure: ingestAmongSources,
		},
	}
}

func ingestBesideStreams(ctx context.Context, b *Bench) (Result, error) {
	streams := b.few(1000, 50)
	return b.aside(ctx, fmt.Sprintf("%d idle streams", streams), "none", func(ctx context.Context, g *Gateway) ([]string, error) {
		if err := b.openIdle(ctx, g, streams, 0); err != nil {
			return nil, err
		}
		return g.createMany(ctx, 1)
	})
}

func ingestAmongSources(ctx context.Context, b *Bench) (Result, error) {
	sources := b.few(10_000, 200)
	return b.aside(ctx, fmt.Sprintf("%d sources", sources), "one", func(ctx context.Context, g *Gateway) ([]string, error) {
		return g.createMany(ctx, sources)
	})
}

// few is a number that --quick makes smaller.
func (b *Bench) few(whole, quick int) int {
	if b.Quick {
		return quick
	}
	return whole
}

// aside compares a gateway that load prepares with one that nobody did. load
// answers paths to post to.
func (b *Bench) aside(ctx context.Context, with, without string, prepare func(context.Context, *Gateway) ([]string, error)) (Result, error) {
	loaded, err := b.StartGateway(ctx, "")
	if err != nil {
		return Result{}, err
	}
	paths, err := prepare(ctx, loaded)
	if err != nil {
		return Result{}, err
	}
	plain, err := b.StartGateway(ctx, "")
	if err != nil {
		return Result{}, err
	}
	path, err := plain.createMany(ctx, 1)
	if err != nil {
		return Result{}, err
	}
	return b.Hold(ctx, Contest{
		Subject:   asideContender(with, loaded, paths),
		Baselines: []Contender{asideContender(without, plain, path)},
		Targets:   map[string]float64{without: noise},
		WarmUp:    true,
		Times:     5, // the median of nine rounds was 0.91 and, right after, of fifteen 0.97
	})
}

func asideContender(name string, g *Gateway, paths []string) Contender {
	return Contender{Name: name, Process: g.Process, Round: func(ctx context.Context, span time.Duration) (Sample, error) {
		next := 0
		posts := load.Posts{Addr: g.Ingress, Connections: asideConnections, Requests: func() (load.Requests, error) {
			// A connection has a source of its own, far from those of the others.
			path := paths[next*len(paths)/asideConnections]
			next++
			return g.sender.requests(g.Ingress, path, g.sender.benchmark.Types[typeOften], "1KB")
		}}
		return AllAccepted(ctx, g.Process, posts, span)
	}}
}

// createMany makes sources, and answers the paths to post to.
func (g *Gateway) createMany(ctx context.Context, n int) ([]string, error) {
	paths := make([]string, n)
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(32)
	for i := range paths {
		work.Go(func() (err error) {
			paths[i], err = g.Create(ctx, fmt.Sprintf("bench-%d", i))
			return err
		})
	}
	return paths, work.Wait()
}

// openIdle opens streams on which nothing but heartbeats comes, until the
// scenario is done. Heartbeats come at the gateway's own interval when it is 0.
func (b *Bench) openIdle(ctx context.Context, g *Gateway, n int, heartbeat time.Duration) error {
	subs, err := load.NewSubscribers(g.GRPC, n)
	if err != nil {
		return err
	}
	b.OnClose(subs.Close)
	req := &hookstreamv1.SubscribeRequest{Selector: &hookstreamv1.EventSelector{Types: []string{"nobody.comes"}}}
	if heartbeat > 0 {
		req.HeartbeatInterval = durationpb.New(heartbeat)
	}
	opening, _ := errgroup.WithContext(ctx)
	opening.SetLimit(64)
	for range n {
		opening.Go(func() error {
			st, err := subs.Open(ctx, load.Frames, req)
			if err != nil {
				return err
			}
			go func() { _ = st.Drain() }() // until subs.Close
			return st.Opened()
		})
	}
	return errors.Join(opening.Wait(), g.Died())
}
