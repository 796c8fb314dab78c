package replay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/store"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/subscription"
)

// A Request says what to replay, and to whom.
type Request struct {
	// Subscription is its id.
	Subscription string
	// ID of the replay; empty: one is made.
	ID string
	// Filter says which events, or Names does.
	Filter string
	Names  []string
	// Rate is how many are queued each second at most; 0: no bound.
	Rate int
}

// Draft answers what Create would begin. The error of a filter is a *query.Error.
func (m *Manager) Draft(ctx context.Context, req Request) (*Replay, error) {
	sub, err := m.Subscriptions.Find(ctx, req.Subscription)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	r := &Replay{
		ID: req.ID, Subscription: sub.ID, UID: sub.UID, Filter: req.Filter, Rate: req.Rate, Log: m.Hub.Incarnation().String(),
		Through: m.Hub.Head(), State: Running, CreateTime: now, UpdateTime: now,
	}
	if r.ID == "" {
		r.ID = "r" + now.Format("20060102t150405") + "-" + strings.ToLower(rand.Text()[:6])
	}
	if len(req.Names) > 0 {
		err = m.name(ctx, sub, r, req.Names)
	} else {
		err = m.count(ctx, r)
	}
	return r, err
}

// Create begins a replay.
func (m *Manager) Create(ctx context.Context, req Request) (*Replay, error) {
	if req.ID != "" {
		if _, ok := m.store.Get(keyOf(req.Subscription, req.ID)); ok { // rather than that it is one too many
			return nil, fmt.Errorf("%s: %w", subscription.ReplayName(req.Subscription, req.ID), ErrExists)
		}
	}
	r, err := m.Draft(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := m.makeRoom(ctx, r.Subscription); err != nil {
		return nil, err
	}
	item, err := m.store.Create(ctx, keyOf(r.Subscription, r.ID), r)
	return item.Value, err
}

// name takes the events that were named. Each must be there and be selected.
func (m *Manager) name(ctx context.Context, sub *subscription.Subscription, r *Replay, names []string) error {
	for _, name := range names {
		seq, err := m.Hub.Position(ctx, name)
		var e *hub.Event
		if err == nil {
			e, err = m.Hub.Find(ctx, seq)
		}
		switch {
		case errors.Is(err, eventlog.ErrNotFound), err == nil && !e.Readable():
			return &NamedError{Name: name, Gone: true}
		case err != nil:
			return err
		}
		selected, err := m.Subscriptions.Selects(ctx, sub, e)
		if err != nil {
			return err
		}
		if !selected {
			return &NamedError{Name: name}
		}
		r.Events = append(r.Events, seq)
	}
	slices.Sort(r.Events)
	r.Events = slices.Compact(r.Events)
	r.Through, r.Total = r.Events[len(r.Events)-1], int64(len(r.Events))
	return nil
}

const (
	// knowTime is how long is waited for the history to know the newest events, and
	// countTime how long for finding how many fit.
	knowTime  = time.Second
	countTime = 10 * time.Second
)

// count finds how many events fit the filter.
func (m *Manager) count(ctx context.Context, r *Replay) error {
	f, err := r.filter(ctx, m)
	if err != nil {
		return err
	}
	if m.History == nil || m.History.Await(ctx, r.Through, knowTime) > 0 {
		return ErrBehind
	}
	late := time.Now().Add(countTime)
	for seq, err := range m.History.Candidates(f, 0, true) {
		if err != nil {
			return errors.Join(eventlog.ErrUnavailable, err)
		}
		if seq > r.Through {
			break
		}
		if !f.Exact() {
			if time.Now().After(late) {
				return ErrBroad
			}
			fits, err := m.fits(ctx, f, seq)
			if err != nil {
				return err
			}
			if !fits {
				continue
			}
		}
		r.Total++
	}
	return ctx.Err()
}

// fits looks whether an event is there and is as a filter asks.
func (m *Manager) fits(ctx context.Context, f *history.Filter, seq uint64) (bool, error) {
	e, err := m.Hub.Find(ctx, seq)
	if errors.Is(err, eventlog.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	row, ok := history.RowOf(e.Record())
	return ok && f.Match(row), nil
}

// filter reads the filter of a replay. What it says of time is relative to its beginning.
func (r *Replay) filter(ctx context.Context, m *Manager) (*history.Filter, error) {
	f, err := history.ParseFilter(r.Filter, r.CreateTime, m.Hub.Incarnation())
	if err != nil {
		return nil, err
	}
	return f, f.Locate(ctx, m.Hub.Position)
}

// Get answers a replay, and how far it is.
func (m *Manager) Get(ctx context.Context, sub, id string) (*Replay, error) {
	item, err := m.store.Look(ctx, keyOf(sub, id), "")
	if err != nil {
		return nil, err
	}
	all, err := m.progress(ctx, sub, []store.Item[*Replay]{item})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// List answers the replays of a subscription in the order of their ids.
func (m *Manager) List(ctx context.Context, id string) ([]*Replay, error) {
	if _, err := m.Subscriptions.Find(ctx, id); err != nil {
		return nil, err
	}
	return m.progress(ctx, id, m.of(id))
}

// progress answers replays with what of them is settled by now.
func (m *Manager) progress(ctx context.Context, id string, items []store.Item[*Replay]) ([]*Replay, error) {
	var unsettled map[string]int
	sub, err := m.Subscriptions.Get(id)
	if err == nil && slices.ContainsFunc(items, func(i store.Item[*Replay]) bool { return !i.Value.State.Over() }) {
		if unsettled, err = m.Subscriptions.Unsettled(ctx, sub); err != nil {
			return nil, err
		}
	}
	out := make([]*Replay, 0, len(items))
	for _, item := range items {
		r := *item.Value
		if !r.State.Over() && sub != nil && sub.UID == r.UID {
			r.Settled = max(r.Settled, r.Queued-int64(unsettled[r.ID]), 0)
		}
		out = append(out, &r)
	}
	return out, nil
}

// Pause has a replay queue nothing more until Resume.
func (m *Manager) Pause(ctx context.Context, sub, id string) (*Replay, error) {
	return m.change(ctx, sub, id, Paused)
}

// Resume is the opposite of Pause.
func (m *Manager) Resume(ctx context.Context, sub, id string) (*Replay, error) {
	return m.change(ctx, sub, id, Running)
}

// Cancel ends a replay. What of it no gateway has taken up is handed out no more.
func (m *Manager) Cancel(ctx context.Context, sub, id string) (*Replay, error) {
	return m.change(ctx, sub, id, Cancelled)
}

func (m *Manager) change(ctx context.Context, sub, id string, to State) (*Replay, error) {
	now, err := m.Get(ctx, sub, id)
	if err != nil {
		return nil, err
	}
	_, err = m.store.Update(ctx, keyOf(sub, id), "", func(r *Replay) (*Replay, bool, error) {
		switch {
		case r.State == to:
			return r, false, nil
		case r.State.Over():
			return r, false, ErrOver
		}
		next := *r
		next.State, next.Reason, next.Settled, next.UpdateTime = to, "", min(now.Settled, r.Queued), time.Now().UTC()
		return &next, true, nil
	})
	if err != nil {
		return nil, err
	}
	return m.Get(ctx, sub, id)
}
