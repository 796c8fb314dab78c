package bench

import (
	"context"
	"fmt"
	"time"
)

func idleCPUScenarios() []Scenario {
	return []Scenario{{
		Name:    "idle/cpu",
		About:   "CPU of a gateway to which nothing comes, with no streams and with 10,000 idle ones",
		Measure: idleCPU,
	}}
}

// How long an idle gateway is watched, and how long it may first calm down. Each
// stream gets one heartbeat meanwhile: three times as many as by default.
const (
	idleWatch  = 5 * time.Second
	idleSettle = time.Second
)

func idleCPU(ctx context.Context, b *Bench) (Result, error) {
	g, err := b.StartGateway(ctx, "")
	if err != nil {
		return Result{}, err
	}
	var r Result
	for _, streams := range []int{0, b.few(10_000, 100)} {
		if err := b.openIdle(ctx, g, streams, idleWatch); err != nil {
			return r, err
		}
		used, err := b.watchIdle(ctx, g)
		if err != nil {
			return r, err
		}
		f := Figure{Name: "CPU with no streams", Value: used, Unit: "ms/s"}
		if streams > 0 {
			f.Name, f.Unit = fmt.Sprintf("CPU with %d idle streams", streams), fmt.Sprintf("ms/s, heartbeats of %s", idleWatch)
		}
		r.Figures = append(r.Figures, f)
	}
	return r, nil
}

// watchIdle answers the milliseconds of CPU per second.
func (b *Bench) watchIdle(ctx context.Context, g *Gateway) (float64, error) {
	watch := idleWatch
	if b.Quick {
		watch = b.Span
	}
	if err := pause(ctx, min(idleSettle, watch)); err != nil {
		return 0, err
	}
	begin, cpu := time.Now(), stopCPU(g.Process)
	if err := pause(ctx, watch); err != nil {
		return 0, err
	}
	used := cpu()
	if used < 0 {
		return unknown, nil
	}
	return milliseconds(used) / time.Since(begin).Seconds(), nil
}
