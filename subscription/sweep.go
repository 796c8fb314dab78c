package subscription

import (
	"context"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// sweepEvery is how often what a gateway left behind is looked for.
const sweepEvery = 10 * time.Minute

// sweep removes what belongs to no subscription: of a gateway that died while it
// made or deleted one.
func (m *Manager) sweep() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-m.ctx.Done():
			return
		}
		if err := m.sweepOnce(m.ctx, sweepEvery/2); err != nil && m.ctx.Err() == nil {
			m.logger.Warn("looking for what no subscription owns", "err", err)
		}
	}
}

// leftovers are what no subscription owns, as far as is known here.
type leftovers struct {
	queues []queue.Config
	parked []string // uids
	acks   []string // names of queues
}

// sweepOnce removes leftovers. Queues that were not seen here for as long as young, at
// least, may be in the making: when they were made, only another clock than ours says.
//
// What is known here may be old: so before anything is destroyed the bucket is
// asked, where whoever leads it answers. What is there in a form that cannot be
// read may own anything.
func (m *Manager) sweepOnce(ctx context.Context, young time.Duration) error {
	found, err := m.leftovers(ctx, young)
	if err != nil || len(found.queues) == 0 && len(found.parked) == 0 && len(found.acks) == 0 {
		return err
	}
	proven := m.store.bucket.Proof()
	owners, err := m.store.latest(ctx)
	if err == nil {
		err = proven(ctx)
	}
	if err != nil {
		return err
	}
	for _, q := range found.queues {
		if owners.ownsQueue(q.Name) {
			continue
		}
		if err := m.engine.DeleteQueue(ctx, q); err != nil {
			return fmt.Errorf("queue %s: %w", q.Name, err)
		}
		m.logger.Info("removed a queue without a subscription", "queue", q.Name)
	}
	for _, name := range found.acks {
		if !owners.ownsQueue(name) {
			m.acks.Forget(name)
		}
	}
	for _, uid := range found.parked {
		if owners.hasUID(uid) {
			continue
		}
		if err := m.parked.ForgetAll(ctx, uid, true); err != nil {
			return fmt.Errorf("parked deliveries of %s: %w", uid, err)
		}
		m.logger.Info("removed parked deliveries without a subscription", "uid", uid)
	}
	return nil
}

func (m *Manager) leftovers(ctx context.Context, young time.Duration) (out leftovers, err error) {
	names, err := m.engine.QueueNames(ctx, queuePrefix)
	if err != nil {
		return out, err
	}
	queues := make([]queue.Config, 0, len(names))
	for _, name := range names {
		queues = append(queues, queue.Config{Name: name})
	}
	replays, err := m.parked.QueueNames(ctx, queuePrefix)
	if err != nil {
		return out, err
	}
	for _, name := range replays {
		queues = append(queues, queue.Config{Name: name, Replays: uidOfQueue(name)})
	}
	seen := make(map[string]time.Time)
	for _, q := range queues {
		if m.store.ownsQueue(q.Name) {
			continue
		}
		at, before := m.strays[q.Name]
		if !before {
			at = time.Now()
		}
		seen[q.Name] = at
		if time.Since(at) >= young {
			out.queues = append(out.queues, q)
		}
	}
	m.strays = seen
	if m.acks != nil {
		for _, name := range m.acks.Queues() {
			if !m.store.ownsQueue(name) {
				out.acks = append(out.acks, name)
			}
		}
	}
	uids, err := m.parked.Owners(ctx)
	for _, uid := range uids {
		if !m.store.hasUID(uid) {
			out.parked = append(out.parked, uid)
		}
	}
	return out, err
}

// latest answers all subscriptions as the bucket has them at this moment. It fails
// when one of them cannot be read.
func (s *store) latest(ctx context.Context) (uids, error) {
	now := make(uids)
	var unreadable error
	err := s.bucket.Latest(ctx, 0, func(c eventlog.Change) {
		if c.Value == nil || !ValidID(c.Key) {
			return
		}
		st, err := decode(c.Key, c.Value, c.Revision)
		if err != nil {
			unreadable = fmt.Errorf("nothing is removed: %s: %w: %w", Name(c.Key), ErrUnreadable, err)
			return
		}
		now[st.sub.UID] = st.sub
	})
	if err == nil {
		err = unreadable
	}
	return now, err
}
