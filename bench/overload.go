package bench

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/bench/load"
)

func loadScenarios() []Scenario {
	return []Scenario{
		{
			Name:    "load/half",
			About:   "latency of ingest at half of what 64 connections reach, counted from the moment a request is due",
			Measure: halfLoad,
		},
		{
			Name:    "load/double",
			About:   "requests at twice the rate that 256 connections reach, from 4,096 connections, and the time after that",
			Measure: overload,
		},
	}
}

// Limits of what a sender sees.
const (
	halfLoadP99 = 50.0    // ms
	senderWaits = 1_000.0 // ms: the shortest timeout of a sender, Yousign's
)

func halfLoad(ctx context.Context, b *Bench) (Result, error) {
	g, path, err := b.gatewayWithSource(ctx)
	if err != nil {
		return Result{}, err
	}
	posts := g.sender.posts(g.Ingress, path, "1KB", 64)
	capacity, err := b.capacity(ctx, g, posts)
	if err != nil {
		return Result{}, err
	}
	posts.Rate = capacity.Rate() / 2
	r, err := b.Hold(ctx, Contest{Subject: Contender{Name: "gateway, half load", Process: g.Process, Round: func(ctx context.Context, span time.Duration) (Sample, error) {
		return AllAccepted(ctx, g.Process, posts, span)
	}}})
	if err != nil {
		return r, err
	}
	r.Figures = []Figure{
		{Name: "capacity", Value: capacity.Rate(), Unit: "/s"},
		{Name: "offered", Value: posts.Rate, Unit: "/s"},
		{Name: "p99 at half load", Value: r.Rows[0].P99, Unit: "ms", Target: AtMost(halfLoadP99)},
	}
	return r, nil
}

// capacity is what a gateway reaches that has run for a while: a fresh one is
// slower.
func (b *Bench) capacity(ctx context.Context, g *Gateway, posts load.Posts) (Sample, error) {
	if s, err := AllAccepted(ctx, g.Process, posts, b.Span); err != nil {
		return s, err
	}
	return AllAccepted(ctx, g.Process, posts, b.Span)
}

func (b *Bench) gatewayWithSource(ctx context.Context) (*Gateway, string, error) {
	g, err := b.StartGateway(ctx, "")
	if err != nil {
		return nil, "", err
	}
	path, err := g.Create(ctx, "bench")
	return g, path, err
}

// What happens in an overload.
const (
	overloadFactor      = 2
	overloadConnections = 4096
	overloadSpan        = 10 * time.Second
	recoverySpan        = 3 * time.Second
)

func overload(ctx context.Context, b *Bench) (Result, error) {
	g, path, err := b.gatewayWithSource(ctx)
	if err != nil {
		return Result{}, err
	}
	capacity, err := b.capacity(ctx, g, g.sender.posts(g.Ingress, path, "1KB", 256))
	if err != nil {
		return Result{}, err
	}
	r := Result{Figures: []Figure{{Name: "capacity", Value: capacity.Rate(), Unit: "/s"}}}
	flood, err := b.flood(ctx, g, path, capacity.Rate()*overloadFactor)
	r.Figures = append(r.Figures, flood...)
	if err != nil {
		return r, err
	}
	after, err := b.recover(ctx, g, path, capacity.Rate()/2)
	r.Figures = append(r.Figures, after...)
	return r, errors.Join(err, g.Died())
}

func (b *Bench) flood(ctx context.Context, g *Gateway, path string, rate float64) ([]Figure, error) {
	posts := g.sender.posts(g.Ingress, path, "1KB", b.few(overloadConnections, 256))
	posts.Rate = rate
	span := overloadSpan
	if b.Quick {
		span = b.Span
	}
	s, answers, err := post(ctx, g.Process, posts, span)
	if err == nil {
		err = answers.Unexpected(http.StatusOK, http.StatusServiceUnavailable, http.StatusTooManyRequests)
	}
	if err != nil {
		return nil, err
	}
	peak := unknown
	if _, most, err := g.Memory(); err == nil {
		peak = float64(most) / (1 << 20)
	}
	return []Figure{
		{Name: "due", Value: rate, Unit: "/s"},
		{Name: "answered", Value: perSecond(answers.All(), s.Took), Unit: "/s"},
		{Name: "answered 200", Value: s.Rate(), Unit: "/s"},
		{Name: "share of 503 and 429", Value: answers.Only(http.StatusServiceUnavailable, http.StatusTooManyRequests)},
		{Name: "of these without Retry-After", Value: float64(answers.WithoutRetryAfter), Target: AtMost(0)},
		{Name: "p99 of accepted, from the write", Value: milliseconds(answers.Served.Quantile(0.99)), Unit: "ms", Target: AtMost(senderWaits)},
		{Name: "p99 of accepted, from when it was due", Value: milliseconds(answers.Accepted.Quantile(0.99)), Unit: "ms"},
		{Name: "peak memory", Value: peak, Unit: "MiB"},
	}, nil
}

// recover posts at a rate that the gateway can bear, and answers how long it
// still refused.
func (b *Bench) recover(ctx context.Context, g *Gateway, path string, rate float64) ([]Figure, error) {
	posts := g.sender.posts(g.Ingress, path, "1KB", 64)
	posts.Rate = rate
	begin := time.Now()
	var refused atomic.Int64 // since begin, the last time
	posts.OnAnswer = func(_ []byte, status int, at time.Time) {
		if status != http.StatusOK {
			refused.Store(int64(at.Sub(begin)))
		}
	}
	span := recoverySpan
	if b.Quick {
		span = b.Span
	}
	run, err := posts.Start(ctx)
	if err != nil {
		return nil, err
	}
	err = recordLater(ctx, run, span)
	answers, failed := run.Stop()
	return []Figure{
		{Name: "refuses after that, at half load, for", Value: milliseconds(time.Duration(refused.Load())), Unit: "ms"},
		{Name: "p99 at half load after that", Value: milliseconds(answers.Accepted.Quantile(0.99)), Unit: "ms", Target: AtMost(halfLoadP99)},
	}, errors.Join(err, failed)
}

// recordLater counts the second half of a span.
func recordLater(ctx context.Context, run *load.Run, span time.Duration) error {
	if err := pause(ctx, span/2); err != nil {
		return err
	}
	run.Record(true)
	defer run.Record(false)
	return pause(ctx, span/2)
}
