package subscription

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// home is one subscription on this gateway: its consumers, and what JetStream
// handed out to this gateway, until it is settled or given back.
//
// One goroutine (run) asks for more, hands out what is ready and watches the
// time; another (admitAll) looks at what arrives. Consumers are goroutines of
// their callers.
type home struct {
	m   *Manager
	uid string

	ctx    context.Context // ends with the home
	cancel context.CancelCauseFunc
	wake   chan struct{} // for run: something has changed
	wg     sync.WaitGroup
	// hanging are renewals under way, the last things that end.
	hanging sync.WaitGroup

	arrived arrivals
	late    arrivals // what came after the end, and is given back: see lookLast

	// mu guards everything below but the counters, the consumers' boxes and the
	// holds included. Nothing is waited for while it is held: not the log, not
	// JetStream, not a consumer, nor a question to another gateway. Who waits lets go
	// of it, and then looks again whether the generation is still the same.
	//
	// It is taken first. While it is held, any of these may be taken, one at a time:
	// arrivals.mu, Manager.mu, and those of store, gaps, tallies, flaps, and of the
	// queue's Pin, Puller, Acks and Attempts. Nobody who holds one of them takes the mu
	// of a home, and of two homes nobody holds both.
	mu      sync.Mutex
	sub     *Subscription
	match   matcher
	queue   queue.Config
	replays queue.Config
	// mainQueue and replayQueue are the same for holds, which outlive a Seek.
	mainQueue, replayQueue *queue.Config
	surely                 time.Duration // how long JetStream holds at least, as far as it was told
	puller                 Puller        // nil while there is nobody to hand anything to
	replayer               Puller
	hungry                 bool // there may be replayed entries to pull
	consumers              []*consumer
	rotation               int
	holds                  map[key]*hold
	inquired               map[key]*arrival // of what others are asked; see admit
	ready                  []*hold
	suspects               []*hold   // as ready, and handed out only alone; see fewestFirst
	spared                 *consumer // is handed nothing until it is empty: a suspect waits for it
	bytes                  int64     // of what is boxed, given and settling
	force                  int       // how many are
	clock                  clock
	renewals               []*hold // to be renewed: see hangAll
	renewable, unanswered  int     // how many renewals there may be without an answer, and are: see chooseRenewals
	memos                  memos
	replayed               map[uint64]int64      // by event: the last number of what was replayed here
	pin                    Pin                   // of the queue
	lanes                  *lanes                // of an ordered subscription
	pulledAt               time.Time             // when the last Pull of an ordered subscription ended
	expiredWith            map[handOut]*consumer // see heardLate
	deafAt                 time.Time             // when a consumer here was found deaf last; see yield
	yieldAskedAt           time.Time             // when others were asked last whether somebody there listens
	yieldUntil             time.Time             // nothing is asked for, so that another gateway hands out
	losses                 uint64                // of the connection, as far as they were minded
	turns                  turns                 // of what was handed out here; see follow
	jumps                  []span                // of a queue with subjects; see lookAtJumps
	behind                 uint64                // the last event that was handed out here for the first time
	// trusted is the turn after which what a queue jumps over is missing; unknown
	// until that is asked. passed is where behind was a while ago, passing a shorter
	// while, as of passedAt: see jumpedOver.
	trusted, passed, passing uint64
	passedAt                 time.Time
	share                    float64   // of what is pulled, the selector selects
	ensured                  bool      // the queue was seen to be as it should
	lingers                  bool      // and holds for longer, for what was handed out before
	doubted                  bool      // something was not heard: the queue may have been deleted
	missedAt                 time.Time // when JetStream was asked last whether the queue is there at all
	cutOff                   bool      // as of the last look
	fedAt                    time.Time
	askedAt                  time.Time
	arrivedAt                time.Time // of the last message that is held

	counters
}

// counters only grow.
type counters struct {
	delivered, redelivered, acked, retried, skipped, extended atomic.Int64
	parked, expired, released, refused, pulls                 atomic.Int64
}

