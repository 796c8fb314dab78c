package subscription

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// onceFor names one parking, so that trying it again keeps one entry, whichever
// hand-out it is tried after: a message of a queue is parked once.
func onceFor(queue queue.Config, w queue.Word) string {
	return fmt.Sprintf("park-%s-%d", queue.Name, w.Seq)
}

// park sets the event of a delivery aside, as its consumer said or because it was
// the last attempt.
func (h *home) park(ctx context.Context, s settlement) {
	err := h.setAside(ctx, s.hold, s.hold.attempt(), s.Reason)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		h.m.logger.Warn("an event could not be parked", "subscription", h.sub.ID, "seq", s.hold.event.Seq(), "err", err)
	}
	if !h.concludeOne(s, err == nil && h.inTime(s.hold)) {
		return
	}
	h.parked.Add(1)
	s.result.Outcome = Parked
	h.finish(s, Parked)
}

// setAside keeps the event with the parked ones and settles its message.
func (h *home) setAside(ctx context.Context, hd *hold, attempts int, reason string) error {
	h.mu.Lock()
	q, w := *hd.queue, hd.word(queue.Settled, 0)
	entry := queue.ParkedEntry{Record: hd.record(), Attempts: attempts, Reason: reason, ClientID: hd.clientID, HandOut: hd.HandOut}
	h.mu.Unlock()
	if err := h.m.parked.Put(ctx, h.uid, onceFor(q, w), entry); err != nil {
		return err
	}
	if !h.m.keepFinal(ctx, q, []queue.Word{w})[0] {
		return fmt.Errorf("%w: it is parked, and not settled", eventlog.ErrUnavailable)
	}
	return nil
}

// parkAgain is when an event that could not be parked is tried again.
const parkAgain = 5 * time.Second

// parkLater parks a hold that no settlement waits for. The caller holds mu.
func (h *home) parkLater(hd *hold, reason string) {
	hd.stage, hd.done = settling, make(chan struct{})
	h.bytes += hd.size // as anything that is settling
	h.force++
	go func() {
		ctx, cancel := context.WithTimeout(h.ctx, requestTime)
		defer cancel()
		err := h.setAside(ctx, hd, hd.Failed, reason)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.endSettling(hd)
		if h.holds[hd.key] != hd {
			return
		}
		if err == nil {
			h.parked.Add(1)
			h.finish(settlement{order: order{Settlement: Settlement{Verdict: Retry}}, hold: hd}, Parked)
			return
		}
		h.doubted = true
		if h.ctx.Err() == nil {
			h.m.logger.Warn("an event could not be parked, trying again", "subscription", h.sub.ID, "seq", hd.event.Seq(), "err", err)
		}
		if h.lanes != nil && h.lanes.serving() { // the next of its entity waits for it
			h.withdraw(hd)
			h.wait(hd, parkAgain)
			return
		}
		h.drop(hd)
		h.back(hd, parkAgain)
	}()
}

// forget removes a replayed entry that is settled. Left over, it is never handed
// out again, and goes with the subscription.
func (m *Manager) forget(id uint64) {
	ctx, cancel := context.WithTimeout(m.ctx, requestTime)
	defer cancel()
	if err := m.parked.Forget(ctx, id); err != nil && m.ctx.Err() == nil {
		m.logger.Debug("forgetting a replayed entry", "err", err)
	}
}

// ListParked answers up to max parked deliveries in the order they were parked,
// and the token of the next page, empty after the last.
func (m *Manager) ListParked(ctx context.Context, id string, max int, pageToken string) (out []ParkedDelivery, next string, err error) {
	return m.FindParked(ctx, id, max, pageToken, func(ParkedDelivery) (bool, error) { return true, nil })
}

// maxFindParked is how many parked deliveries one call looks at: each is read.
const maxFindParked = 2000

// FindParked is ListParked of those that are wanted. A call looks at a bounded
// number: fewer than max, or none, may be answered with the token of a next page.
func (m *Manager) FindParked(ctx context.Context, id string, max int, pageToken string, wanted func(ParkedDelivery) (bool, error)) (out []ParkedDelivery, next string, err error) {
	return m.findParked(ctx, id, max, maxFindParked, pageToken, wanted)
}

