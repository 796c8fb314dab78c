package jetstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/index"
)

// Engine is the JetStream engine: the streams, how they are reached, and how
// they are made durable.
type Engine struct {
	opts   Options
	logger *slog.Logger
	lock   *os.File
	node   *embedded // nil: external
	files  files

	js jetstream.JetStream // configuration and requests that are not on a hot path
	// connMu guards conns, buckets, links, denied, deniedN, giveUp and takes.
	connMu  sync.Mutex
	conns   []*nats.Conn
	buckets []*natsBucket      // with connMu
	links   []*link            // of conns, on a cluster
	denied  map[string]*denial // what the server does not let us do, by kind
	deniedN int                // how often it did not
	giveUp  func(error)        // while it starts
	takes   []*acceptance      // of the streams that the way in needs, on a cluster
	opened  chan struct{}      // closed when the engine is

	foreign foreign
	noticed chan eventlog.Missing // holes that readers met
	events  *stream
	inbox   *natsInbox
	index   *index.Index
	rooms   rooms
	leader  leaderClock // on a cluster
	streams streams     // of a cluster

	backingUp sync.Mutex // held while a backup is made

	health  atomic.Pointer[error]
	tailing atomic.Pointer[error] // why the shared tail stands still
	failed  atomic.Bool           // for good
	closed  atomic.Bool
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
}

// Open starts the engine, or connects to it, and returns when the log can be
// read and written: what an earlier process left is durable and the index knows
// it. It may take as long as reading what was written in the last minutes.
func Open(ctx context.Context, o Options) (_ *Engine, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{opts: o, logger: o.Logger, opened: make(chan struct{}), denied: make(map[string]*denial), noticed: make(chan eventlog.Missing, noticing)}
	e.ctx, e.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			e.abort()
		}
	}()
	ctx, started := e.starting(ctx)
	defer started()
	defer func() {
		// What was refused explains why nothing came of a question.
		if refused := context.Cause(ctx); err != nil && errors.Is(refused, ErrRefused) && !errors.Is(err, ErrRefused) {
			err = fmt.Errorf("%w: %w", refused, err)
		}
	}()
	if err := e.start(); err != nil {
		return nil, err
	}
	if err := e.openEvents(ctx); err != nil {
		return nil, err
	}
	if e.inbox, err = e.openInbox(ctx); err != nil {
		return nil, err
	}
	if e.node == nil {
		if _, err := e.deliveries(ctx); err != nil {
			return nil, err
		}
		if err := e.patiently(ctx, func() error { return e.checkPermissions(e.js.Conn()) }); err != nil {
			return nil, err
		}
	}
	close(e.opened)
	e.wg.Go(e.watch)
	if e.node == nil {
		e.wg.Go(e.probeAcceptance)
		e.wg.Go(e.mindPermissions)
	}
	e.wg.Go(e.checkRest)
	e.wg.Go(e.lookIntoHoles)
	return e, nil
}

// abort undoes a start that failed halfway.
func (e *Engine) abort() {
	if err := e.Close(); err != nil {
		e.logger.Warn("closing after a failed start", "err", err)
	}
}