func newHome(m *Manager, sub *Subscription) (*home, error) {
	h := &home{m: m, uid: sub.UID, wake: make(chan struct{}, 1), inquired: make(map[key]*arrival), renewable: maxRenewals}
	h.arrived.wake, h.late.wake = make(chan struct{}, 1), make(chan struct{}, 1)
	h.losses, _ = m.engine.Connection()
	h.ctx, h.cancel = context.WithCancelCause(m.ctx)
	if err := h.begin(sub); err != nil {
		h.cancel(err)
		return nil, err
	}
	h.wg.Go(h.run)
	h.wg.Go(h.admitAll)
	return h, nil
}

// begin starts a generation: nothing is held. The caller holds mu, or is the
// only one who knows the home.
func (h *home) begin(sub *Subscription) error {
	match, err := h.m.compile(sub.Selector)
	if err != nil {
		return err
	}
	h.sub, h.match = sub, match
	h.queue, h.replays = h.m.mainQueue(sub), h.m.replayQueue(sub)
	h.holds, h.ready, h.suspects, h.spared = make(map[key]*hold), nil, nil, nil
	h.clock, h.bytes, h.force = nil, 0, 0
	main, replayed := h.queue, h.replays
	h.mainQueue, h.replayQueue, h.surely = &main, &replayed, h.queue.Hold
	h.turns, h.jumps, h.behind = nil, nil, 0
	h.trusted, h.passed = unknown, unknown
	h.memos, h.share, h.hungry, h.ensured = memos{}, 1, true, false
	h.pin, h.lanes = h.m.engine.Pin(h.queue), nil
	if sub.Ordering == OrderByEntity {
		h.lanes = newLanes()
	}
	return nil
}

// change takes over what has become of the subscription: what is in force now, for who
// tells of a change may be overtaken by the next one.
func (h *home) change(sub *Subscription) {
	h.mu.Lock()
	defer h.poke()
	defer h.mu.Unlock()
	if now := h.m.store.byUID(h.uid); now != nil {
		sub = now
	}
	old := h.sub
	if sub.Generation != old.Generation {
		h.closePullers()
		h.giveBackReplays()
		h.m.tallies.forgetQueue(h.queue.Name)
		for _, c := range h.consumers {
			c.clear()
		}
		if err := h.begin(sub); err != nil {
			h.m.logger.Error("a subscription cannot be served", "subscription", sub.ID, "err", err)
		}
	} else {
		if match, err := h.m.compile(sub.Selector); err == nil {
			h.match = match
		}
		queue := h.m.mainQueue(sub)
		if queue.Hold != h.queue.Hold || queue.MaxHeld != h.queue.MaxHeld || !slices.Equal(queue.Subjects, h.queue.Subjects) {
			h.ensured = false
		}
		if !slices.Equal(queue.Subjects, h.queue.Subjects) {
			h.trusted = unknown // it may have passed by what it would hand out now
		}
		h.surely = min(h.surely, queue.Hold)
		h.sub, h.queue, h.replays, h.hungry = sub, queue, h.m.replayQueue(sub), true
	}
	if sub.Paused {
		h.standDown()
	}
	h.wakeAll()
}

// poke has run look at the home.
func (h *home) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *home) wakeAll() {
	for _, c := range h.consumers {
		c.poke()
	}
}

func (h *home) wakeConsumers() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wakeAll()
}

// close ends the home and everybody in it.
func (h *home) close(cause error) {
	h.cancel(cause)
	h.mu.Lock()
	consumers := slices.Clone(h.consumers)
	h.mu.Unlock()
	for _, c := range consumers {
		<-c.left
	}
	h.wg.Wait()
	h.mu.Lock()
	h.standDown()
	h.releaseAll()
	h.hangAll()
	h.mu.Unlock()
	h.hanging.Wait()
}

// releaseAll gives back what is in force, of pulls: their consumers may still
// settle it somewhere else, until its deadline.
func (h *home) releaseAll() {
	if !errors.Is(context.Cause(h.ctx), ErrClosed) {
		return
	}
	for _, hd := range h.holds {
		switch {
		case hd.stage != given:
		case hd.pulled:
			h.m.tallies.put(hd.queue.Name, hd.seq, hd.over().told(hd.queued), nil)
		default:
			h.back(hd, 0)
		}
	}
}

