package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// replayEvents are in the log that is read.
const replayEvents = 300_000

// catchUpEvents of them are read by many streams at once.
const catchUpEvents = 60_000

// A replay has streams read the log from its beginning to its end, which a
// gateway does that was just started and has none of it in memory.
type replay struct {
	streams int64
	view    hookstreamv1.EventView
	filter  streamFilter
	part    int64   // a stream ends after so many deliveries; 0: with the log
	target  float64 // deliveries per second
}

func replayScenarios() (all []Scenario) {
	alone := map[hookstreamv1.EventView]float64{
		hookstreamv1.EventView_EVENT_VIEW_METADATA: 250_000,
		hookstreamv1.EventView_EVENT_VIEW_TYPED:    100_000,
	}
	for _, filter := range streamFilters {
		for _, view := range streamViews[:2] {
			r := replay{streams: 1, view: view, filter: filter}
			if filter.all {
				r.target = alone[view]
			}
			all = append(all, Scenario{
				Name:    fmt.Sprintf("replay/%s/%s", filter.name, viewName(view)),
				About:   fmt.Sprintf("one stream reads a log of %d events; selector: %s, view %s", replayEvents, filter.name, viewName(view)),
				Measure: r.measure,
			})
		}
	}
	catchUp := replay{
		streams: 100, view: hookstreamv1.EventView_EVENT_VIEW_TYPED, filter: streamFilters[0],
		part: catchUpEvents, target: 700_000,
	}
	return append(all, Scenario{
		Name:    "catchup/100",
		About:   fmt.Sprintf("100 streams read the oldest %d events of a log at once, without a gap or a repetition; view TYPED", catchUpEvents),
		Measure: catchUp.measure,
	})
}

func (r replay) measure(ctx context.Context, b *Bench) (Result, error) {
	dir, err := b.oldLog(ctx)
	if err != nil {
		return Result{}, err
	}
	c := Contest{Subject: Contender{Name: "gateway", Round: func(ctx context.Context, _ time.Duration) (Sample, error) {
		return r.gateway(ctx, b, dir)
	}}}
	if r.streams == 1 {
		c.Baselines = []Contender{{Name: jetStream, Round: func(ctx context.Context, _ time.Duration) (Sample, error) {
			return b.readByBaseline(ctx, r.filter.matches(b.some(replayEvents)), jetStream, dir, r.filter.subject(b.sender()))
		}}}
	}
	result, err := b.Hold(ctx, c)
	if err != nil {
		return result, err
	}
	if r.target > 0 {
		result.Figures = append(result.Figures, Figure{Name: "rate of the gateway", Value: result.Rows[0].Rate, Unit: "deliveries/s", Target: AtLeast(r.target)})
	}
	result.Notes = append(result.Notes, fmt.Sprintf("the log holds %d events, and the gateway was started for each round", b.some(replayEvents)))
	if r.streams == 1 {
		result.Notes = append(result.Notes, jetStream+" is its ordered consumer in the process of the log, without any network")
	}
	return result, nil
}

func (r replay) gateway(ctx context.Context, b *Bench, dir string) (Sample, error) {
	g, err := b.StartGateway(ctx, dir)
	if err != nil {
		return Sample{}, err
	}
	receive, each := (*load.Stream).Drain, r.filter.matches(b.some(replayEvents))
	if r.part > 0 {
		each = b.some(r.part)
		receive = func(st *load.Stream) error { return st.Until(each) }
	}
	profiled := b.profile(ctx, g.Process) // of every round: each has a gateway of its own
	t, sample, err := g.server(load.Frames, history(r.view, r.filter.types(g.sender)...)).once(ctx, r.streams, receive)
	profiled()
	_, sample.Peak, _ = g.Memory() // elsewhere than on Linux it is not known
	// Who does not read to the end has what else was in the last message.
	if want := r.streams * each; err == nil && (t.Deliveries < want || r.part == 0 && t.Deliveries > want) {
		err = fmt.Errorf("bench: %d deliveries, want %d", t.Deliveries, want)
	}
	if !r.filter.all {
		t.Missed = 0 // what the filter passes over
	}
	return sample, errors.Join(err, exact(t), g.Stop())
}

// oldLog answers the data directory of a gateway that does not run, with events in
// its log. It is made once in a run, and shared by scenarios.
func (b *Bench) oldLog(ctx context.Context) (string, error) {
	dir := filepath.Join(filepath.Dir(b.Dir), "old-log")
	_, err := os.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	filling := b.Path("old-log")
	// Whether a power cut would lose them does not matter here.
	g, err := b.StartGateway(ctx, filling, "--durability", "relaxed")
	if err != nil {
		return "", err
	}
	path, err := g.Create(ctx, streamSource)
	if err != nil {
		return "", err
	}
	if _, err := postAll(ctx, g.sender.batch(g.Ingress, path, b.some(replayEvents))); err != nil {
		return "", err
	}
	if err := g.Stop(); err != nil {
		return "", err
	}
	return dir, os.Rename(filling, dir)
}
