package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/bench/load"
)

// The baselines of the way in.
const (
	bareHTTP    = "http"
	groupCommit = "group-commit"
)

// ingestTargets are the least ratios of durable ingest of 1 KB.
var ingestTargets = map[int]map[string]float64{
	64:  {bareHTTP: 0.38, groupCommit: 0.75},
	256: {bareHTTP: 0.52, groupCommit: 0.75},
}

func ingestScenarios(s sender) []Scenario {
	var all []Scenario
	for _, durability := range []string{"sync", "relaxed"} {
		for _, size := range []string{"1KB", "5KB"} {
			for _, connections := range []int{1, 16, 64, 256} {
				all = append(all, ingest{s, durability, size, connections}.scenario())
			}
		}
	}
	return all
}

// ingest is verified, deduplicated, kept ingest of what is signed.
type ingest struct {
	sender           sender
	durability, size string
	connections      int
}

func (i ingest) scenario() Scenario {
	return Scenario{
		Name:    fmt.Sprintf("ingest/%s/%s/%s/c%d", i.sender.id(), i.durability, i.size, i.connections),
		About:   fmt.Sprintf("%d connections post signed events of %s as fast as they are answered; durability %s", i.connections, i.size, i.durability),
		Measure: i.measure,
	}
}

func (i ingest) measure(ctx context.Context, b *Bench) (Result, error) {
	g, err := b.StartGateway(ctx, "", "--durability", i.durability)
	if err != nil {
		return Result{}, err
	}
	path, err := g.Create(ctx, "bench")
	if err != nil {
		return Result{}, err
	}
	c := Contest{Subject: i.contender("gateway", g.Process, g.Ingress, path), WarmUp: true}
	if c.Baselines, err = i.baselines(ctx, b, path); err != nil {
		return Result{}, err
	}
	if i.durability == "sync" && i.size == "1KB" {
		c.Targets = ingestTargets[i.connections]
	}
	if c.Targets != nil {
		c.Times = 3
	}
	return b.Hold(ctx, c)
}

func (i ingest) baselines(ctx context.Context, b *Bench, path string) ([]Contender, error) {
	bare, bareAt, err := b.StartBaseline(ctx, bareHTTP)
	if err != nil {
		return nil, err
	}
	journal, journalAt, err := b.StartBaseline(ctx, groupCommit, b.Path("journal"))
	if err != nil {
		return nil, err
	}
	return []Contender{
		i.contender(bareHTTP, bare, bareAt.HTTP, path),
		i.contender(groupCommit, journal, journalAt.HTTP, path),
	}, nil
}

func (i ingest) contender(name string, p *Process, addr, path string) Contender {
	posts := i.sender.posts(addr, path, i.size, i.connections)
	return Contender{Name: name, Process: p, Round: func(ctx context.Context, span time.Duration) (Sample, error) {
		return AllAccepted(ctx, p, posts, span)
	}}
}

// AllAccepted posts for a span, after a tenth of it that is not counted, and
// requires that all is answered with 200.
func AllAccepted(ctx context.Context, p *Process, posts load.Posts, span time.Duration) (Sample, error) {
	s, answers, err := post(ctx, p, posts, span)
	if err == nil {
		err = answers.Unexpected(http.StatusOK)
	}
	return s, err
}

// post posts for a span, after a tenth of it that is not counted. CPU is that of
// the process, if there is one.
func post(ctx context.Context, p *Process, posts load.Posts, span time.Duration) (Sample, *load.Answers, error) {
	run, err := posts.Start(ctx)
	if err != nil {
		return Sample{}, nil, err
	}
	s, err := window(ctx, p, run, span)
	answers, failed := run.Stop()
	s.Events, s.Latency = answers.Statuses[http.StatusOK], &answers.Accepted
	return s, answers, errors.Join(err, failed)
}

// window records what a run does in a span.
func window(ctx context.Context, p *Process, run *load.Run, span time.Duration) (Sample, error) {
	if err := pause(ctx, max(span/10, 50*time.Millisecond)); err != nil {
		return Sample{}, err
	}
	begin, cpu := time.Now(), stopCPU(p)
	run.Record(true)
	err := pause(ctx, span)
	run.Record(false)
	return Sample{Took: time.Since(begin), CPU: cpu()}, err
}

// stopCPU begins to count a process's CPU, and answers how to end it: what was
// used meanwhile, negative when that is not known.
func stopCPU(p *Process) func() time.Duration {
	if p == nil {
		return func() time.Duration { return -1 }
	}
	before, err := p.CPU()
	return func() time.Duration {
		after, again := p.CPU()
		if err != nil || again != nil {
			return -1
		}
		return after - before
	}
}
