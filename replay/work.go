package replay

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/history"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/subscription"
)

const (
	// maxBatch is how many events are queued at once, after which what was is kept.
	maxBatch = 64
	// maxWindow bounds the events of a replay that lie at the queue, and windowBytes about
	// how many bytes they have.
	maxWindow   = 500
	windowBytes = 16 << 20
	// glance and rest are how long is waited for what is queued to be settled, at first
	// and at most; again is how long after what did not work.
	glance = 100 * time.Millisecond
	rest   = 2 * time.Second
	again  = 2 * time.Second
	// sweepEvery is how often what lies there, and may be settled, is looked at.
	sweepEvery = 30 * time.Second
)

var (
	// errLost says that this gateway does not work on a replay any more.
	errLost = errors.New("replay: another gateway works on it, or it is not running")
	// errReplaced fails a replay whose log is gone.
	errReplaced = errors.New("the log was replaced since")
	// errDeleted fails one whose subscription is gone.
	errDeleted = errors.New("the subscription was deleted")
)

// A worker queues the events of one replay.
type worker struct {
	m   *Manager
	key string
	r   *Replay // as it was kept last, but for what it has done since
	sub *subscription.Subscription

	filter *history.Filter // nil when events were named
	next   func() (uint64, error, bool)
	end    func()

	lying    int       // at the queue, at most
	fed      int       // by this worker
	bytes    int64     // that those had
	credit   float64   // how many the rate lets through
	paidAt   time.Time // when credit was
	keptAt   time.Time
	sweptAt  time.Time
	sawLying int
}

// work works on a replay until it is over or not this gateway's.
func (m *Manager) work(key, etag string) {
	w := &worker{m: m, key: key, paidAt: time.Now(), sweptAt: time.Now()}
	if !w.claim(etag) {
		return
	}
	defer w.close()
	for m.ctx.Err() == nil {
		err := w.run()
		switch {
		case errors.Is(err, errLost):
			w.leave()
			return
		case err == nil:
			w.conclude(Succeeded, "")
			return
		case errors.Is(err, errReplaced) || errors.Is(err, errDeleted):
			w.conclude(Failed, err.Error())
			return
		case m.ctx.Err() != nil:
		default:
			m.Logger.Warn("a replay does not go on", "replay", w.r.Name(), "err", err)
			w.reason(waitsFor(err))
			w.pause(again)
		}
		w.close()
	}
	w.leave()
}

// waitsFor says to people what a replay waits for after an error.
func waitsFor(err error) string {
	switch {
	case errors.Is(err, ErrBehind):
		return "the history of the gateway does not know all of its events yet"
	case errors.Is(err, eventlog.ErrFull):
		return "there is no room: replay or purge what is parked, or give the gateway more"
	}
	return "the log cannot be read or written now"
}

// claim has this gateway work on the replay, unless another one was faster.
func (w *worker) claim(etag string) bool {
	ctx, cancel := context.WithTimeout(w.m.ctx, requestTime)
	defer cancel()
	item, err := w.m.store.Update(ctx, w.key, etag, func(r *Replay) (*Replay, bool, error) {
		next := *r
		next.Owner = w.m.gateway
		return &next, true, nil
	})
	if err != nil {
		return false
	}
	w.r = item.Value
	w.keptAt = time.Now()
	return true
}

// save keeps how far the replay is. errLost: it is not ours, or not running, any more.
func (w *worker) save(change func(*Replay)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.m.ctx), requestTime)
	defer cancel()
	item, err := w.m.store.Update(ctx, w.key, "", func(now *Replay) (*Replay, bool, error) {
		if now.Owner != w.m.gateway {
			return now, false, errLost
		}
		next := *now
		next.Cursor, next.Queued, next.Unselected, next.Missed = w.r.Cursor, w.r.Queued, w.r.Unselected, w.r.Missed
		change(&next)
		return &next, true, nil
	})
	switch {
	case errors.Is(err, errLost), errors.Is(err, ErrNotFound):
		return errLost
	case err != nil:
		return err
	}
	w.r, w.keptAt = item.Value, time.Now()
	if w.r.State != Running {
		return errLost
	}
	return nil
}

// progressed is what save is called with after some events.
func (w *worker) progressed(r *Replay) { r.UpdateTime, r.Reason = time.Now().UTC(), "" }

// reason tells what it waits for.
func (w *worker) reason(text string) {
	if w.r.Reason != text {
		_ = w.save(func(r *Replay) { r.Reason = text })
	}
}

