package simulate

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/hookstream/hookstream/simulator"
)

// Options say how Ignisign's API behaves. The zero value is an API on
// loopback for the application of the examples, with keys of its own making.
type Options struct {
	// Apps are the applications it knows; the one of the examples when empty.
	Apps []App
	// JWTLifetime is how long an exchanged JWT is good for, in whole seconds; an
	// hour when 0.
	JWTLifetime time.Duration
	// TokenLifetime is how long a verification token is good for; for ever when 0.
	TokenLifetime time.Duration
	// RefusalStatus is the status that comes with a negative verdict. At 0 and
	// below 400 the verdict comes as flags (0 means 200); from 400 on it comes as
	// an error with a code.
	RefusalStatus int
	// WithContext makes the answer to a good token tell what event it was made
	// for.
	WithContext bool
	// MaxTokens and MaxEvents bound what is remembered; the oldest is forgotten
	// first. 500,000 tokens and 10,000 events when 0.
	MaxTokens, MaxEvents int
	// PostTimeout bounds a post to an endpoint; 10 seconds when 0.
	PostTimeout time.Duration
	// AllowRemote lets it post to endpoints, and listen, elsewhere than on the
	// loopback interface.
	AllowRemote bool
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	o.Apps = slices.Clone(o.Apps)
	if len(o.Apps) == 0 {
		o.Apps = []App{{}}
	}
	for i, a := range o.Apps {
		o.Apps[i] = a.withDefaults()
	}
	simulator.OrDefault(&o.JWTLifetime, time.Hour)
	simulator.OrDefault(&o.RefusalStatus, http.StatusOK)
	simulator.OrDefault(&o.MaxTokens, 500_000)
	simulator.OrDefault(&o.MaxEvents, 10_000)
	simulator.OrDefault(&o.PostTimeout, 10*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// API plays the part of Ignisign's API that webhooks need, in versions 3 and
// 4 alike: it exchanges keys, mints verification tokens and spends them when they
// are checked, keeps webhook endpoints and a record of every event posted to
// them, and posts and reposts. It is an http.Handler, also with routes of its own
// below /_simulator/, which need no credentials:
//
//	GET, PUT /_simulator/faults   the Faults in force, as JSON
//	POST     /_simulator/tokens   {"appId", "appEnv"}: mints a token
//	GET      /_simulator/counts   the Counts, as JSON
//
// All methods may be called from many goroutines at once.
type API struct {
	opts   Options
	routes http.Handler
	client *http.Client
	jwtKey []byte

	faults   faultSwitch
	tokens   tokens
	webhooks webhooks
	records  records
	counters counters

	background background

	listener net.Listener // nil unless started
	server   *http.Server
}

// New makes an API that does not listen yet: it is a handler for a server
// of the caller's. To be closed all the same.
func New(opts Options) *API {
	opts = opts.withDefaults()
	s := &API{opts: opts, jwtKey: make([]byte, 32), client: simulator.NewClient(64, opts.AllowRemote)}
	_, _ = rand.Read(s.jwtKey) // never fails, see crypto/rand
	s.tokens.init(opts)
	s.records.max = opts.MaxEvents
	s.background.ctx, s.background.cancel = context.WithCancel(context.Background())
	s.routes = s.newRoutes()
	return s
}

// Start makes an API and serves it at an address: 127.0.0.1:0 for a free
// port, which URL tells. It answers ErrRemote for an address that is not on the
// loopback interface, unless that is allowed.
func Start(addr string, opts Options) (*API, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	if !opts.AllowRemote && !simulator.Loopback(host) {
		return nil, fmt.Errorf("%w: %s", simulator.ErrRemote, addr)
	}
	s := New(opts)
	listener, err := new(net.ListenConfig).Listen(s.background.ctx, "tcp", addr)
	if err != nil {
		s.background.stop()
		return nil, fmt.Errorf("simulator: %w", err)
	}
	s.listener = listener
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // ends when it is closed
	return s, nil
}

// URL answers where a started API is, without a slash at its end; empty for one
// that does not listen.
func (s *API) URL() string {
	if s.listener == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String()
}

// App answers the first application with its keys.
func (s *API) App() App { return s.opts.Apps[0] }

// Apps answers all applications with their keys.
func (s *API) Apps() []App { return slices.Clone(s.opts.Apps) }

// app answers an application it knows.
func (s *API) app(id, env string) (App, bool) {
	i := slices.IndexFunc(s.opts.Apps, func(a App) bool { return a.same(id, env) })
	if i < 0 {
		return App{}, false
	}
	return s.opts.Apps[i], true
}

// Close stops listening, drops the open connections and gives up the posts that
// are under way in the background. It returns when they have ended.
func (s *API) Close() error {
	var err error
	if s.server != nil {
		err = s.server.Close()
	}
	s.background.stop()
	s.client.CloseIdleConnections()
	return err
}
