package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/bench"
	"github.com/hookstream/hookstream/simulator"
)

type benchCommand struct {
	Run      benchRunCommand      `cmd:"" default:"withargs" hidden:"" help:"Measure."`
	Baseline benchBaselineCommand `cmd:"" hidden:"" help:"Be the process of a baseline; for bench itself."`
}

// benchRunCommand measures this gateway on this machine.
type benchRunCommand struct {
	Scenario      []string      `help:"Measure what this pattern matches: ingest/*/sync, or a name of --list; may be repeated." placeholder:"PATTERN"`
	List          bool          `help:"List the scenarios, and measure nothing."`
	Rounds        int           `help:"How often gateway and baselines take turns; medians are shown." default:"3" placeholder:"N"`
	RoundDuration time.Duration `help:"How long each of them is measured in a round." default:"1.5s" placeholder:"DURATION"`
	Quick         bool          `help:"One short round of everything, and small logs: to see that it works, not to compare."`
	JSON          string        `name:"json" help:"Write the report for tools too; - writes it to standard output, and the table to standard error." placeholder:"FILE|-"`
	Check         bool          `help:"Fail when a target is missed."`
	Dir           string        `help:"Where data directories are made, and removed again: on the disk that is to be measured." placeholder:"DIR"`
	ProfileDir    string        `help:"Write profiles of the gateway here: CPU, heap, mutexes and blocking." placeholder:"DIR"`
}

// The rounds of --quick.
const (
	quickRounds = 1
	quickSpan   = 300 * time.Millisecond
)

// Run measures and prints as it goes.
func (c *benchRunCommand) Run(ctx context.Context, p *program) error {
	if c.List {
		return c.list(p)
	}
	o, err := c.options(p)
	if err != nil {
		return err
	}
	table := p.stdout
	if c.JSON == "-" {
		table = p.stderr
	}
	bench.Report{Version: o.Version, Rounds: o.Rounds, Span: o.Span.String()}.WriteBegin(table)
	o.OnMachine = func(m bench.Machine) {
		fmt.Fprintf(table, "%s\n\n", m)
		bench.WriteColumns(table)
	}
	o.OnResult = func(r bench.Result) { r.Write(table) }
	report, err := bench.Run(ctx, o)
	if err != nil {
		return benchError(err)
	}
	if err := c.writeJSON(p.stdout, report); err != nil {
		return err
	}
	return c.verdict(report)
}

func (c *benchRunCommand) options(p *program) (bench.Options, error) {
	self, err := os.Executable()
	if err != nil {
		return bench.Options{}, err
	}
	if c.Rounds < 1 || c.RoundDuration <= 0 {
		return bench.Options{}, misused("--rounds and --round-duration must be positive")
	}
	o := bench.Options{
		Executable: self, Version: app.Version, Senders: benchSenders(), Patterns: c.Scenario, Rounds: c.Rounds, Span: c.RoundDuration,
		Quick: c.Quick, Dir: c.Dir, ProfileDir: c.ProfileDir,
	}
	if c.Quick {
		o.Rounds, o.Span = quickRounds, min(quickSpan, c.RoundDuration)
	}
	if isTerminal(p.stderr) {
		o.Say = p.say
	}
	return o, nil
}

func (c *benchRunCommand) list(p *program) error {
	chosen, err := bench.Select(benchSenders(), c.Scenario...)
	if err != nil {
		return benchError(err)
	}
	rows := make([][]string, len(chosen))
	for i, s := range chosen {
		rows[i] = []string{s.Name, s.About}
	}
	return writeTable(p.stdout, []string{"SCENARIO", "MEASURES"}, rows)
}

func (c *benchRunCommand) writeJSON(stdout io.Writer, r bench.Report) (err error) {
	switch c.JSON {
	case "":
		return nil
	case "-":
		return r.WriteJSON(stdout)
	}
	f, err := os.Create(c.JSON)
	if err != nil {
		return err
	}
	return errors.Join(r.WriteJSON(f), f.Close())
}

// verdict is an error for --check when a target was missed, and always when
// nothing could be measured.
func (c *benchRunCommand) verdict(r bench.Report) error {
	misses := r.Misses()
	if c.Check && len(misses) > 0 {
		return fmt.Errorf("%d targets were missed:\n  %s", len(misses), strings.Join(misses, "\n  "))
	}
	for _, result := range r.Results {
		if result.Error == "" {
			return nil
		}
	}
	return errors.New("nothing could be measured")
}

func benchError(err error) error {
	if errors.Is(err, bench.ErrNoScenario) {
		return usageError{hinted(errors.New("no scenario has such a name"), "hookstream bench --list lists them")}
	}
	return err
}

// benchBaselineCommand is one of the processes that bench compares with.
type benchBaselineCommand struct {
	Args []string `arg:"" help:"The name of the baseline, and what it wants to know."`
}

// Run serves until ctx ends.
func (c *benchBaselineCommand) Run(ctx context.Context, p *program) error {
	return bench.RunBaseline(ctx, benchSenders(), c.Args, p.stdout)
}

// benchSenders are all that can be played.
func benchSenders() (all []simulator.Played) {
	for _, k := range played() {
		all = append(all, k.Played)
	}
	return all
}
