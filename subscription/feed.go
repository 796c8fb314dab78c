package subscription

import (
	"context"
	"errors"
	"sync"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/hub"
)

// Events of the log are replayed as what was parked is: they lie at the subscription's
// second queue until they are settled. Who feeds them, how many at a time and which, is
// package replay's; here is what it stands on.

// ReplayName answers the resource name of a replay of the subscription with the id.
func ReplayName(id, replay string) string { return Name(id) + "/replays/" + replay }

// Feed has an event handed out for the replay with the id, and returns when it is
// durable. What is fed again within some minutes is handed out once. The error wraps
// ErrDeleted when there is no such subscription any more, and eventlog.ErrFull when
// there is as much parked as may be.
func (m *Manager) Feed(ctx context.Context, sub *Subscription, replay string, rec event.Record) error {
	if !m.store.hasUID(sub.UID) {
		return ErrDeleted
	}
	return m.parked.Feed(ctx, sub.UID, replay, rec)
}

// OpenReplays is called before a subscription is fed something.
func (m *Manager) OpenReplays(ctx context.Context, sub *Subscription) error {
	return m.openReplays(ctx, sub.ID)
}

// TellFed tells the gateways that something was fed, rather than have them find it some
// seconds later.
func (m *Manager) TellFed(sub *Subscription) { m.bus.Tell(tellReplayed, []byte(sub.UID)) }

// Unsettled answers how many events of each replay lie at the subscription's queue, by
// its id. Some may be settled: see ForgetSettled.
func (m *Manager) Unsettled(ctx context.Context, sub *Subscription) (map[string]int, error) {
	return m.parked.Fed(ctx, sub.UID)
}

// ForgetSettled removes what was replayed and settled, and lies there because its
// gateway ended before it was removed. It reads all that lies there.
func (m *Manager) ForgetSettled(ctx context.Context, sub *Subscription) error {
	q := m.replayQueue(sub)
	st, err := m.engine.QueueState(ctx, q)
	if err != nil {
		return err
	}
	for from := uint64(1); ; {
		e, err := m.parked.NextFed(ctx, sub.UID, from)
		if errors.Is(err, eventlog.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if e.ID <= st.Floor || m.wasSettled(q.Name, e.ID) {
			if err := m.parked.Forget(ctx, e.ID); err != nil {
				return err
			}
		}
		from = e.ID + 1
	}
}

// ForgetReplay removes what lies at the subscription's queue for a replay.
func (m *Manager) ForgetReplay(ctx context.Context, sub *Subscription, replay string) error {
	for from := uint64(1); ; {
		e, err := m.parked.NextFed(ctx, sub.UID, from)
		if errors.Is(err, eventlog.ErrNotFound) {
			return nil
		}
		if err == nil && e.Replay == replay {
			err = m.parked.Forget(ctx, e.ID)
		}
		if err != nil {
			return err
		}
		from = e.ID + 1
	}
}

// Selects reports whether the subscription selects an event.
func (m *Manager) Selects(ctx context.Context, sub *Subscription, e *hub.Event) (bool, error) {
	match, err := m.compile(sub.Selector)
	if err != nil {
		return false, err
	}
	selected := match(ctx, e)
	if ctx.Err() != nil { // who is interrupted matches nothing
		return false, context.Cause(ctx)
	}
	return selected, nil
}

// withdrawals are replays of which nothing more is handed out.
type withdrawals struct {
	mu  sync.RWMutex
	all map[withdrawal]bool
}

type withdrawal struct{ uid, replay string }

// has reports whether an entry is of one of them; nil is an event.
func (w *withdrawals) has(uid string, e *queue.ParkedEntry) bool {
	if e == nil || e.Replay == "" {
		return false
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.all[withdrawal{uid, e.Replay}]
}

// Withdraw has this gateway hand out nothing more of a replay that it has not taken up
// yet: what arrives is settled. It forgets that when over is false.
func (m *Manager) Withdraw(uid, replay string, over bool) {
	m.withdrawn.mu.Lock()
	defer m.withdrawn.mu.Unlock()
	if m.withdrawn.all == nil {
		m.withdrawn.all = make(map[withdrawal]bool)
	}
	if over {
		m.withdrawn.all[withdrawal{uid, replay}] = true
	} else {
		delete(m.withdrawn.all, withdrawal{uid, replay})
	}
}
