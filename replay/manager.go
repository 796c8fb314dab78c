package replay

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/store"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/subscription"
)

// Options are what a Manager is made of. All but History and Logger are required.
type Options struct {
	// Bucket is where replays are kept: that of subscriptions.
	Bucket eventlog.Bucket
	// Subscriptions hand out what is replayed.
	Subscriptions *subscription.Manager
	// Hub is where events come from.
	Hub *hub.Hub
	// History finds them. nil: only those that are named can be replayed.
	History *history.Store
	// Embedded: this is the only gateway there can be.
	Embedded bool
	// Logger takes what an operator should know. nil: nothing.
	Logger *slog.Logger
}

// Manager keeps all replays, and works on those that no other gateway does. All methods
// may be called from many goroutines at once.
type Manager struct {
	Options

	gateway string
	store   *store.Watched[*Replay]
	wake    chan struct{}
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup

	queued atomic.Int64

	// mu guards workers: the replays that this gateway works on, by key.
	mu      sync.Mutex
	workers map[string]bool
	// seen is when a revision of a replay that another gateway works on was seen first. It
	// is the watch's alone.
	seen map[string]sighting
}

type sighting struct {
	revision uint64
	at       time.Time
}

const (
	// maxActive bounds the replays of a subscription that are not over, and maxOver those
	// that are, which are kept for keepOver.
	maxActive = 100
	maxOver   = 100
	keepOver  = 7 * 24 * time.Hour
	// watchEvery is how often replays are looked for that nobody works on.
	watchEvery = time.Second
	// beatEvery is how often a gateway of a cluster says that it works on a replay, and
	// takeover for how long it says nothing when another one goes on.
	beatEvery = 4 * time.Second
	takeover  = 15 * time.Second
)

// Open loads all replays and works on them until Close.
func Open(ctx context.Context, o Options) (*Manager, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{
		Options: o, gateway: o.Subscriptions.Gateway(), wake: make(chan struct{}, 1),
		workers: make(map[string]bool), seen: make(map[string]sighting),
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	var err error
	m.store, err = store.Open(ctx, store.Options[*Replay]{
		Bucket: o.Bucket, Kind: "replay", Name: nameOf, Encode: encode, Decode: decode, Logger: o.Logger,
		IsID: isKey, Other: func(eventlog.Change) {}, Changed: m.changed,
		Errors: store.Errors{NotFound: ErrNotFound, Exists: ErrExists, EtagMismatch: errEtag, Unreadable: errUnreadable, Closed: errClosed},
	})
	if err != nil {
		m.stop()
		return nil, err
	}
	m.wg.Go(m.watch)
	return m, nil
}

// Close leaves replays to other gateways, or to the next life of this one. Close it before
// the subscriptions.
func (m *Manager) Close() {
	m.stop()
	m.wg.Wait()
	m.store.Close()
}

// Count answers how many replays are in a state.
func (m *Manager) Count(s State) (n int) {
	for _, item := range m.store.List() {
		if item.Value.State == s {
			n++
		}
	}
	return n
}

// Queued answers how many events this gateway has queued.
func (m *Manager) Queued() int64 { return m.queued.Load() }

// changed is told of every change, in order.
func (m *Manager) changed(_ string, old, next *store.Item[*Replay]) {
	switch {
	case next != nil && next.Value.State == Cancelled:
		m.Subscriptions.Withdraw(next.Value.UID, next.Value.ID, true)
	case old != nil && old.Value.State == Cancelled:
		m.Subscriptions.Withdraw(old.Value.UID, old.Value.ID, false)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// watch has somebody work on what is running.
func (m *Manager) watch() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.wake:
		case <-m.ctx.Done():
			return
		}
		known := make(map[string]bool)
		for _, item := range m.store.List() {
			key := keyOf(item.Value.Subscription, item.Value.ID)
			known[key] = true
			m.look(key, item)
		}
		for key := range m.seen {
			if !known[key] {
				delete(m.seen, key)
			}
		}
	}
}

// look has this gateway work on a replay, when it should. One that is paused is looked at,
// too: its subscription may be deleted.
func (m *Manager) look(key string, item store.Item[*Replay]) {
	r := item.Value
	if r.State.Over() {
		if time.Since(r.UpdateTime) > keepOver {
			m.forget(m.ctx, item)
		}
		return
	}
	sub, err := m.Subscriptions.Get(r.Subscription)
	gone := err != nil || sub.UID != r.UID
	if r.State == Paused && !gone {
		return
	}
	if s, ok := m.seen[key]; !ok || s.revision != item.Revision {
		m.seen[key] = sighting{item.Revision, time.Now()}
	}
	free := r.Owner == "" || r.Owner == m.gateway || m.Embedded || time.Since(m.seen[key].at) > takeover
	if !free {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.workers[key] || m.ctx.Err() != nil {
		return
	}
	m.workers[key] = true
	m.wg.Go(func() {
		defer func() {
			m.mu.Lock()
			delete(m.workers, key)
			m.mu.Unlock()
		}()
		m.work(key, item.Etag())
	})
}

// forget removes a replay that is over, with what of it was never handed out.
func (m *Manager) forget(ctx context.Context, item store.Item[*Replay]) {
	r := item.Value
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	if sub, err := m.Subscriptions.Get(r.Subscription); err == nil && sub.UID == r.UID && r.State != Succeeded {
		if err := m.Subscriptions.ForgetReplay(ctx, sub, r.ID); err != nil {
			return // the next time
		}
	}
	_, _ = m.store.Delete(ctx, keyOf(r.Subscription, r.ID), item.Etag()) // or another gateway does
}

// requestTime bounds what is asked of the engine.
const requestTime = 10 * time.Second

// of answers the replays of subscriptions that have, or had, the id, in the order of
// their own.
func (m *Manager) of(id string) (out []store.Item[*Replay]) {
	for _, item := range m.store.List() {
		if item.Value.Subscription == id {
			out = append(out, item)
		}
	}
	return out
}

// makeRoom answers ErrTooMany, or forgets the oldest of those that are over.
func (m *Manager) makeRoom(ctx context.Context, id string) error {
	all := m.of(id)
	over := slices.DeleteFunc(slices.Clone(all), func(i store.Item[*Replay]) bool { return !i.Value.State.Over() })
	if len(all)-len(over) >= maxActive {
		return ErrTooMany
	}
	slices.SortFunc(over, func(a, b store.Item[*Replay]) int {
		return cmp.Or(a.Value.UpdateTime.Compare(b.Value.UpdateTime), cmp.Compare(a.Value.ID, b.Value.ID))
	})
	for len(over) >= maxOver {
		m.forget(ctx, over[0])
		over = over[1:]
	}
	return nil
}
