package ingress

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	headerTimeout = 5 * time.Second
	// idleTimeout is longer than load balancers keep an idle connection, so that
	// it is them who end it and never a request of theirs that finds it ended.
	idleTimeout    = 75 * time.Second
	maxHeaderBytes = 16 << 10
)

// Server answers an HTTP server for Handler with bounds on everything a
// stranger can make long. Address and TLS are the caller's.
func (g *Gateway) Server() *http.Server {
	read := headerTimeout + g.o.ReadTimeout
	return &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       read,
		WriteTimeout:      read + g.o.VerifyWait + 2*g.o.AppendWait + 5*time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// `OPTIONS *` is not answered apart.
		DisableGeneralOptionsHandler: true,
		// net/http reports what strangers do to a connection.
		ErrorLog: slog.NewLogLogger(g.o.Logger.Handler(), slog.LevelDebug),
	}
}
