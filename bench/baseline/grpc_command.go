package baseline

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
)

// Streams lists the baselines of the way out, and what RunStreams wants to know
// for each.
var Streams = map[string]string{
	"grpc-send":            "FILE",
	"grpc-framed":          "FILE",
	"grpc-naive":           "",
	"jetstream":            "DIR FILTER",
	"jetstream-ack":        "DIR CONSUMERS",
	"jetstream-double-ack": "DIR CONSUMERS",
}

// A Ready is what a baseline that serves says when it does: addresses as
// host:port.
type Ready struct {
	GRPC string `json:"grpc"`
	HTTP string `json:"http,omitempty"`
}

// RunStreams runs the baseline that args name, as a process of its own. What it
// has to say is one line of JSON on out: Ready for one that serves until ctx
// ends, Replay for one that reads and is done.
func RunStreams(ctx context.Context, args []string, out io.Writer) error {
	kind, args := args[0], args[1:]
	switch {
	case kind == "grpc-send" && len(args) == 1:
		return serveFile(ctx, out, ServeSend, args[0])
	case kind == "grpc-framed" && len(args) == 1:
		return serveFile(ctx, out, ServeFramed, args[0])
	case kind == "grpc-naive" && len(args) == 0:
		return serveNaive(ctx, out)
	case kind == "jetstream" && len(args) == 2:
		r, err := ReplayJetStream(ctx, args[0], args[1])
		return sayReplay(out, r, err)
	case kind == "jetstream-ack" && len(args) == 2:
		return consume(ctx, out, Acked, args[0], args[1])
	case kind == "jetstream-double-ack" && len(args) == 2:
		return consume(ctx, out, DoubleAcked, args[0], args[1])
	}
	return fmt.Errorf("baseline: no such baseline: %s with %d arguments", kind, len(args))
}

func consume(ctx context.Context, out io.Writer, settle Settle, dir, consumers string) error {
	n, err := strconv.Atoi(consumers)
	if err != nil {
		return fmt.Errorf("baseline: consumers: %w", err)
	}
	r, err := ConsumeJetStream(ctx, dir, n, settle)
	return sayReplay(out, r, err)
}

func sayReplay(out io.Writer, r Replay, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func serveFile(ctx context.Context, out io.Writer, serve func(context.Context, net.Listener, string) error, file string) error {
	lis, err := loopback(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = lis.Close() }()
	if err := json.NewEncoder(out).Encode(Ready{GRPC: lis.Addr().String()}); err != nil {
		return err
	}
	return serve(ctx, lis, file)
}

func serveNaive(ctx context.Context, out io.Writer) error {
	posts, err := loopback(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = posts.Close() }()
	streams, err := loopback(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = streams.Close() }()
	if err := json.NewEncoder(out).Encode(Ready{GRPC: streams.Addr().String(), HTTP: posts.Addr().String()}); err != nil {
		return err
	}
	return ServeNaive(ctx, posts, streams)
}

// loopback is any free port of this machine: it queues callers from the moment
// it is bound.
func loopback(ctx context.Context) (net.Listener, error) {
	lis, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	return lis, nil
}