// giveBackReplays gives back what the subscription holds of another queue than the
// one that ends with its generation.
func (h *home) giveBackReplays() {
	for _, hd := range h.holds {
		if hd.replay && hd.stage != settling {
			h.back(hd, 0)
		}
	}
}

// back gives a message back to whichever gateway, when it is kept what is known of
// it: so who is handed it next can know. The caller has ended the hold.
func (h *home) back(hd *hold, delay time.Duration) {
	hd.tally = hd.over().told(hd.queued)
	if h.owes(hd) {
		hd.owed, hd.returnAt = true, time.Now().Add(delay)
		h.m.tallies.put(hd.queue.Name, hd.seq, hd.tally, nil)
		return
	}
	h.sayBack(hd, delay)
}

func (h *home) sayBack(hd *hold, delay time.Duration) {
	engine, queue, word := h.m.engine, *hd.queue, hd.word(queue.Back, delay)
	h.m.tallies.put(queue.Name, hd.seq, hd.tally, func(error) { engine.Say(queue, word) })
}

func (h *home) queueOf(k key) queue.Config {
	if k.replay {
		return h.replays
	}
	return h.queue
}

const (
	// lookEvery is how often run looks at a home on which something is under way that
	// nothing wakes it for.
	lookEvery = 250 * time.Millisecond
	// restEvery is how often it looks at one at rest. It finds nothing then: what
	// becomes due has a time, see untilNext, and all else wakes it.
	restEvery = 10 * time.Second
)

func (h *home) run() {
	t := time.NewTimer(lookEvery)
	defer t.Stop()
	for {
		if h.busy() {
			h.look()
		}
		t.Reset(h.untilNext())
		select {
		case <-h.wake:
		case <-t.C:
		case <-h.ctx.Done():
			return
		}
	}
}

// untilNext answers how long nothing is to be done unless something wakes the
// home.
func (h *home) untilNext() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	next := soonest{now, now.Add(restEvery)}
	if h.restless() {
		next.or(now.Add(lookEvery))
	}
	for _, c := range h.consumers {
		next.or(c.due(h.m.opts.PeerTimeout))
	}
	for _, p := range []Puller{h.puller, h.replayer} {
		if p != nil {
			next.or(p.Due())
		}
	}
	if h.replayer != nil {
		next.or(h.fedAt.Add(replaysEvery))
	}
	if h.doubted {
		next.or(h.missedAt.Add(absentPause))
	}
	if h.lingers {
		next.orLater(h.m.toOurs(h.sub.FormerUntil))
	}
	h.holdsDue(&next)
	h.lanesDue(&next)
	if len(h.clock) > 0 && h.clock[0].alarm.Before(next.at) {
		next.at = h.clock[0].alarm
	}
	return max(next.at.Sub(now), 0)
}

// soonest is the first of some times. One that has passed is a look away: the last
// look could do nothing about it.
type soonest struct{ now, at time.Time }

// or adds a time; zero: never.
func (s *soonest) or(at time.Time) {
	if at.IsZero() {
		return
	}
	if !at.After(s.now) {
		at = s.now.Add(lookEvery)
	}
	if at.Before(s.at) {
		s.at = at
	}
}

// orLater adds a time unless it has passed.
func (s *soonest) orLater(at time.Time) {
	if at.After(s.now) {
		s.or(at)
	}
}

// restless reports whether something is under way that nothing wakes the home for.
// The caller holds mu.
func (h *home) restless() bool {
	switch {
	case h.cutOff:
		return true
	case len(h.consumers) > 0 && !h.sub.Paused && !h.idle() && (!h.ensured || h.puller == nil):
		return true
	}
	for _, hd := range h.holds {
		if hd.stage == waiting || hd.stage == ready {
			return true
		}
	}
	return false
}

// holdsDue adds when a hold is to be renewed. The caller holds mu.
func (h *home) holdsDue(next *soonest) {
	for _, hd := range h.holds {
		if hd.stage == given && !hd.renewing && hd.deadline.After(hd.sure) {
			next.or(hd.sure.Add(-h.m.renewAhead()))
		}
	}
}

