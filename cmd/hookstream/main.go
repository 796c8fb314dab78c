// Command hookstream is the gateway and its tools: webhooks in, typed gRPC
// streams out. `hookstream --help` lists the commands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks, the second ends the process the usual way.
	context.AfterFunc(ctx, stop)
	// A reader that has gone is a write that fails, with what follows from that,
	// and not the end of the process.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	tellUnknown(os.Stderr, os.Environ())
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
