package ingress

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/hookstream/hookstream/conns"
)

const (
	writeTimeout = 10 * time.Second
	// idleTimeout is longer than load balancers keep an idle connection, so that
	// it is them who end it and never a request of theirs that finds it ended.
	idleTimeout = 75 * time.Second
	// maxHeaderBytes bounds request line and headers together.
	maxHeaderBytes = 16 << 10
	maxAnswerBytes = 1 << 10
)

// A Server is the HTTP/1.1 server of the ingress, with bounds on everything a
// stranger can make long. Address and TLS are the caller's.
type Server struct {
	http   *fasthttp.Server
	logger *slog.Logger

	table  *conns.Table
	relief gate // lines about what is given up

	// mu guards what follows. It is taken before that of table.
	mu    sync.Mutex
	conns map[*conn]struct{} // open ones
	// What serves, and that nothing is to serve any more.
	listeners []*listener
	stopping  bool
}

// Server answers a server for Handler.
func (g *Gateway) Server() *Server {
	s := &Server{
		logger: g.o.Logger,
		conns:  make(map[*conn]struct{}),
		http: &fasthttp.Server{
			Handler:      g.Handler(),
			ErrorHandler: g.refuse,
			// What asks before it sends its body is told by its headers what would become
			// of it.
			ExpectHandler:  g.expect,
			HeaderReceived: g.announced,

			ReadTimeout:     g.o.ReadTimeout,
			WriteTimeout:    writeTimeout,
			IdleTimeout:     idleTimeout,
			ReadBufferSize:  maxHeaderBytes,
			WriteBufferSize: maxAnswerBytes,
			CloseOnShutdown: true,
			// The body is for the handler to read, with its bounds: all but the first
			// byte, which the server waits for.
			StreamRequestBody:  true,
			MaxRequestBodySize: 1,
			// No form is ever read, and no file written for one.
			DisablePreParseMultipartForm: true,
			NoDefaultServerHeader:        true,
			// What strangers do to a connection is nothing to log, least of all in
			// their words.
			SecureErrorLogMessage: true,
			Logger:                silent{},
		},
	}
	s.table = conns.NewTable(conns.Options{
		Max: g.o.MaxConns, MaxPerAddress: g.o.MaxConnsPerAddress, Shared: g.o.SharedAddresses,
		Given: func(refused bool) {
			g.o.Metrics.given(refused)
			s.tellGiven()
		},
	})
	return s
}

// tellGiven says, now and then, that there are more connections than there may be.
func (s *Server) tellGiven() {
	if skipped, ok := s.relief.open(time.Now()); ok {
		s.logger.Warn("the ingress has as many connections as it may have: silent ones are given up for new ones",
			"open", s.table.Len(), "skipped", skipped)
	}
}

// Conns answers how many connections are open.
func (s *Server) Conns() int { return s.table.Len() }

type silent struct{}

func (silent) Printf(string, ...any) {}

// Serve answers requests until Shutdown or Close, and then nil.
func (s *Server) Serve(ln net.Listener) error {
	l := &listener{Listener: s.table.Listen(ln), s: s}
	if !s.serves(l) {
		return l.Close()
	}
	err := s.http.Serve(l)
	if s.stopped() {
		return nil
	}
	return err
}

// serves notes a listener, for Shutdown: fasthttp forgets one that comes while it
// shuts down, or afterwards, and serves it for ever. It answers false then.
func (s *Server) serves(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.listeners = append(s.listeners, l)
	return true
}

func (s *Server) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}

// stopListening closes the listeners there are, and lets no other serve.
func (s *Server) stopListening() {
	s.mu.Lock()
	s.stopping = true
	listeners := s.listeners
	s.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
}

// Shutdown stops listening, ends idle connections and waits until those under
// way are answered, or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopListening()
	return s.http.ShutdownWithContext(ctx)
}

// Close ends everything at once.
func (s *Server) Close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.stopListening()
	_ = s.http.ShutdownWithContext(ctx) // stops listening; does not wait
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for c := range s.conns {
		errs = append(errs, c.Conn.Close())
	}
	return errors.Join(errs...)
}

// A listener tells the server of its connections, and goes on after what is over
// soon, such as too many open files: fasthttp would serve no more.
type listener struct {
	net.Listener
	s *Server

	once   sync.Once
	closed error
}

// Close may be called twice: by us and by fasthttp.
func (l *listener) Close() error {
	l.once.Do(func() { l.closed = l.Listener.Close() })
	return l.closed
}

func (l *listener) Accept() (net.Conn, error) {
	const maxPause = time.Second
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, maxPause) {
		c, err := l.Listener.Accept()
		if err == nil {
			return l.s.open(c), nil
		}
		if !passing(err) {
			return nil, err
		}
		l.s.logger.Warn("no connection can be accepted, trying again", "err", err)
		time.Sleep(pause)
	}
}

// passing reports whether accepting may work again in a moment.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.Is(err, os.ErrDeadlineExceeded)
}
