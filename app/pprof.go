package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"github.com/hookstream/hookstream/conns"
	"github.com/hookstream/hookstream/server"
)

// How much of what goroutines wait for is sampled while profiles are served: a
// hundredth of contended mutexes, and one wait in 100 microseconds of waiting.
const (
	mutexFraction = 100
	blockRate     = int(100 * time.Microsecond)
)

// maxProfilers is how many connections there may be for profiles.
const maxProfilers = 16

// openPProf serves profiles to whoever measures, which is nobody by default: they
// tell what the gateway holds in memory, and taking one costs.
func (a *App) openPProf(ctx context.Context) error {
	if a.opts.PProfAddr == "" {
		return nil
	}
	few := conns.NewTable(conns.Options{Max: maxProfilers, Quiet: quietTime})
	lis, err := listenBounded(ctx, a.opts.PProfAddr, nil, few)
	if err != nil {
		return fmt.Errorf("pprof listener: %w", err)
	}
	a.pprofLis = lis
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(blockRate)
	srv := &http.Server{Handler: server.OwnPagesOnly(profiles()), ReadHeaderTimeout: 10 * time.Second}
	a.onClose(srv.Close)
	go func() { _ = srv.Serve(lis) }() // until Close
	return nil
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