// conclude ends the replay, if it is running still.
func (w *worker) conclude(s State, reason string) {
	err := w.save(func(r *Replay) {
		r.Owner = ""
		if r.State.Over() || s == Succeeded && r.State != Running {
			return
		}
		r.State, r.Reason, r.UpdateTime = s, reason, time.Now().UTC()
		if s == Succeeded {
			r.Settled = r.Queued
		}
	})
	if err == nil || errors.Is(err, errLost) {
		w.m.Logger.Info("a replay is over", "replay", w.r.Name(), "state", string(w.r.State), "reason", w.r.Reason,
			"queued", w.r.Queued, "unselected", w.r.Unselected, "missed", w.r.Missed)
	}
}

// leave lets others work on it.
func (w *worker) leave() {
	_ = w.save(func(r *Replay) { r.Owner = "" })
}

func (w *worker) close() {
	if w.end != nil {
		w.end()
		w.next, w.end = nil, nil
	}
}

// pause waits, but not longer than the manager lives.
func (w *worker) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.m.ctx.Done():
	}
}

// run queues all that is left and returns nil when it is settled.
func (w *worker) run() error {
	if err := w.begin(); err != nil {
		return err
	}
	for wait := glance; ; {
		if err := w.check(); err != nil {
			return err
		}
		n, more, err := w.step()
		switch {
		case err != nil:
			return err
		case n > 0:
			wait = glance
			continue
		case !more && w.lying == 0:
			return nil
		}
		if err := w.idle(); err != nil {
			return err
		}
		if more && w.paces() {
			w.pause(w.pace())
			continue
		}
		w.pause(wait)
		wait = min(2*wait, rest)
	}
}

// begin looks whether the replay can go on, and from where.
func (w *worker) begin() (err error) {
	if err := w.check(); err != nil {
		return err
	}
	if w.r.Log != w.m.Hub.Incarnation().String() {
		return errReplaced
	}
	ctx, cancel := context.WithTimeout(w.m.ctx, requestTime)
	defer cancel()
	if err := w.m.Subscriptions.OpenReplays(ctx, w.sub); err != nil {
		return err
	}
	if w.r.Filter != "" {
		if w.filter, err = w.r.filter(ctx, w.m); err != nil {
			return err
		}
		if w.m.History == nil || w.m.History.Applied() < w.r.Through {
			return ErrBehind
		}
	}
	w.next, w.end = iter.Pull2(w.left())
	return w.recount(ctx)
}

// check looks after the subscription, and whether the replay is to go on.
func (w *worker) check() error {
	ctx, cancel := context.WithTimeout(w.m.ctx, requestTime)
	defer cancel()
	sub, err := w.m.Subscriptions.Find(ctx, w.r.Subscription)
	switch {
	case errors.Is(err, subscription.ErrNotFound), err == nil && sub.UID != w.r.UID:
		return errDeleted
	case err != nil:
		return err
	}
	w.sub = sub
	item, ok := w.m.store.Get(w.key)
	if !ok || item.Value.Owner != w.m.gateway || item.Value.State != Running {
		return errLost
	}
	return w.m.ctx.Err()
}

// left answers the events behind the cursor.
func (w *worker) left() iter.Seq2[uint64, error] {
	if w.filter != nil {
		return w.m.History.Candidates(w.filter, w.r.Cursor+1, true)
	}
	return func(yield func(uint64, error) bool) {
		for _, seq := range w.r.Events {
			if seq > w.r.Cursor && !yield(seq, nil) {
				return
			}
		}
	}
}

// recount asks how many events lie at the queue.
func (w *worker) recount(ctx context.Context) error {
	all, err := w.m.Subscriptions.Unsettled(ctx, w.sub)
	w.lying = all[w.r.ID]
	return err
}

// space is how many more may lie at the queue.
func (w *worker) space() int {
	window := maxWindow
	if w.fed > 0 {
		window = min(window, max(int(windowBytes*int64(w.fed)/max(w.bytes, 1)), 1))
	}
	return window - w.lying
}

// earn answers how many events the rate lets through now. What was not used is not made up
// for: it is no more than a fifth of a second of it.
func (w *worker) earn() int {
	rate := float64(w.r.Rate)
	if rate == 0 {
		return maxBatch
	}
	now := time.Now()
	w.credit = min(w.credit+now.Sub(w.paidAt).Seconds()*rate, max(rate/5, 1))
	w.paidAt = now
	return int(w.credit)
}

// paces reports whether it is the rate that has it wait.
func (w *worker) paces() bool { return w.r.Rate > 0 && w.space() > 0 }

// pace is how long the rate has it wait.
func (w *worker) pace() time.Duration {
	return max(time.Duration((1-w.credit)/float64(w.r.Rate)*float64(time.Second)), glance)
}

