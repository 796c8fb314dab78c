package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/bench/load"
)

func startScenarios() []Scenario {
	return []Scenario{{
		Name:    "start/killed",
		About:   "time until a gateway is ready that was killed with a million events in its log",
		Measure: startAfterKill,
	}}
}

// How many events the log gets, and how long a start may take for a million.
const (
	startEvents  = 1_000_000
	startTarget  = 2.5 // s
	fillInFlight = 256
)

func startAfterKill(ctx context.Context, b *Bench) (Result, error) {
	g, path, err := b.gatewayWithSource(ctx)
	if err != nil {
		return Result{}, err
	}
	begin := time.Now()
	events, err := fill(ctx, g, path, int64(b.few(startEvents, 20_000)))
	if err != nil {
		return Result{}, err
	}
	filled := time.Since(begin)
	g.Kill()
	begin = time.Now()
	again, err := b.StartGateway(ctx, g.DataDir)
	if err != nil {
		return Result{}, err
	}
	if err := again.AwaitReady(ctx); err != nil {
		return Result{}, err
	}
	took := time.Since(begin).Seconds()
	r := Result{Figures: []Figure{
		{Name: "events acknowledged before the kill", Value: float64(events), Unit: fmt.Sprintf("in %.0f s", filled.Seconds())},
		{Name: "ready again after", Value: took, Unit: "s"},
	}}
	if b.Quick {
		r.Notes = []string{"a small log says nothing about the time for a million events; run without --quick"}
		return r, nil
	}
	r.Figures = append(r.Figures, Figure{
		Name: "for a million", Value: took * 1e6 / float64(events), Unit: "s", Target: AtMost(startTarget),
	})
	return r, nil
}

// fill posts until n events are acknowledged, and answers how many are.
func fill(ctx context.Context, g *Gateway, path string, n int64) (int64, error) {
	run, err := g.sender.posts(g.Ingress, path, "1KB", fillInFlight).Start(ctx)
	if err != nil {
		return 0, err
	}
	err = awaitAccepted(ctx, g, run, n)
	if _, failed := run.Stop(); err == nil {
		err = failed
	}
	return run.Accepted(), err
}

func awaitAccepted(ctx context.Context, g *Gateway, run *load.Run, n int64) error {
	for run.Accepted() < n {
		if err := g.Died(); err != nil {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
