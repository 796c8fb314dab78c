package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/bench/baseline"
	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/simulator"
)

// TestMain lets the test binary be the executable whose processes are measured.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "serve" && os.Args[1] != "bench" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	var err error
	if os.Args[1] == "serve" {
		err = serve(ctx, os.Args[2:])
	} else {
		err = RunBaseline(ctx, senders(), os.Args[3:], os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve is `hookstream serve`, with the flags that scenarios give it.
func serve(ctx context.Context, args []string) error {
	o := app.DefaultOptions()
	o.Logger = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.StringVar(&o.IngressAddr, "ingress-addr", "", "")
	flags.StringVar(&o.GRPCAddr, "grpc-addr", "", "")
	flags.StringVar(&o.HTTPAddr, "http-addr", "", "")
	flags.StringVar(&o.DataDir, "data-dir", "", "")
	flags.StringVar(&o.Durability, "durability", o.Durability, "")
	flags.DurationVar(&o.DrainGrace, "drain-grace", 0, "")
	flags.Int64Var(&o.MinFreeBytes, "min-free-bytes", 0, "")
	flags.String("log-format", "", "")
	flags.String("pprof-addr", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	gateway, err := app.New(ctx, o)
	if err != nil {
		return err
	}
	return gateway.Run(ctx)
}

// senders are those of the list.
func senders() (all []simulator.Played) {
	set, err := app.Providers()
	if err != nil {
		panic(err) // it is compiled in
	}
	for _, p := range set.All() {
		if played, ok := p.(simulator.Played); ok {
			all = append(all, played)
		}
	}
	return all
}

func quickBench(t *testing.T, patterns ...string) Report {
	t.Helper()
	heavy.Test(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), Options{
		Executable: self, Senders: senders(), Patterns: patterns, Rounds: 1, Span: 300 * time.Millisecond, Quick: true, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Every kind of scenario of the way out runs, and what it needs to be true of its
// streams (as many deliveries as were due, no gap, no repetition) is true.
func TestStreamScenariosRun(t *testing.T) {
	for _, pattern := range []string{
		"fanout/10/FULL", "live/10/TYPED", "latency/half/1", "replay/all/METADATA", "replay/tenth/TYPED", "acked/10", "idle/10000",
	} {
		t.Run(pattern, func(t *testing.T) {
			r := quickBench(t, pattern)
			if len(r.Results) != 1 {
				t.Fatalf("%d results", len(r.Results))
			}
			got := r.Results[0]
			if got.Error != "" {
				t.Fatal(got.Error)
			}
			for _, row := range got.Rows {
				if row.Rate <= 0 {
					t.Errorf("%s: no rate", row.Name)
				}
			}
			if len(got.Rows)+len(got.Figures) == 0 {
				t.Error("nothing was measured")
			}
		})
	}
}

// A log is made once for all scenarios that read it: the second needs no gateway
// to have it.
func TestReplaysShareALog(t *testing.T) {
	heavy.Test(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	first := &Bench{Options: Options{Executable: self, Senders: senders(), Quick: true}, Dir: filepath.Join(run, "0")}
	if err := os.Mkdir(first.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	made, err := first.oldLog(t.Context())
	if err := errors.Join(err, first.close(), os.RemoveAll(first.Dir)); err != nil {
		t.Fatal(err)
	}
	second := &Bench{Options: Options{Executable: filepath.Join(run, "none")}, Dir: filepath.Join(run, "1")}
	if found, err := second.oldLog(t.Context()); err != nil || found != made {
		t.Errorf("%q, %v, want %q", found, err, made)
	}
	if got, err := baseline.ReplayJetStream(t.Context(), made, ""); err != nil || got.Events != first.some(replayEvents) {
		t.Errorf("%d events, %v", got.Events, err)
	}
}