// lanesDue adds what is to be done for an ordered subscription. The caller holds mu.
func (h *home) lanesDue(next *soonest) {
	if h.lanes == nil {
		return
	}
	next.orLater(h.pulledAt.Add(lingerTime))
	next.orLater(h.yieldUntil)
	next.orLater(h.lanes.pinlessRest)
	if h.puller != nil {
		next.or(h.askedAt.Add(signEvery))
		next.or(h.lanes.lookAt(h.pin.Ours(), h.hasLapsed(time.Now())))
	}
}

// busy reports whether there is anything to look after.
func (h *home) busy() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.consumers) > 0 || len(h.holds) > 0 || len(h.renewals) > 0 || h.puller != nil
}

// lingerTime is how long a gateway goes on as if it had consumers after the last
// Pull of an ordered subscription. Who pulls mostly pulls again, and to become the
// one that hands out takes a moment, which may be longer than a Pull.
const lingerTime = time.Second

// idle reports whether there is nobody to hand anything to.
func (h *home) idle() bool {
	return !slices.ContainsFunc(h.consumers, func(c *consumer) bool { return !c.unread() }) && (time.Since(h.pulledAt) > lingerTime || h.m.draining() != nil)
}

func (h *home) look() {
	h.ensure()
	h.mu.Lock()
	up := h.mindConnection()
	h.actOnDue()
	h.giveUpDeaf(time.Now())
	h.renew()
	if up {
		h.dispatch()
	}
	h.pull()
	lanes := h.lanes
	h.cutOff = !up
	h.mu.Unlock()
	if lanes != nil {
		h.mindPin()
	}
	h.yield()
}

// ensure makes sure that the queues are there, and as the subscription says, before
// anything is pulled.
func (h *home) ensure() {
	sub, limit := h.toEnsure(time.Now())
	if limit == 0 {
		return
	}
	if h.m.asking.begin(h.ctx) != nil {
		return // it ends
	}
	defer h.m.asking.end()
	ctx, cancel := context.WithTimeout(h.ctx, limit)
	defer cancel()
	lingers, q := sub.lingers(h.m.now()), h.m.mainQueue(sub)
	st, made, err := h.m.lookAtQueue(ctx, sub, q)
	if err == nil && h.m.store.hasReplays(sub.ID) {
		_, _, err = h.m.lookAtQueue(ctx, sub, h.m.replayQueue(sub))
	}
	switch {
	case errors.Is(err, errOutdated): // what is so now is about to arrive here
		return
	case err != nil:
		if h.ctx.Err() == nil {
			h.m.logger.Warn("a subscription waits for its queue", "subscription", sub.ID, "err", err)
		}
		return
	}
	if made && time.Since(sub.UpdateTime) > time.Minute {
		h.m.logger.Warn("the place of a subscription was lost; it begins anew where it was made or sought to last", "subscription", sub.ID, "start", sub.Start)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sub != sub {
		return
	}
	h.ensured, h.lingers, h.surely = true, lingers, q.Hold
	if made && h.lanes != nil {
		h.standBy() // its count begins anew
	}
	if made || h.trusted == unknown {
		h.begun(st)
	}
}

// absentPause is how often, at most, JetStream is asked whether a queue is there for
// which nobody answers, be it to a pull or to a word.
const absentPause = 2 * time.Second

// toEnsure answers how long JetStream may take to be asked about the queues of the
// subscription, as it is now; 0: not at all.
func (h *home) toEnsure(now time.Time) (sub *Subscription, limit time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mayAsk := now.Sub(h.missedAt) >= absentPause
	for _, p := range []Puller{h.puller, h.replayer} {
		if p != nil && p.Absent() && mayAsk {
			h.ensured, h.missedAt = false, now
		}
	}
	ensured := h.ensured && (!h.lingers || h.sub.lingers(h.m.now()))
	if !ensured && len(h.consumers) > 0 {
		h.doubted = false
		return h.sub, requestTime
	}
	// A word is not heard either when the gateway is cut off.
	if h.doubted && mayAsk && h.connected() {
		h.doubted, h.missedAt = false, now
		return h.sub, lookTime
	}
	return nil, 0
}

func (h *home) connected() bool { _, up := h.m.engine.Connection(); return up }

// requestTime bounds one question to JetStream.
const requestTime = 10 * time.Second
