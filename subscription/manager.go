package subscription

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/internal/question"
)

// Options are what a Manager is made of. Engine and Hub are required.
type Options struct {
	Engine Engine
	// Hub is where events come from. It runs already.
	Hub *hub.Hub
	// Gateway names this gateway, for State; empty: the host's name. A random
	// part is added.
	Gateway string
	// MaxConsumers bounds the open streams and waiting pulls. 0: 10,000.
	MaxConsumers int
	// PeerTimeout is for how long nothing must have been heard of a stream, after a
	// delivery of it expired or was not taken, until it is ended. 0:
	// DefaultPeerTimeout.
	PeerTimeout time.Duration
	// Logger takes what an operator should know. nil: nothing.
	Logger *slog.Logger

	holdMargin time.Duration // 0: the constant; shorter in tests
	// clock is the one of the machine, as an embedded gateway tells the time to its
	// next life. nil: time.Now.
	clock   func() time.Time
	compile compiler // nil: the hub's
}

// Manager keeps all subscriptions and hands out their deliveries on one gateway.
// All methods may be called from many goroutines at once. Errors of the engine
// wrap eventlog.ErrUnavailable or eventlog.ErrFull.
type Manager struct {
	opts      Options
	engine    Engine
	hub       *hub.Hub
	compile   compiler
	logger    *slog.Logger
	gateway   string // name of this gateway, in this life of it
	lives     int    // of the gateways of an embedded engine, this one included; 0 on a cluster
	signer    *signer
	store     *store
	parked    Parking
	acks      Journal // nil on a cluster
	bus       Bus
	peers     peers
	tallies   tallies
	flaps     flaps
	gaps      *gaps
	unwatch   func() // ends hearing of what the log drops
	asking    asking
	withdrawn withdrawals
	inquiries question.Shared[string, func(context.Context) error] // by id of a subscription
	// strays are queues that belong to nobody, as far as the last sweep knew, and when
	// one saw them first. They are the sweep's alone.
	strays map[string]time.Time

	ctx  context.Context
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	// mu guards what follows. It may be taken under the mu of a home, so nobody who
	// holds it waits for a home: homes are made under it, so that there is one of each
	// subscription, and changed and closed without it.
	mu        sync.Mutex
	homes     map[string]*home // by uid
	consumers int
	drain     *drain
}

const (
	// BucketName is where subscriptions are kept, and replays beside them.
	BucketName          = "SUBSCRIPTIONS"
	defaultMaxConsumers = 10_000
	// DefaultPeerTimeout is about what gRPC needs to find a connection dead.
	DefaultPeerTimeout = 80 * time.Second
)

// ErrTooManyConsumers says that the limit on open streams and waiting pulls is
// reached.
var ErrTooManyConsumers = errors.New("subscription: too many consumers are connected")

// Open loads all subscriptions and follows them until Close. The hub must
// run already.
func Open(ctx context.Context, o Options) (*Manager, error) {
	if o.Engine == nil || o.Hub == nil {
		return nil, errors.New("subscription: an engine and a hub are required")
	}
	o = o.withDefaults()
	m := &Manager{
		opts: o, engine: o.Engine, hub: o.Hub, compile: o.compile, logger: o.Logger,
		gateway: gatewayName(o.Gateway), homes: make(map[string]*home), gaps: newGaps(),
		asking: make(asking, maxAsking),
	}
	if m.compile == nil {
		m.compile = compileOn(o.Hub)
	}
	m.inquiries.Ask = m.inquireOnce
	m.ctx, m.stop = context.WithCancelCause(context.Background())
	if err := m.open(ctx); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.MaxConsumers = cmp.Or(o.MaxConsumers, defaultMaxConsumers)
	o.PeerTimeout = cmp.Or(o.PeerTimeout, DefaultPeerTimeout)
	o.holdMargin = cmp.Or(o.holdMargin, holdMargin)
	if o.clock == nil {
		o.clock = time.Now
	}
	return o
}

