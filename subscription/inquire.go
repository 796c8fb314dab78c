package subscription

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// What is known here of subscriptions may be old: a gateway may hear of a change late,
// for as long as the node is away that tells it. Tokens of what it has not heard of come
// from other gateways all the same. So before one is refused for good the bucket is
// asked, and as long as it gives no answer the consumer is to say it again.

// inquireGather is how long a question to the bucket waits for others that want the same.
const inquireGather = 20 * time.Millisecond

// inquiries are questions to the bucket that are about to be asked, by id of a subscription.
// Who comes before one is sent shares the answer: of a flood of tokens few ask.
type inquiries struct {
	mu   sync.Mutex
	soon map[string]*inquiry
}

// inquiry is one question. What follows done may be read when that is closed.
type inquiry struct {
	done chan struct{}
	sent time.Time
	err  error
}

// join answers the next question about a subscription, and whether it is to be asked by
// who is answered.
func (q *inquiries) join(id string) (one *inquiry, first bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if one = q.soon[id]; one != nil {
		return one, false
	}
	if q.soon == nil {
		q.soon = make(map[string]*inquiry)
	}
	one = &inquiry{done: make(chan struct{})}
	q.soon[id] = one
	return one, true
}

// begin ends joining: what changes from now on, the answer may not know.
func (q *inquiries) begin(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.soon, id)
}

// inquire puts in force here what the bucket holds of the subscription with the id, as of
// some time after the call. Unless known answers true then, it waits for proof that the
// answer is not of a leader that is cut off, and has heard of nothing itself. An error
// says that nothing is known.
func (m *Manager) inquire(ctx context.Context, id string, known func() bool) error {
	one, first := m.inquiries.join(id)
	if first {
		m.inquireOnce(ctx, id, one)
	}
	select {
	case <-one.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if one.err == nil && !known() && !m.proven(ctx, one.sent) {
		return fmt.Errorf("%w: %s is not known here, and may be elsewhere", eventlog.ErrUnavailable, Name(id))
	}
	return one.err
}

// inquireOnce asks for all that have joined, whether the first of them waits or not.
func (m *Manager) inquireOnce(ctx context.Context, id string, one *inquiry) {
	defer close(one.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	time.Sleep(inquireGather)
	one.err = m.asking.begin(ctx)
	m.inquiries.begin(id)
	if one.err == nil {
		defer m.asking.end()
		one.sent = time.Now()
		one.err = m.store.refresh(ctx, id)
	}
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
