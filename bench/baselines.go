package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/hookstream/hookstream/bench/baseline"
	"github.com/hookstream/hookstream/simulator"
)

// RunBaseline is the process of a baseline: args are its name and what it wants
// to know. Where it listens it says on out.
func RunBaseline(ctx context.Context, senders []simulator.Played, args []string, out io.Writer) error {
	if _, ok := baseline.HTTP[args[0]]; ok {
		return baseline.RunHTTP(ctx, args, out)
	}
	if _, ok := baseline.Streams[args[0]]; ok {
		return baseline.RunStreams(ctx, args, out)
	}
	if args[0] == lenderProcess && len(args) == 2 {
		return serveLender(ctx, senders, args[1], out)
	}
	return fmt.Errorf("bench: no such baseline: %s", args[0])
}

// StartBaseline runs a baseline that serves until the scenario is done, and
// answers where.
func (b *Bench) StartBaseline(ctx context.Context, args ...string) (*Process, baseline.Ready, error) {
	var at baseline.Ready
	p, err := b.Start(ctx, func(line []byte) bool {
		return json.Unmarshal(line, &at) == nil && (at.GRPC != "" || at.HTTP != "")
	}, append([]string{"bench", "baseline"}, args...)...)
	return p, at, err
}

// readByBaseline runs a baseline that reads a log and is done, in a process of
// its own, and requires that it reads want events.
func (b *Bench) readByBaseline(ctx context.Context, want int64, args ...string) (Sample, error) {
	cmd := exec.CommandContext(ctx, b.Executable, append([]string{"bench", "baseline"}, args...)...) //nolint:gosec // our own executable
	cmd.Env, cmd.SysProcAttr = environment(os.Environ()), alone()
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		return Sample{}, fmt.Errorf("%w: %s", err, bytes.TrimSpace(problem.Bytes()))
	}
	var got baseline.Replay
	if err := json.Unmarshal(out, &got); err != nil {
		return Sample{}, err
	}
	if got.Events != want {
		return Sample{}, fmt.Errorf("%d events, want %d", got.Events, want)
	}
	return Sample{Events: got.Events, Took: got.Took, CPU: unknown}, nil
}