// open begins with what others lean on. Close ends what of it there is.
func (m *Manager) open(ctx context.Context) (err error) {
	if m.acks, err = m.engine.OpenAcks(ctx); err != nil {
		return err
	}
	if m.tallies.kept, err = m.engine.OpenAttempts(ctx, m.tallies.hear); err != nil {
		return err
	}
	if m.parked, err = m.engine.OpenParked(ctx); err != nil {
		return err
	}
	bucket, err := m.engine.Bucket(ctx, BucketName)
	if err != nil {
		return err
	}
	if m.store, err = openStore(ctx, bucket, m.logger, m.changed, m.hearGap); err != nil {
		return err
	}
	if m.signer, err = m.store.signer(ctx, !m.engine.Embedded()); err != nil {
		return err
	}
	if m.engine.Embedded() {
		m.lives = m.store.beginLife(ctx)
	}
	if err := m.listen(); err != nil {
		return err
	}
	if err := m.hearTime(ctx); err != nil {
		return err
	}
	m.wg.Go(m.sweep)
	if m.unwatch, err = m.engine.WatchDropped(m.hearDropped); err != nil {
		return err
	}
	m.wg.Go(m.watchGaps)
	m.wg.Go(m.watchConnection)
	return nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9-]+`)

func gatewayName(name string) string {
	if name == "" {
		name, _ = os.Hostname() // a name without it is as good
	}
	name = strings.Trim(notInName.ReplaceAllString(name, "-"), "-")
	return strings.TrimLeft(name[:min(len(name), 40)]+"-"+strings.ToLower(rand.Text()[:8]), "-")
}

// Gateway answers the name of this gateway in States.
func (m *Manager) Gateway() string { return m.gateway }

// Close ends all streams and pulls with ErrClosed, gives back what they held,
// and ends.
func (m *Manager) Close() {
	m.stop(ErrClosed)
	if m.bus != nil {
		m.bus.Close()
	}
	if m.unwatch != nil {
		m.unwatch()
	}
	if m.store != nil {
		m.store.Close()
	}
	m.mu.Lock()
	homes := maps.Clone(m.homes)
	m.mu.Unlock()
	closeAll(homes)
	m.wg.Wait()
	if m.unwatch != nil { // it was opened
		m.lookLast(homes)
	}
	m.mu.Lock()
	m.homes = make(map[string]*home)
	m.mu.Unlock()
	if m.tallies.kept != nil {
		m.tallies.kept.Close() // what the homes gave back is told
	}
}

const (
	// closers bounds how many homes are closed at once: most of it is waiting for
	// their goroutines.
	closers = 64
	// closeTime bounds closing all of them. What is not given back by then comes
	// back when JetStream's hold on it ends.
	closeTime = 10 * time.Second
)

// closeAll closes homes, many at a time, and does not wait for ever: the gateway
// is to end whatever one of them waits for.
func closeAll(homes map[string]*home) {
	for _, h := range homes {
		h.cancel(ErrClosed) // all at once: what they wait for ends meanwhile
	}
	todo := make(chan *home)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for range min(closers, len(homes)) {
			wg.Go(func() {
				for h := range todo {
					h.close(ErrClosed)
				}
			})
		}
		wg.Wait()
	}()
	late := time.After(closeTime)
	for _, h := range homes {
		select {
		case todo <- h:
		case <-late:
			close(todo)
			return
		}
	}
	close(todo)
	select {
	case <-done:
	case <-late:
	}
}

// changed is told of every change of a subscription, in order; nil: deleted.
func (m *Manager) changed(uid string, sub *Subscription) {
	m.mu.Lock()
	h := m.homes[uid]
	if sub == nil {
		delete(m.homes, uid)
	}
	m.mu.Unlock()
	if sub == nil {
		m.tallies.forgetSubscription(uid)
	}
	switch {
	case h == nil:
	case sub == nil:
		go h.close(ErrDeleted)
	default:
		h.change(sub)
	}
}

// home answers where the subscription's deliveries are, made when needed.
func (m *Manager) home(ctx context.Context, id string) (*home, error) {
	sub, err := m.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	h, err := m.homeOf(sub)
	if err != nil {
		return nil, err
	}
	// A change that came while the home was made was told to nobody.
	switch now, err := m.Get(id); {
	case err != nil || now.UID != sub.UID:
		m.changed(sub.UID, nil)
		return nil, ErrDeleted
	case now != sub:
		h.change(now)
	}
	return h, nil
}

func (m *Manager) homeOf(sub *Subscription) (*home, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		return nil, ErrClosed
	}
	if h := m.homes[sub.UID]; h != nil {
		return h, nil
	}
	h, err := newHome(m, sub)
	if err != nil {
		return nil, err
	}
	m.homes[sub.UID] = h
	return h, nil
}

// known answers the home of the subscription if this gateway has one.
func (m *Manager) known(uid string) *home {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.homes[uid]
}

func (m *Manager) allHomes() []*home {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*home, 0, len(m.homes))
	for _, h := range m.homes {
		out = append(out, h)
	}
	return out
}

// enter counts a consumer in.
func (m *Manager) enter() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ctx.Err() != nil:
		return ErrClosed
	case m.drain != nil:
		return ErrDraining
	case m.consumers >= m.opts.MaxConsumers:
		return ErrTooManyConsumers
	}
	m.consumers++
	return nil
}

func (m *Manager) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.consumers--
	if m.drain != nil && m.consumers == 0 {
		close(m.drain.empty)
	}
}

// drain is under way when it is not nil.
type drain struct {
	grace time.Duration
	until time.Time
	empty chan struct{} // closed when no consumer is left
}

// Drain tells every stream that the gateway goes down, and ends them with
// ErrDraining within the grace period. It returns when all are gone, and what
// they held is given back, or ctx ends.
func (m *Manager) Drain(ctx context.Context, grace time.Duration) error {
	m.mu.Lock()
	d := m.drain
	if d == nil {
		d = &drain{grace: grace, until: time.Now().Add(grace), empty: make(chan struct{})}
		m.drain = d
		if m.consumers == 0 {
			close(d.empty)
		}
	}
	m.mu.Unlock()
	for _, h := range m.allHomes() {
		h.wakeConsumers()
		h.poke()
	}
	select {
	case <-d.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *Manager) draining() *drain {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drain
}