func (e *Engine) start() error {
	if err := os.MkdirAll(e.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	var err error
	if e.lock, err = lockDir(e.opts.Dir); err != nil {
		return err
	}
	if err := beginFormat(e.opts.Dir, e.opts.Version); err != nil {
		return err
	}
	if e.opts.URL == "" {
		if err := e.files.open(e.opts, e.logger); err != nil {
			return err
		}
		node, err := startEmbedded(e.opts, e.opts.Durability == DurabilitySync && !barrierSupported, e.fatal)
		if err != nil {
			return err
		}
		e.node = node
	}
	nc, err := e.connect(e.ctx, "manage")
	if err != nil {
		return err
	}
	if e.node == nil {
		if err := e.checkVersion(nc.ConnectedServerVersion()); err != nil {
			return err
		}
	}
	e.js, err = e.jetstream(nc)
	if e.node == nil && err == nil {
		e.wg.Go(e.mindStreams)
	}
	return err
}

// RequestTimeout bounds one request to JetStream.
const RequestTimeout = 10 * time.Second

// jetstream speaks to JetStream over a connection.
func (e *Engine) jetstream(nc *nats.Conn) (jetstream.JetStream, error) {
	if e.opts.Domain != "" {
		return jetstream.NewWithDomain(nc, e.opts.Domain, jetstream.WithDefaultTimeout(RequestTimeout))
	}
	return jetstream.New(nc, jetstream.WithDefaultTimeout(RequestTimeout))
}

// API is the subject of a request to JetStream that is sent by hand.
func (e *Engine) API(request string) string {
	if e.opts.Domain != "" {
		return "$JS." + e.opts.Domain + ".API." + request
	}
	return "$JS.API." + request
}

// keySubject is the subject on which a key of a bucket is written: nats.go has it in
// the domain, where it would be among the streams without one.
func (e *Engine) keySubject(bucket, key string) string {
	subject := "$KV." + bucketPrefix + bucket + "." + key
	if e.opts.Domain != "" {
		return e.API(subject)
	}
	return subject
}

// closeConns ends all connections, the last first, and the buckets.
func (e *Engine) closeConns() {
	e.connMu.Lock()
	conns, buckets := e.conns, e.buckets
	e.connMu.Unlock()
	for _, nc := range slices.Backward(conns) {
		if e.node == nil && nc.IsConnected() {
			_ = nc.FlushTimeout(time.Second) // what is not sent by then is dropped
		}
		nc.Close()
	}
	for _, b := range buckets {
		b.close()
	}
}

// connect opens a connection for one purpose: each has one read loop, so that a
// burst of acknowledgements does not wait behind a page of history. What does not
// answer the first of them is taken for a wrong address; what has been reached may be
// away for a while.
func (e *Engine) connect(ctx context.Context, purpose string) (nc *nats.Conn, err error) {
	opts := []nats.Option{
		nats.Name("hookstream " + purpose),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectBufSize(-1), // fail at once: what is not sent is not kept
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				e.logger.Warn("connection to NATS lost", "purpose", purpose, "err", err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) || errors.Is(err, nats.ErrAuthorization) {
				e.deny(err)
				return
			}
			e.logger.Warn("NATS", "purpose", purpose, "err", err)
		}),
	}
	if e.node != nil {
		opts = append(opts, e.node.option())
	} else {
		opts = append(opts,
			nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(maxPingsOpen), nats.FlusherTimeout(quietTime),
			nats.Timeout(dialTime), nats.SetCustomDialer(dialer{}),
			nats.IgnoreAuthErrorAbort()) // a password may be changed here first, or there
		opts = append(opts, e.opts.NATS...)
	}
	dial := func() error {
		nc, err = nats.Connect(e.opts.URL, opts...)
		return err
	}
	if e.js == nil {
		err = dial()
	} else {
		err = e.patiently(ctx, dial)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	e.connMu.Lock()
	defer e.connMu.Unlock()
	e.conns = append(e.conns, nc)
	if e.node == nil {
		l := &link{nc: nc, purpose: purpose}
		e.links = append(e.links, l)
		e.wg.Go(func() { e.mind(l) })
	}
	return nc, nil
}

// disconnect ends a connection of an embedded engine before the others.
func (e *Engine) disconnect(nc *nats.Conn) {
	nc.Close()
	e.connMu.Lock()
	defer e.connMu.Unlock()
	e.conns = slices.DeleteFunc(e.conns, func(c *nats.Conn) bool { return c == nc })
}

// linkOf answers what is known of a connection; nil when it is embedded.
func (e *Engine) linkOf(nc *nats.Conn) *link {
	for _, l := range e.allLinks() {
		if l.nc == nc {
			return l
		}
	}
	return nil
}

// incarnationKey is where a stream's configuration holds its Incarnation.
const incarnationKey = "hookstream_incarnation"

// EnsureStream creates the stream or brings its configuration up to date,
// keeping what marks it as the same stream.
func (e *Engine) EnsureStream(ctx context.Context, cfg jetstream.StreamConfig) (st jetstream.Stream, err error) {
	err = e.patiently(ctx, func() error {
		st, err = e.tryStream(ctx, cfg)
		return err
	})
	if err == nil {
		e.knows(ctx, cfg.Name)
	}
	return st, err
}

// absentTime is how long there may be nobody who answers at all: a server that has
// JetStream listens before a cluster is formed.
const absentTime = 10 * time.Second

// absent says that nobody answers for JetStream.
func (e *Engine) absent(err error) error {
	where := "the NATS server has no JetStream that answers"
	if e.opts.Domain != "" {
		where = fmt.Sprintf("no JetStream answers in the domain %q", e.opts.Domain)
	}
	return fmt.Errorf("%w: %s: %w", ErrRefused, where, err)
}

// patiently does what an embedded engine does at once, and a cluster in a while: when
// it has just been started, or several gateways make the same at once, or a node is
// away, it answers late or not at all. It does not give up before ctx does, but for
// what no waiting mends.
func (e *Engine) patiently(ctx context.Context, do func() error) error {
	patience := e.patience()
	for {
		err := do()
		if err == nil {
			return nil
		}
		if over := patience.over(err); over != nil || ctx.Err() != nil || e.ctx.Err() != nil {
			return cmp.Or(over, err)
		}
		e.logger.Warn("the cluster is not ready, trying again", "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.ctx.Done():
		}
	}
}

// patience is that of one who tries again what may pass.
type patience struct {
	e        *Engine
	denied   int       // how much was, when it began
	listened time.Time // when somebody answered last
}

