package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/hookstream/hookstream/bench/baseline"
)

// RunBaseline is the process of a baseline: args are its name and what it wants
// to know. Where it listens it says on out.
func RunBaseline(ctx context.Context, args []string, out io.Writer) error {
	if _, ok := baseline.HTTP[args[0]]; ok {
		return baseline.RunHTTP(ctx, args, out)
	}
	if _, ok := baseline.Streams[args[0]]; ok {
		return baseline.RunStreams(ctx, args, out)
	}
	if args[0] == ignisignAPI {
		return serveIgnisign(ctx, out)
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