// step queues a batch and keeps that it did. n is how many events it has done with; more:
// there are, or may be.
func (w *worker) step() (n int, more bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.m.ctx), requestTime) // what is begun is kept
	defer cancel()
	space := w.space()
	if space <= 0 {
		return 0, true, w.recount(ctx)
	}
	room := min(space, maxBatch, w.earn())
	if room == 0 {
		return 0, true, nil
	}
	b, err := w.batch(ctx, room)
	if err != nil {
		return 0, true, err
	}
	if b.looked == 0 {
		return 0, false, w.finish(ctx)
	}
	if err := w.feed(ctx, b.events); err != nil {
		return 0, true, err
	}
	w.r = b.of(w.r)
	w.credit -= float64(len(b.events))
	w.lying += len(b.events)
	return b.looked, true, w.save(w.progressed)
}

// finish waits for what is queued: all is.
func (w *worker) finish(ctx context.Context) error {
	missed := w.r.Total - w.r.Queued - w.r.Unselected
	if missed > 0 && w.r.Missed != missed {
		next := *w.r
		next.Missed = missed
		w.r = &next
		if err := w.save(w.progressed); err != nil {
			return err
		}
	}
	return w.recount(ctx)
}

// A batch is what was found of the events that are left.
type batch struct {
	events             []*hub.Event
	looked, unselected int
	cursor             uint64
}

// of answers a replay that has done with the batch.
func (b batch) of(r *Replay) *Replay {
	next := *r
	next.Cursor, next.Queued, next.Unselected = b.cursor, r.Queued+int64(len(b.events)), r.Unselected+int64(b.unselected)
	return &next
}

// batch finds events to queue, up to room of them. What is passed over is bounded, too.
func (w *worker) batch(ctx context.Context, room int) (b batch, err error) {
	for len(b.events) < room && b.looked < 10*maxBatch {
		seq, err, ok := w.next()
		if err != nil {
			return b, errors.Join(eventlog.ErrUnavailable, err)
		}
		if !ok || seq > w.r.Through {
			return b, nil
		}
		b.cursor = seq
		b.looked++
		e, err := w.m.Hub.Find(ctx, seq)
		switch {
		case errors.Is(err, eventlog.ErrNotFound), err == nil && !e.Readable():
			continue // missed
		case err != nil:
			return b, err
		}
		if w.filter != nil {
			if row, ok := history.RowOf(e.Record()); !ok || !w.filter.Match(row) {
				continue
			}
		}
		selected, err := w.m.Subscriptions.Selects(ctx, w.sub, e)
		switch {
		case err != nil:
			return b, err
		case selected:
			b.events = append(b.events, e)
		default:
			b.unselected++
		}
	}
	return b, nil
}

// feed queues events: those of one entity one after the other, in the order of the log.
func (w *worker) feed(ctx context.Context, events []*hub.Event) error {
	if len(events) == 0 {
		return nil
	}
	byEntity := make(map[string][]*hub.Event)
	for _, e := range events {
		entity := e.Entity()
		if entity == "" {
			entity = fmt.Sprint(e.Seq()) // it has no order
		}
		byEntity[entity] = append(byEntity[entity], e)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, some := range byEntity {
		g.Go(func() error {
			for _, e := range some {
				if err := w.m.Subscriptions.Feed(ctx, w.sub, w.r.ID, e.Record()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, e := range events {
		w.fed++
		w.bytes += int64(e.Size())
	}
	w.m.queued.Add(int64(len(events)))
	w.m.Subscriptions.TellFed(w.sub)
	return nil
}

// idle is called while nothing can be done but to wait.
func (w *worker) idle() error {
	if w.lying != w.sawLying {
		w.sawLying, w.sweptAt = w.lying, time.Now()
	}
	if w.lying > 0 && time.Since(w.sweptAt) > sweepEvery {
		w.sweptAt = time.Now()
		ctx, cancel := context.WithTimeout(w.m.ctx, requestTime)
		defer cancel()
		if err := w.m.Subscriptions.ForgetSettled(ctx, w.sub); err != nil {
			return err
		}
	}
	switch {
	case w.sub.Paused && w.lying > 0:
		if w.r.Reason != pausedReason {
			return w.save(func(r *Replay) { r.Reason = pausedReason })
		}
	case w.r.Reason != "":
		return w.save(func(r *Replay) { r.Reason = "" })
	}
	if !w.m.Embedded && time.Since(w.keptAt) > beatEvery {
		return w.save(func(*Replay) {})
	}
	return nil
}

const pausedReason = "the subscription is paused"
