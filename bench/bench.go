// Package bench measures a gateway on the machine it runs on: real processes,
// loopback between them, and each figure beside the limit that was measured in
// the same run. Ratios can be compared from day to day, absolute figures cannot.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/hookstream/hookstream/simulator"
)

// Options say what is measured, and how long.
type Options struct {
	// Executable is the program whose `serve` is measured: our own. Required.
	Executable string
	// Version is what the report calls it.
	Version string
	// Senders are those whose events are posted: the first one that signs by itself
	// wherever it does not matter whose. What needs one that there is not is left out
	// or fails.
	Senders []simulator.Played
	// Patterns select scenarios by name, as path.Match reads them; a * also
	// stands for what is below. All when empty.
	Patterns []string
	// Rounds is how often subject and baselines take turns. Each round gives a
	// ratio; the median of them is reported.
	Rounds int
	// Span is how long each is measured in a round.
	Span time.Duration
	// Quick makes scenarios that fill a log fill a smaller one. They say so.
	Quick bool
	// Dir is where data directories are made, and removed again; that of
	// temporary files when empty. On a file system in memory every sync is free.
	Dir string
	// ProfileDir is where profiles of the gateway are written to, of one round of
	// each scenario; none when empty.
	ProfileDir string
	// Say takes a line about what goes on. May be nil.
	Say func(format string, args ...any)
	// OnMachine is told of the machine before anything is measured. May be nil.
	OnMachine func(Machine)
	// OnResult is told of every scenario that is done. May be nil.
	OnResult func(Result)
}

// ErrNoScenario says that the patterns select nothing.
var ErrNoScenario = errors.New("bench: no scenario has such a name")

// Run measures the scenarios that are selected, one after the other. A scenario
// that cannot be measured is in the report with its error; Run's own error is
// that of a context that ended, or of a machine that cannot be used.
func Run(ctx context.Context, o Options) (Report, error) {
	chosen, err := Select(o.Senders, o.Patterns...)
	if err != nil {
		return Report{}, err
	}
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	dir, err := os.MkdirTemp(o.Dir, "hookstream-bench-")
	if err != nil {
		return Report{}, fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	r := Report{Version: o.Version, Begin: time.Now().UTC().Truncate(time.Second), Rounds: o.Rounds, Span: o.Span.String(), Quick: o.Quick}
	if r.Machine, err = inspect(dir); err != nil {
		return r, err
	}
	if o.OnMachine != nil {
		o.OnMachine(r.Machine)
	}
	for i, s := range chosen {
		o.Say("%d/%d %s", i+1, len(chosen), s.Name)
		result := s.run(ctx, o, filepath.Join(dir, fmt.Sprint(i)))
		if ctx.Err() != nil {
			return r, context.Cause(ctx)
		}
		r.Results = append(r.Results, result)
		if o.OnResult != nil {
			o.OnResult(result)
		}
	}
	return r, nil
}

// A Scenario is one thing that is measured.
type Scenario struct {
	// Name is a path: what is measured, then its parameters.
	Name string
	// About says it in a sentence.
	About string
	// Measure does it. All that it starts by b has ended when its result counts.
	Measure func(ctx context.Context, b *Bench) (Result, error)
}

// Select answers the scenarios that one of the patterns matches, in the order of
// the table; all when there are no patterns.
func Select(senders []simulator.Played, patterns ...string) ([]Scenario, error) {
	var chosen []Scenario
	for _, s := range Scenarios(senders) {
		ok, err := matchesAny(s.Name, patterns)
		if err != nil {
			return nil, err
		}
		if ok {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, ErrNoScenario
	}
	return chosen, nil
}

func matchesAny(name string, patterns []string) (bool, error) {
	if len(patterns) == 0 {
		return true, nil
	}
	for _, p := range patterns {
		// A pattern of a parent selects all below it.
		for n := name; n != "."; n = path.Dir(n) {
			ok, err := path.Match(p, n)
			if err != nil {
				return false, fmt.Errorf("bench: pattern %q: %w", p, err)
			}
			if ok {
				return true, nil
			}
		}
	}
	return false, nil
}

func (s Scenario) run(ctx context.Context, o Options, dir string) (result Result) {
	begin := time.Now()
	b := &Bench{Options: o, Dir: dir, name: s.Name}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		result, err = s.Measure(ctx, b)
		err = errors.Join(err, b.close(), os.RemoveAll(dir))
	}
	result.Scenario, result.About, result.Took = s.Name, s.About, time.Since(begin).Seconds()
	if err != nil {
		result.Error = err.Error()
	}
	return result
}
