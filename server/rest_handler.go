package server

import (
	"context"
	"io"
	"net/http"
	"time"
)

// HTTPOptions are what else the HTTP listener serves. A nil part is not served.
type HTTPOptions struct {
	// Metrics is served at /metrics.
	Metrics http.Handler
	// Healthy answers /healthz: an error says that the process is of no use any
	// more and should be started anew. It is shown to the caller.
	Healthy func(context.Context) error
	// Ready answers /readyz: an error says that the gateway should be sent
	// nothing for now. It is shown to the caller.
	Ready func(context.Context) error
	// Console is served at every path that nothing else has.
	Console http.Handler
	// AllowedHosts are host names under which the listener may be reached, besides
	// localhost and addresses: those of a proxy in front of it. `*` allows all. None
	// named is none on loopback, and any elsewhere.
	AllowedHosts []string
}

// Handler is the HTTP face: REST under /v1, the schema and its docs page, and
// what opts adds. It can be made once Server is, and works until Stop.
func (s *Server) Handler(opts HTTPOptions) (http.Handler, error) {
	rest, err := newREST(s.conn, s)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v1/", noStore(rest))
	if err := handleAssets(mux); err != nil {
		return nil, err
	}
	mux.Handle("/docs/{$}", onlyGet(http.RedirectHandler("../docs", http.StatusMovedPermanently)))
	if opts.Metrics != nil {
		mux.Handle("/metrics", onlyGet(opts.Metrics))
	}
	handleProbe(mux, "/healthz", opts.Healthy)
	handleProbe(mux, "/readyz", opts.Ready)
	if opts.Console != nil {
		mux.Handle("/", opts.Console)
	} else {
		mux.HandleFunc("/", writeNotFound)
	}
	return nosniff(sameOrigin(opts.AllowedHosts, mux)), nil
}

// HTTPServer answers a server for h with the limits that fit it: none on the
// writing of an answer, for streams have no end; REST bounds its own.
func HTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           bodyDeadline(bodyTimeout, h),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes,
	}
}

func handleProbe(mux *http.ServeMux, path string, probe func(context.Context) error) {
	if probe == nil {
		return
	}
	mux.Handle(path, onlyGet(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := probe(r.Context()); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, err.Error()+"\n")
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})))
}

// noStore keeps answers, which may hold a new secret, out of caches.
func noStore(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func nosniff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		// A stream is refused to a browser that does not say what page it is for.
		w.Header().Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