func (m *Manager) findParked(ctx context.Context, id string, max, most int, pageToken string, wanted func(ParkedDelivery) (bool, error)) (out []ParkedDelivery, next string, err error) {
	sub, err := m.Find(ctx, id)
	if err != nil {
		return nil, "", err
	}
	var from uint64
	if pageToken != "" {
		if from, err = strconv.ParseUint(pageToken, 36, 64); err != nil {
			return nil, "", ErrPageToken
		}
	}
	for looked := 0; ; looked++ {
		entry, err := m.parked.Next(ctx, sub.UID, from)
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
			return out, "", nil
		case err != nil:
			return nil, "", err
		case len(out) == max, looked == most:
			return out, strconv.FormatUint(entry.ID, 36), nil
		}
		p := ParkedDelivery{
			ID: strconv.FormatUint(entry.ID, 10), Event: m.hub.Of(entry.Record), Attempts: entry.Attempts,
			Reason: entry.Reason, ParkTime: entry.Time, ClientID: entry.ClientID,
		}
		if ok, err := wanted(p); err != nil {
			return nil, "", err
		} else if ok {
			out = append(out, p)
		}
		from = entry.ID + 1
	}
}

// ReplayParked hands parked deliveries out again, with their attempts counted
// anew, to the consumers of the subscription, and answers how many. With dry it
// only counts.
func (m *Manager) ReplayParked(ctx context.Context, id string, which Selection, dry bool) (int, error) {
	sub, err := m.Find(ctx, id)
	if err != nil {
		return 0, err
	}
	if !dry {
		if err := m.openReplays(ctx, id); err != nil {
			return 0, err
		}
		defer func() { m.bus.Tell(tellReplayed, []byte(sub.UID)) }()
	}
	return m.eachParked(ctx, sub, which, func(e queue.ParkedEntry) error {
		if dry {
			return nil
		}
		if err := m.parked.Replay(ctx, sub.UID, e); err != nil {
			return err
		}
		return m.parked.Forget(ctx, e.ID)
	})
}

// openReplays makes the second queue when nothing was replayed yet.
func (m *Manager) openReplays(ctx context.Context, id string) error {
	_, err := m.store.update(ctx, id, "", func(s *Subscription, replays *bool) (bool, error) {
		if *replays {
			return false, nil
		}
		*replays = true
		_, err := m.ensureQueue(ctx, s, s, m.replayQueue(s))
		return true, err
	})
	return err
}

func (m *Manager) hearReplayed(data []byte) []byte {
	if h := m.known(string(data)); h != nil {
		h.mu.Lock()
		h.hungry = true
		if h.lanes != nil && !h.lanes.active() {
			h.lanes.lookSoon() // it may be for us, when nobody has the pin
		}
		h.mu.Unlock()
		h.poke()
	}
	return nil
}

// PurgeParked forgets parked deliveries and answers how many. With dry it only
// counts.
func (m *Manager) PurgeParked(ctx context.Context, id string, which Selection, dry bool) (int, error) {
	sub, err := m.Find(ctx, id)
	if err != nil {
		return 0, err
	}
	if which.All {
		n, err := m.parked.Count(ctx, sub.UID)
		if err != nil || dry || n == 0 {
			return n, err
		}
		return n, errors.Join(m.parked.ForgetAll(ctx, sub.UID, false), m.parked.Sync(ctx))
	}
	n, err := m.eachParked(ctx, sub, which, func(e queue.ParkedEntry) error {
		if dry {
			return nil
		}
		return m.parked.Forget(ctx, e.ID)
	})
	if err == nil && !dry && n > 0 {
		err = m.parked.Sync(ctx)
	}
	return n, err
}

// eachParked calls fn with the selected entries that there were when it began,
// and counts them.
func (m *Manager) eachParked(ctx context.Context, sub *Subscription, which Selection, fn func(queue.ParkedEntry) error) (n int, err error) {
	visit := func(from uint64, exact bool) (queue.ParkedEntry, bool, error) {
		e, err := m.parked.Next(ctx, sub.UID, from)
		if errors.Is(err, eventlog.ErrNotFound) || err == nil && exact && e.ID != from {
			return e, false, nil
		}
		return e, err == nil, err
	}
	if which.All {
		count, err := m.parked.Count(ctx, sub.UID)
		if err != nil {
			return 0, err
		}
		for from := uint64(1); n < count; n++ {
			e, ok, err := visit(from, false)
			if err != nil || !ok {
				return n, err
			}
			if err := fn(e); err != nil {
				return n, err
			}
			from = e.ID + 1
		}
		return n, nil
	}
	for _, id := range which.IDs {
		no, err := strconv.ParseUint(id, 10, 64)
		if err != nil || no == 0 {
			continue
		}
		e, ok, err := visit(no, true)
		if err != nil {
			return n, err
		}
		if !ok {
			continue
		}
		if err := fn(e); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
