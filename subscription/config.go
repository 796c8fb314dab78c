package subscription

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// Check answers an *InvalidError with everything that is wrong with settings, or
// nil.
func (m *Manager) Check(s Settings) error {
	bad := s.withDefaults().check()
	_, err := m.compile(s.Selector)
	var invalid *InvalidError
	switch {
	case errors.As(err, &invalid):
		bad = append(bad, invalid.Violations...)
	case err != nil:
		return err
	}
	if len(bad) > 0 {
		return &InvalidError{bad}
	}
	return nil
}

// Draft answers what Create would make, but for uid, etag and start, and makes
// nothing. It does not look whether the id is taken.
func (m *Manager) Draft(id string, s Settings) (*Subscription, error) {
	if !ValidID(id) {
		return nil, &InvalidError{[]Violation{{Field: "subscription_id", Description: "must be a lower-case letter, then up to 62 letters, digits and hyphens"}}}
	}
	if err := m.Check(s); err != nil {
		return nil, err
	}
	now := time.Now()
	return &Subscription{ID: id, Settings: s.withDefaults(), Generation: 1, CreateTime: now, UpdateTime: now}, nil
}

// Create makes a subscription that begins at the position. It is in force on
// this gateway when the call returns. The error wraps ErrExists, ErrCursorExpired
// or ErrCursorUnknown, or is an *InvalidError.
func (m *Manager) Create(ctx context.Context, id string, s Settings, at Position) (*Subscription, error) {
	sub, err := m.Draft(id, s)
	if err != nil {
		return nil, err
	}
	switch _, err := m.Lookup(ctx, id); {
	case err == nil:
		return nil, fmt.Errorf("%s: %w", Name(id), ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	if sub.Start, err = m.resolve(ctx, at); err != nil {
		return nil, err
	}
	sub.UID = strings.ToLower(rand.Text()[:16])
	if err := m.engine.MakeQueue(ctx, m.mainQueue(sub)); err != nil {
		return nil, err
	}
	created, err := m.store.create(ctx, sub)
	if errors.Is(err, ErrExists) {
		err = errors.Join(err, m.engine.DeleteQueue(ctx, m.mainQueue(sub)))
	}
	return created, err
}

// Ensure makes the subscription when there is none, and answers the one there is
// when its settings are the same; at counts only when it is made. Otherwise the
// error is a *ConflictError.
func (m *Manager) Ensure(ctx context.Context, id string, s Settings, at Position) (sub *Subscription, created bool, err error) {
	for {
		if sub, err = m.Lookup(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
			return nil, false, err
		}
		if err == nil {
			if err := m.Check(s); err != nil {
				return nil, false, err
			}
			if fields := sub.differences(s.withDefaults()); len(fields) > 0 {
				return nil, false, &ConflictError{ID: id, Fields: fields}
			}
			return sub, false, nil
		}
		sub, err = m.Create(ctx, id, s, at)
		if !errors.Is(err, ErrExists) || ctx.Err() != nil {
			return sub, err == nil, err
		}
		// Somebody was faster. Create has looked what is there now.
	}
}

// Get answers the subscription with the id, or ErrNotFound.
func (m *Manager) Get(id string) (*Subscription, error) {
	if item, ok := m.store.Get(id); ok {
		return item.Value.sub, nil
	}
	if err := m.store.Readable(id); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s: %w", Name(id), ErrNotFound)
}

// List answers all subscriptions in the order of their ids.
func (m *Manager) List() []*Subscription { return m.store.list() }

// Update changes the settings by calling change with a copy; nothing of the
// Subscription but them can be changed. A changed selector applies to what is
// handed out from then on; Seek evaluates history anew. The error wraps
// ErrNotFound or ErrEtagMismatch (only with an etag), is an *InvalidError, or
// that of change; without an etag change may be called again. A change that
// changes nothing writes nothing.
func (m *Manager) Update(ctx context.Context, id, etag string, change func(*Settings) error) (*Subscription, error) {
	before, _ := m.Get(id)
	sub, err := m.store.update(ctx, id, etag, func(s *Subscription, _ *bool) (bool, error) {
		old := s.Settings
		if err := m.apply(s, change); err != nil {
			return false, err
		}
		return len(old.differences(s.Settings)) > 0, nil
	})
	if err != nil || before != nil && before.Etag == sub.Etag {
		return sub, err
	}
	if _, err = m.ensureQueue(ctx, sub, sub, m.mainQueue(sub)); errors.Is(err, errOutdated) {
		err = nil // who has sought it since has made its queue with these settings
	}
	return sub, err
}

// Preview answers what Update would make of it, but for time and etag, and keeps
// nothing.
func (m *Manager) Preview(ctx context.Context, id, etag string, change func(*Settings) error) (*Subscription, error) {
	st, err := m.store.Look(ctx, id, etag)
	if err != nil {
		return nil, err
	}
	next := *st.Value.sub
	if err := m.apply(&next, change); err != nil {
		return nil, err
	}
	return &next, nil
}

func (m *Manager) apply(s *Subscription, change func(*Settings) error) error {
	next := s.withDefaults() // a copy: it has them
	if err := change(&next); err != nil {
		return err
	}
	if err := m.Check(next); err != nil {
		return err
	}
	next = next.withDefaults()
	if fixed := Table.Fixed(s.differences(next), s.Message()); len(fixed) > 0 {
		return &InvalidError{fixed}
	}
	m.shorten(s, next.AckDeadline)
	s.Settings = next
	return nil
}

// Delete removes the subscription, its place in the log and its parked
// deliveries. Streams end with ErrDeleted.
func (m *Manager) Delete(ctx context.Context, id, etag string) error {
	sub, err := m.store.delete(ctx, id, etag)
	if err != nil {
		return err
	}
	return errors.Join(
		m.forgetMissed(ctx, sub.UID),
		m.engine.DeleteQueue(ctx, m.mainQueue(sub)),
		m.engine.DeleteQueue(ctx, m.replayQueue(sub)),
		m.parked.ForgetAll(ctx, sub.UID, true),
		m.forgetTallies(ctx, queueName(sub)),
		m.forgetTallies(ctx, replayName(sub)),
	)
}

// Pause ends handing out until Resume, on all gateways; each of them takes a
// moment to hear of it. What was handed out can be settled. Streams stay open
// and are told, Pull answers ErrPaused.
func (m *Manager) Pause(ctx context.Context, id, etag string) (*Subscription, error) {
	return m.setPaused(ctx, id, etag, true)
}

// Resume is the opposite of Pause.
func (m *Manager) Resume(ctx context.Context, id, etag string) (*Subscription, error) {
	return m.setPaused(ctx, id, etag, false)
}

func (m *Manager) setPaused(ctx context.Context, id, etag string, paused bool) (*Subscription, error) {
	return m.store.update(ctx, id, etag, func(s *Subscription, _ *bool) (bool, error) {
		changes := s.Paused != paused
		s.Paused = paused
		return changes, nil
	})
}

// Seek moves the subscription: everything from the position on is handed out,
// also what was settled, and nothing before it. Deliveries in force are over:
// their tokens are expired. Parked deliveries stay.
func (m *Manager) Seek(ctx context.Context, id, etag string, to Position) (*Subscription, error) {
	start, err := m.resolve(ctx, to)
	if err != nil {
		return nil, err
	}
	old, sub, err := m.seek(ctx, id, etag, start)
	for errors.Is(err, errOutdated) {
		old, sub, err = m.seek(ctx, id, etag, start)
	}
	if err != nil {
		return nil, err
	}
	return sub, errors.Join(
		m.engine.DeleteQueue(ctx, m.mainQueue(old)),
		m.forgetTallies(ctx, queueName(old)),
	)
}

// seek begins a generation, and answers how the subscription was before.
func (m *Manager) seek(ctx context.Context, id, etag string, start uint64) (old, sub *Subscription, err error) {
	sub, err = m.store.update(ctx, id, etag, func(s *Subscription, _ *bool) (bool, error) {
		before := *s
		old = &before
		s.Start, s.Generation = start, s.Generation+1
		_, err := m.ensureQueue(ctx, old, s, m.mainQueue(s))
		return true, err
	})
	return old, sub, err
}

// forgetTallies forgets what was handed out in vain of a queue that is gone.
func (m *Manager) forgetTallies(ctx context.Context, queue string) error {
	m.tallies.forgetQueue(queue)
	return m.tallies.kept.ForgetQueue(ctx, queue)
}

// resolve answers the sequence of the first event after the position.
func (m *Manager) resolve(ctx context.Context, p Position) (uint64, error) {
	log := m.engine.Events()
	b, err := log.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case p.Earliest:
		return b.First, nil
	case p.At != nil:
		return log.SeqAt(ctx, *p.At)
	case p.After == nil:
		return b.Last + 1, nil
	}
	c := p.After
	switch {
	case c.Incarnation != log.Incarnation() || c.Seq > b.Last:
		return 0, ErrCursorUnknown
	case c.Seq+1 < b.First:
		return 0, ErrCursorExpired
	}
	if c.Seq > 0 && !c.Time.IsZero() {
		e, err := m.hub.At(ctx, c.Seq)
		switch {
		case errors.Is(err, eventlog.ErrNotFound):
		case err != nil:
			return 0, err
		case !e.Time().Equal(c.Time):
			return 0, ErrCursorUnknown
		}
	}
	return c.Seq + 1, nil
}

const queuePrefix = "sub-"

func queueName(s *Subscription) string {
	// With its start: of two who seek at the same time one will be refused, and
	// must not have made the other's queue.
	return fmt.Sprintf("%s%s-%d-%d", queuePrefix, s.UID, s.Generation, s.Start)
}

// uidOfQueue answers the uid of the subscription that a queue of that name
// belongs to.
func uidOfQueue(name string) string {
	uid, _, _ := strings.Cut(strings.TrimPrefix(name, queuePrefix), "-")
	return uid
}

// holdMargin is how much longer than a delivery's deadline JetStream holds it,
// unless Options say otherwise: the home decides, and JetStream takes over when the
// home is gone.
const holdMargin = 10 * time.Second

// mainQueue is the queue of the subscription's events. Its Hold is the one to rely
// on: JetStream may be asked for a longer one, see ensureQueue.
func (m *Manager) mainQueue(s *Subscription) queue.Config {
	c := queue.Config{
		Name: queueName(s), From: s.Start, Hold: s.AckDeadline + m.opts.holdMargin,
		MaxHeld: s.MaxOutstandingEvents, Pinned: s.Ordering == OrderByEntity,
		Subjects: s.subjects(),
	}
	if c.Pinned {
		// Whoever takes over has room for all that is held then.
		c.MaxHeld = aheadOf(s)
	}
	return c
}

// subjects that cover what is selected; nil: all.
func (s *Subscription) subjects() []string {
	sel := s.Selector
	sources := make([]string, len(sel.GetSources()))
	for i, source := range sel.GetSources() {
		sources[i] = strings.TrimPrefix(source, "sources/")
	}
	return queue.EventSubjects(sources, sel.GetTypes())
}

func replayName(s *Subscription) string { return queuePrefix + s.UID + "-replays" }

func (m *Manager) replayQueue(s *Subscription) queue.Config {
	return queue.Config{
		Name: replayName(s), Replays: s.UID,
		Hold: s.AckDeadline + m.opts.holdMargin, MaxHeld: s.MaxOutstandingEvents,
	}
}

// asAsked answers a queue of the subscription as JetStream is asked for it. While
// deliveries may be in force that were handed out with a longer deadline, it holds
// for as long as that: a shorter hold is in force at once, also of what was handed
// out before.
func (m *Manager) asAsked(s *Subscription, c queue.Config) queue.Config {
	if s.lingers(m.now()) {
		c.Hold = max(c.Hold, s.FormerDeadline+m.opts.holdMargin)
	}
	return c
}

// lookAtQueue answers how a queue of the subscription stands, and makes it, or brings
// it up to date, when it is not as it should be. Mostly that is one question.
func (m *Manager) lookAtQueue(ctx context.Context, s *Subscription, c queue.Config) (st queue.State, made bool, err error) {
	st, err = m.engine.QueueState(ctx, m.asAsked(s, c))
	if err == nil && st.AsAsked {
		return st, false, nil
	}
	if err == nil || errors.Is(err, queue.ErrNoQueue) {
		made, err = m.ensureQueue(ctx, s, s, c)
	}
	if err == nil {
		st, err = m.engine.QueueState(ctx, c)
	}
	return st, made, err
}

// ensureQueue brings a queue of the subscription up to date, or makes it.
//
// A queue that is not there was deleted, most likely, by who sought or deleted the
// subscription, and made anew it would hand out once more what was settled. What is
// known here may be old. So the bucket is asked before: the error wraps errOutdated when
// it does not have the generation of known any more, and what it has is in force then.
func (m *Manager) ensureQueue(ctx context.Context, known, s *Subscription, c queue.Config) (made bool, err error) {
	c = m.asAsked(s, c)
	if err := m.engine.UpdateQueue(ctx, c); !errors.Is(err, queue.ErrNoQueue) {
		return false, err
	}
	if err := m.store.Refresh(ctx, known.ID); err != nil {
		return false, err
	}
	if now := m.store.byUID(known.UID); now == nil || now.Generation != known.Generation {
		return false, fmt.Errorf("%s: %w", Name(known.ID), errOutdated)
	}
	return true, m.engine.MakeQueue(ctx, c)
}

// errOutdated says that what was known of a subscription is so no more.
var errOutdated = fmt.Errorf("%w: it was changed a moment ago", eventlog.ErrUnavailable)

// lingers reports whether a delivery may be in force that was handed out with the
// former deadline.
func (s *Subscription) lingers(now time.Time) bool { return now.Before(s.FormerUntil) }

// tellTime is how long a gateway may take to hear of a change, the difference of the
// clocks of NATS's nodes included.
const tellTime = time.Minute

// shorten keeps in mind which deadline deliveries have that are in force when it is
// shortened.
func (m *Manager) shorten(s *Subscription, to time.Duration) {
	if to >= s.AckDeadline {
		return
	}
	now := m.now()
	former := s.AckDeadline
	if s.lingers(now) {
		former = max(former, s.FormerDeadline)
	}
	s.FormerDeadline, s.FormerUntil = former, now.Add(former+m.opts.holdMargin+tellTime)
}

// aheadOf answers how many events of an ordered subscription its gateway holds,
// to find those whose entity is free.
func aheadOf(s *Subscription) int { return min(max(4*s.MaxOutstandingEvents, 1000), 10_000) }
