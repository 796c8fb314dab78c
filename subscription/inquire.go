package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What is known here of subscriptions may be old: a gateway may hear of a change late,
// for as long as the node is away that tells it. Tokens of what it has not heard of come
// from other gateways all the same. So before one is refused for good the bucket is
// asked, and as long as it gives no answer the consumer is to say it again.

// inquireGather is how long a question to the bucket waits for others that want the same.
const inquireGather = 20 * time.Millisecond

// inquire puts in force here what the bucket holds of the subscription with the id, as of
// some time after the call. Unless known answers true then, it waits for proof that the
// answer is not of a leader that is cut off, and has heard of nothing itself. An error
// says that nothing is known.
func (m *Manager) inquire(ctx context.Context, id string, known func() bool) error {
	proven, err := m.inquiries.Get(ctx, id)
	if err != nil || known() {
		return err
	}
	if err := proven(ctx); err != nil {
		return fmt.Errorf("%s is not known here, and may be elsewhere: %w", Name(id), err)
	}
	return nil
}

// inquireOnce asks for all who have come by then. Of a flood of tokens few ask.
func (m *Manager) inquireOnce(id string, sent func()) (proven func(context.Context) error, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	time.Sleep(inquireGather)
	if err := m.asking.begin(ctx); err != nil {
		return nil, err
	}
	defer m.asking.end()
	sent()
	proven = m.store.bucket.Proof()
	return proven, m.store.refresh(ctx, id)
}

// refresh puts in force what the bucket holds of a subscription, of all of them when the
// id is empty.
func (s *store) refresh(ctx context.Context, id string) error {
	if id != "" {
		return s.Refresh(ctx, id)
	}
	now, err := s.latest(ctx)
	if err != nil {
		return err
	}
	for uid, sub := range now {
		if known := s.byUID(uid); known == nil || known.Generation < sub.Generation {
			if err := s.Refresh(ctx, sub.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Find is Get that asks the bucket before it says that there is none.
func (m *Manager) Find(ctx context.Context, id string) (*Subscription, error) {
	sub, err := m.Get(id)
	if !errors.Is(err, ErrNotFound) {
		return sub, err
	}
	if err := m.inquire(ctx, id, func() bool { _, err := m.Get(id); return err == nil }); err != nil {
		return nil, err
	}
	return m.Get(id)
}

// Lookup is Get of what the bucket holds at this moment. What is known here may be
// deleted, or another one that has the name.
func (m *Manager) Lookup(ctx context.Context, id string) (*Subscription, error) {
	if _, err := m.Get(id); errors.Is(err, ErrNotFound) {
		return nil, err // who makes one hears when there is one
	}
	if err := m.inquire(ctx, id, func() bool { return true }); err != nil {
		return nil, err
	}
	return m.Get(id)
}

// ofGeneration answers the subscription with the uid when it is of the generation, and
// else what that says of a token: only what is known to be over is.
func (m *Manager) ofGeneration(ctx context.Context, uid string, n int) (*Subscription, Outcome) {
	sub := m.store.byUID(uid)
	if sub != nil && sub.Generation < n { // this gateway has not heard of it
		if err := m.inquire(ctx, sub.ID, func() bool { return m.store.hasUID(uid) }); err != nil {
			return nil, Unavailable
		}
		sub = m.store.byUID(uid)
	}
	switch {
	case sub == nil:
		return nil, Gone
	case sub.Generation < n:
		return nil, Unavailable
	case sub.Generation > n:
		return nil, Expired
	}
	return sub, 0
}