func (e *Engine) patience() *patience {
	return &patience{e: e, denied: e.deniedCount(), listened: time.Now()}
}

// over answers with what to give up, after an error; nil: it may pass.
func (p *patience) over(err error) error {
	switch refused := p.e.deniedSince(p.denied); {
	case refused != nil:
		return fmt.Errorf("%w: %w", refused, err) // which explains why nothing came of it
	case p.e.node != nil || permanent(err):
		return err
	case !errors.Is(err, nats.ErrNoResponders):
		p.listened = time.Now()
	case time.Since(p.listened) > absentTime:
		return p.e.absent(err)
	}
	return nil
}

func (e *Engine) tryStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	cfg.Storage, cfg.Retention = jetstream.FileStorage, jetstream.LimitsPolicy
	cfg.Replicas, cfg.Compression = e.opts.Replicas, jetstream.NoCompression
	cfg.Duplicates, cfg.Discard = natsDedupWindow, jetstream.DiscardOld
	cfg.MaxMsgSize = int32(e.opts.MaxEntryBytes + entryOverhead/2)
	cfg.Metadata = map[string]string{incarnationKey: newIncarnation().String()}
	old, err := e.js.Stream(ctx, cfg.Name)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		st, err := e.js.CreateStream(ctx, cfg)
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return st, wrapStream(cfg.Name, err)
		}
		// Another gateway was faster.
		if old, err = e.js.Stream(ctx, cfg.Name); err != nil {
			return nil, wrapStream(cfg.Name, err)
		}
	case err != nil:
		return nil, wrapStream(cfg.Name, err)
	}
	if inc, ok := old.CachedInfo().Config.Metadata[incarnationKey]; ok {
		cfg.Metadata[incarnationKey] = inc
	}
	st, err := e.js.UpdateStream(ctx, cfg)
	return st, wrapStream(cfg.Name, err)
}

func wrapStream(name string, err error) error {
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	return nil
}

func newIncarnation() event.Incarnation {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return event.Incarnation(binary.BigEndian.Uint32(b[:]))
}

// committerFor opens a connection and a committer for a stream.
func (e *Engine) committerFor(ctx context.Context, stream string, watermark uint64, advanced func()) (*committer, error) {
	nc, err := e.connect(ctx, publishing+stream)
	if err != nil {
		return nil, err
	}
	pub, err := newAckedPublisher(nc)
	if err == nil { // a connection that is lost now comes back and listens
		err = e.patiently(ctx, nc.Flush)
	}
	if err != nil {
		return nil, err
	}
	if l := e.linkOf(nc); l != nil {
		pub.heard = e.heard(l, stream)
	}
	b, err := e.barrierFor(stream, newBlockBarrier)
	if err != nil {
		return nil, err
	}
	return newCommitter(stream, e.judged(stream, pub), b, e.opts, watermark, advanced, nil, e.fatal), nil
}

// fatal ends the engine's usefulness; see Options.OnFatal.
func (e *Engine) fatal(err error) {
	if e.failed.Swap(true) {
		return
	}
	err = fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	e.health.Store(&err)
	e.logger.Error("the log can not be written any more; nothing is acknowledged until a restart", "err", err)
	if e.opts.OnFatal != nil {
		go e.opts.OnFatal(err)
	}
}

// Events is the log.
func (e *Engine) Events() eventlog.Log { return e.events }

// Inbox is the inbox.
func (e *Engine) Inbox() eventlog.Inbox { return e.inbox }

// Healthy answers nil when the log can be read and written, as of a second ago.
func (e *Engine) Healthy() error {
	if err := e.health.Load(); err != nil {
		return *err
	}
	return nil
}

// MaxEntryBytes is the largest entry that Append takes.
func (e *Engine) MaxEntryBytes() int {
	n := e.opts.MaxEntryBytes
	if limit := int(e.js.Conn().MaxPayload()); limit > 0 {
		n = min(n, limit-entryOverhead/2)
	}
	return n
}

// Close makes durable what was accepted, and ends. It returns when all files
// are closed. Closing again does nothing.
func (e *Engine) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	e.stop()
	if e.events != nil {
		e.events.close()
	}
	if e.inbox != nil {
		e.inbox.close()
	}
	e.rooms.close()
	e.wg.Wait()
	var err error
	if e.index != nil {
		err = e.index.Close()
	}
	e.closeConns()
	ended := e.node == nil || e.node.stop(stopTime)
	if !ended {
		e.logger.Warn("JetStream takes long to close its queues and is left to the end of the process; nothing that was acknowledged is lost", "waited", stopTime)
	}
	if e.node != nil {
		err = errors.Join(err, e.files.close(ended && !e.failed.Load()))
	}
	if e.lock != nil && ended { // nobody else may open what is still being written
		err = errors.Join(err, e.lock.Close())
	}
	return err
}
