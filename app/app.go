package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"

	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/replay"
	"github.com/hookstream/hookstream/server"
	"github.com/hookstream/hookstream/source"
	"github.com/hookstream/hookstream/subscription"
)

// App is a gateway.
type App struct {
	opts    Options
	logger  *slog.Logger
	metrics *metrics

	providers *provider.Set
	engine    *jetstream.Engine
	sources   *source.Store
	requests  *requests
	gateway   *ingress.Gateway
	hub       *hub.Hub
	history   *history.Store
	subs      *subscription.Manager
	replays   *replay.Manager
	closeSubs func()
	server    *server.Server

	ingressLis, grpcLis, httpLis net.Listener
	pprofLis                     net.Listener // nil: no profiles
	ingressSrv                   *ingress.Server
	httpSrv                      *http.Server

	ready    atomic.Bool
	fatal    chan error // holds what the engine died of
	cleanups []func() error
}

// Addrs are where a gateway listens, as host:port. PProf is empty unless it was
// asked for.
type Addrs struct{ Ingress, GRPC, HTTP, PProf string }

// New starts the engine, loads what it holds and binds the ports: senders and
// consumers can connect when it returns, and are served when Run is called. The
// App must be Run or Closed.
func New(ctx context.Context, o Options) (_ *App, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	a := &App{opts: o, logger: o.Logger, metrics: newMetrics(), fatal: make(chan error, 1)}
	if a.providers, err = Providers(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	// In the order of dependence; Close goes the other way.
	for _, step := range []func(context.Context) error{
		a.listen, a.openPProf, a.openEngine, a.openSources, a.openRequests, a.openIngress, a.openHub, a.openHistory, a.openSubscriptions, a.openReplays, a.openServer,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// onClose adds what Close does, last in first out.
func (a *App) onClose(fn func() error) { a.cleanups = append(a.cleanups, fn) }

// Close releases what New took. After Run there is nothing left to release.
func (a *App) Close() error {
	var errs []error
	for _, fn := range slices.Backward(a.cleanups) {
		errs = append(errs, fn())
	}
	a.cleanups = nil
	return errors.Join(errs...)
}

// listen comes first: a port that is taken is told before the log is opened.
func (a *App) listen(ctx context.Context) error {
	cert, err := a.opts.certificate()
	if err != nil {
		return err
	}
	for _, l := range []struct {
		lis       *net.Listener
		what      string
		addr      string
		protocols []string
	}{
		{&a.ingressLis, "ingress", a.opts.IngressAddr, nil},
		{&a.grpcLis, "gRPC", a.opts.GRPCAddr, []string{"h2"}},
		{&a.httpLis, "HTTP", a.opts.HTTPAddr, []string{"http/1.1"}},
	} {
		c, table := cert, a.opts.apiConns()
		if l.protocols == nil {
			c, table = nil, nil // TLS for senders is the proxy's; the ingress has bounds of its own
		}
		if *l.lis, err = listenBounded(ctx, l.addr, c, table, l.protocols...); err != nil {
			return fmt.Errorf("%s listener: %w", l.what, err)
		}
		lis := *l.lis
		a.onClose(func() error { return ignoreClosed(lis.Close()) })
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (a *App) openEngine(ctx context.Context) error {
	o := a.opts.log()
	o.NATS = a.opts.nats()
	o.OnCommit = a.metrics.commit
	o.OnFatal = func(err error) { a.fatal <- err }
	engine, err := jetstream.Open(ctx, o)
	if err != nil {
		return err
	}
	a.engine = engine
	a.onClose(engine.Close)
	a.metrics.engine(engine)
	return nil
}

func (a *App) openSources(ctx context.Context) error {
	bucket, err := a.engine.Bucket(ctx, "SOURCES")
	if err != nil {
		return err
	}
	key, err := a.opts.encryptionKey(func() (bool, error) { return source.Any(ctx, bucket) })
	if err != nil {
		return err
	}
	if a.sources, err = source.Open(ctx, bucket, key, a.providers, a.logger); err != nil {
		return err
	}
	a.onClose(func() error { a.sources.Close(); return nil })
	return nil
}

// encryptionKey answers the key of the sources. One is made only where none was used
// yet: a new key beside old sources would hide that the old one is gone.
func (o Options) encryptionKey(used func() (bool, error)) (source.Key, error) {
	if o.EncryptionKey != "" {
		key, err := source.ParseKey(o.EncryptionKey)
		if err != nil {
			return key, fmt.Errorf("HOOKSTREAM_ENCRYPTION_KEY: %w", err)
		}
		return key, nil
	}
	path := cmp.Or(o.EncryptionKeyFile, filepath.Join(o.DataDir, "secret.key"))
	key, err := source.LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	switch inUse, err := used(); {
	case err != nil:
		return key, err
	case inUse:
		return key, fmt.Errorf("there are sources, and the key file %s that they were encrypted with is not there: put it back from a backup; without it their credentials are lost", path)
	}
	return source.LoadOrCreateKey(path)
}

func (a *App) openIngress(context.Context) error {
	maxBody, err := a.maxBody()
	if err != nil {
		return err
	}
	o := ingress.DefaultOptions()
	o.Log, o.Inbox = a.engine.Events(), a.engine.Inbox()
	o.Sources, o.Providers = a.sources, a.providers.Open
	if !a.engine.Embedded() {
		o.CatchUp = a.sources.CatchUp
	}
	o.MaxBodyBytes = maxBody
	o.VerifyWait, o.DefaultRate, o.Workers = a.opts.VerifyWait, a.opts.SourceRate, a.opts.Verifiers
	o.MaxConns, o.MaxConnsPerAddress = a.opts.MaxConns, a.opts.MaxConnsPerAddress
	o.SharedAddresses, o.Ready = a.opts.TrustedProxies, func() error { return a.readiness(context.Background()) }
	o.Refused = a.requests
	o.Logger, o.Metrics, o.Step = a.logger, a.metrics.ingress(), dieAt()
	a.gateway = ingress.New(o)
	a.onClose(func() error { a.gateway.Close(); return nil })
	a.ingressSrv = a.gateway.Server()
	a.metrics.gauge("hookstream_ingress_connections", "Open connections of senders.", func() float64 {
		return float64(a.ingressSrv.Conns())
	})
	return nil
}

// maxBody answers the largest body that is accepted, which is what NATS takes when
// that is less than the options want. Where next to nothing fits, the start ends: a
// gateway that is ready and refuses every sender helps nobody.
func (a *App) maxBody() (int, error) {
	fits := a.engine.MaxEntryBytes() - rawOverhead
	switch {
	case fits < minBodyBytes:
		return 0, fmt.Errorf("max_payload of the NATS server is too small: bodies of %d bytes would be the largest to fit; it must hold --max-body-bytes and %d bytes more", max(fits, 0), natsOverhead)
	case fits < a.opts.MaxBodyBytes:
		a.logger.Warn("max_payload of the NATS server is too small for the largest body; senders of larger ones are refused",
			"accepted_bytes", fits, "max_body_bytes", a.opts.MaxBodyBytes, "max_payload_wanted", a.opts.MaxBodyBytes+natsOverhead)
		return fits, nil
	}
	return a.opts.MaxBodyBytes, nil
}

func (a *App) openHub(context.Context) error {
	h, err := hub.New(hub.Options{
		Log:        a.engine.Events(),
		Decoders:   a.providers.Decoders(),
		Sensitive:  a.includedKinds,
		Sources:    a.sourceNames,
		MaxStreams: a.opts.MaxStreams,
		Index:      a.index,
		Holes:      a.engine.Holes,
		Logger:     a.logger,
	})
	if err != nil {
		return err
	}
	a.hub = h
	a.metrics.hub(h)
	return nil
}

// index has streams pass over what they do not want, by the history.
func (a *App) index(wanted func(event.Parts) bool) func(uint64) uint64 {
	if a.history == nil {
		return nil
	}
	return a.history.Finder(wanted)
}

// openHistory opens what lists of events are answered from. It lies beside the index,
// also of a gateway on a cluster: each makes its own. A gateway that has none does all
// else.
func (a *App) openHistory(ctx context.Context) error {
	log := a.engine.Events()
	b, err := log.Bounds(ctx)
	if err == nil {
		a.history, err = history.Open(filepath.Join(a.opts.DataDir, "history"), log.Incarnation(), b.Last, a.logger)
	}
	if err != nil {
		a.logger.Error("the history cannot be opened; events cannot be listed until the next start", "err", err)
		return nil
	}
	a.onClose(func() error { a.history.Close(); return nil })
	a.metrics.history(a.history)
	return nil
}

func (a *App) openSubscriptions(ctx context.Context) (err error) {
	a.subs, err = subscription.Open(ctx, subscription.Options{
		Engine:       subscription.On(queue.On(a.engine)),
		Hub:          a.hub,
		MaxConsumers: a.opts.MaxStreams,
		PeerTimeout:  a.opts.PeerTimeout,
		Logger:       a.logger,
	})
	if err != nil {
		return err
	}
	a.closeSubs = sync.OnceFunc(a.subs.Close)
	a.onClose(func() error { a.closeSubs(); return nil })
	a.metrics.subscriptions(a.subs)
	return nil
}

// openReplays opens what hands events out again. It is closed before the subscriptions are.
func (a *App) openReplays(ctx context.Context) error {
	bucket, err := a.engine.Bucket(ctx, subscription.BucketName)
	if err != nil {
		return err
	}
	a.replays, err = replay.Open(ctx, replay.Options{
		Bucket: bucket, Subscriptions: a.subs, Hub: a.hub, History: a.history, Embedded: a.engine.Embedded(), Logger: a.logger,
	})
	if err != nil {
		return err
	}
	a.metrics.replays(a.replays)
	closeSubs := a.closeSubs
	a.closeSubs = sync.OnceFunc(func() { a.replays.Close(); closeSubs() })
	return nil
}

func (a *App) openServer(context.Context) error {
	events, err := server.NewEventService(server.EventServiceOptions{
		Hub: a.hub, Subscriptions: a.subs, History: a.history, Recheck: a.recheck, Version: Version, Logger: a.logger,
	})
	if err != nil {
		return err
	}
	infos, types := catalog(a.providers)
	a.server, err = server.New(server.Options{
		Sources:       a.sources,
		CheckSource:   a.providers.Check,
		TestSender:    newTestSender(a.providers, func() string { return "http://" + a.Addrs().Ingress }),
		Events:        events,
		Subscriptions: a.subs,
		Hub:           a.hub,
		Requests:      a.requests,
		Replays:       a.replays,
		Backup: func(ctx context.Context, rate int64, to server.BackupWriter) error {
			return a.engine.Backup(ctx, rate, to)
		},
		Providers:  infos,
		EventTypes: types,
		Logger:     a.logger,
		Metrics:    a.metrics.server(),
	})
	if err != nil {
		return err
	}
	a.onClose(func() error { return a.server.Stop(context.Background()) })
	handler, err := a.server.Handler(server.HTTPOptions{
		Metrics: a.metrics.handler(),
		Healthy: func(context.Context) error { return nil },
		Ready:   a.readiness,

		AllowedHosts: a.opts.AllowedHosts,
	})
	if err != nil {
		return err
	}
	a.httpSrv = server.HTTPServer(handler)
	a.httpSrv.ErrorLog = slog.NewLogLogger(a.logger.Handler(), slog.LevelDebug)
	return nil
}

// includedKinds answers the kinds of sensitive fields that events of the source may
// show. Those of a source that is gone may show none.
func (a *App) includedKinds(name string) event.Kinds {
	src, err := a.sources.Get(source.ParseName(name))
	switch {
	case err != nil:
		return 0
	case src.GetIncludeSensitiveFields():
		return event.AllKinds
	}
	return event.KindsOf(src.GetIncludeSensitive()...)
}

func (a *App) sourceNames() []string {
	var names []string
	for _, src := range a.sources.List() {
		names = append(names, src.GetName())
	}
	return names
}

// readiness says whether requests and calls should come here.
func (a *App) readiness(context.Context) error {
	if !a.ready.Load() {
		return errors.New("starting or stopping")
	}
	return a.engine.Healthy()
}

// Addrs answers where the gateway listens, ports filled in.
func (a *App) Addrs() Addrs {
	addrs := Addrs{
		Ingress: a.ingressLis.Addr().String(),
		GRPC:    a.grpcLis.Addr().String(),
		HTTP:    a.httpLis.Addr().String(),
	}
	if a.pprofLis != nil {
		addrs.PProf = a.pprofLis.Addr().String()
	}
	return addrs
}

// Run serves until ctx ends or the gateway cannot go on, and then stops: health
// says no, the ingress answers what it has begun, streams are told to go
// elsewhere and ended, calls end, the log closes. Every step is bounded. It
// answers nil after an orderly stop.
func (a *App) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var g errgroup.Group
	failed := make(chan error, 4)
	serve := func(what string, fn func() error) {
		g.Go(func() error {
			if err := fn(); err != nil && !errors.Is(err, http.ErrServerClosed) && work.Err() == nil {
				failed <- fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	serve("events", func() error { return a.hub.Run(work) })
	serve("verifier", func() error { a.gateway.Run(work); return nil })
	serve("gRPC", func() error { return a.server.Serve(a.grpcLis) })
	serve("HTTP", func() error { return a.httpSrv.Serve(a.httpLis) })
	serve("ingress", func() error { return a.ingressSrv.Serve(a.ingressLis) })
	if a.history != nil {
		g.Go(func() error { a.history.Follow(work, a.engine.Events()); return nil })
	}
	a.watchHealth(work, &g)
	a.ready.Store(true)
	a.logger.Info("serving", "ingress", a.Addrs().Ingress, "grpc", a.Addrs().GRPC, "http", a.Addrs().HTTP, "pprof", a.Addrs().PProf, "version", Version)

	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	case cause = <-a.fatal:
	}
	a.stop(stopWork)
	_ = g.Wait()
	return errors.Join(cause, a.Close())
}

// watchHealth tells the standard health service what readiness says.
func (a *App) watchHealth(ctx context.Context, g *errgroup.Group) {
	g.Go(func() error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if a.ready.Load() {
					a.server.SetHealthy(a.engine.Healthy() == nil)
				}
			case <-ctx.Done():
				return nil
			}
		}
	})
}

// How long the steps of a stop may take.
const (
	ingressGrace = 10 * time.Second
	callGrace    = 5 * time.Second
)

func (a *App) stop(stopWork func()) {
	a.logger.Info("stopping")
	a.ready.Store(false)
	a.server.Drain()
	var wg sync.WaitGroup
	wg.Go(func() { shutdown(a.ingressSrv, ingressGrace) })
	for _, drain := range []func(context.Context, time.Duration) error{a.hub.Drain, a.subs.Drain} {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), a.opts.DrainGrace+callGrace)
			defer cancel()
			if err := drain(ctx, a.opts.DrainGrace); err != nil {
				a.logger.Warn("streams were cut", "err", err)
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), callGrace)
	defer cancel()
	shutdown(a.httpSrv, callGrace)
	if err := a.server.Stop(ctx); err != nil {
		a.logger.Warn("calls were cut", "err", err)
	}
	a.closeSubs() // while the hub can still show it events
	stopWork()
}

// An endable server can stop taking requests and finish those under way, or be
// cut.
type endable interface {
	Shutdown(ctx context.Context) error
	Close() error
}

// shutdown ends a server, cutting what does not end by itself.
func shutdown(s endable, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if s.Shutdown(ctx) != nil {
		_ = s.Close()
	}
}
