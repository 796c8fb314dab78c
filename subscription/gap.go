package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// Gaps: what retention took before a subscription had settled it, and what the log
// has lost otherwise. See docs/adr/0006.
//
// How many they are is kept beside the subscription in the bucket, under its uid,
// and changed only by a gateway that has seen what it changes: so each gap is
// counted once, by one gateway, and told to a consumer whenever there is one.

// missed is what is kept.
type missed struct {
	// Generation that it is about: a Seek begins anew.
	Generation int `json:"generation"`
	// UpTo: what lies before this sequence and was not handed out by then was counted,
	// and is not looked for again.
	UpTo uint64 `json:"up_to"`
	// Events that were missed, and how many of them consumers were told of.
	Events int64 `json:"events"`
	Told   int64 `json:"told"`
	// Spans that were counted, as far as somebody may still come upon them: nothing
	// in them is counted again, however it is found.
	Spans spans `json:"spans,omitempty"`
	// Clear is where nothing is selected, though nobody says so of each event.
	Clear *clearing `json:"clear,omitempty"`

	revision uint64
}

const keyMissed = "_missed."

// gaps is what a gateway knows of them.
//
// mu guards all of it. Nothing is taken, asked or kept under it: what is kept in the
// bucket is changed by revision, so that two who read the same do not both count.
type gaps struct {
	mu      sync.Mutex
	of      map[string]missed // by uid, as the bucket has it
	places  map[string]place  // by queue, at the last look
	unsure  map[string]int    // by queue: looks that could not say what was handed out
	first   uint64            // of the log, at the last look
	ends    []end             // of the log, at looks that were not long ago
	soon    chan struct{}     // holds a token while jumps are to be looked at at once
	dropped map[string]drops  // by queue: events that nobody is handed again
	seen    map[string]int64  // by uid: counted by this gateway
	told    map[string]said   // by uid: said by this gateway

	holes  holes          // of the log
	judged map[string]int // by queue: which holes were looked at
	done   looks          // what was looked at last of all subscriptions
}

// looks are what a look for gaps depends on. It is not repeated with the same: with
// thousands of subscriptions that would cost more than all that they do at rest.
type looks struct {
	first  uint64          // of the log
	growth uint64          // of the log
	holes  int             // their version
	subs   []*Subscription // none of which has a queue that is still to be made

	near  uint64 // up to before where the log may soon begin
	ended uint64 // where the log ended when JetStream has surely seen it
}

func (l looks) equal(o looks) bool {
	return l.first == o.first && l.growth == o.growth && l.holes == o.holes && slices.Equal(l.subs, o.subs)
}

// said is how many missed events of a generation a gateway told a consumer of.
type said struct {
	generation int
	events     int64
}

// said answers it of the present generation, and no more than were missed. The caller
// holds mu.
func (g *gaps) said(sub *Subscription, v missed) int64 {
	if s := g.told[sub.UID]; s.generation == sub.Generation {
		return min(s.events, v.Events)
	}
	return 0
}

func newGaps() *gaps {
	return &gaps{
		of: make(map[string]missed), places: make(map[string]place), unsure: make(map[string]int), dropped: make(map[string]drops), seen: make(map[string]int64), told: make(map[string]said),
		judged: make(map[string]int), soon: make(chan struct{}, 1),
	}
}

// apply takes what the bucket says.
func (g *gaps) apply(c eventlog.Change) (uid string) {
	uid = strings.TrimPrefix(c.Key, keyMissed)
	var v missed
	if c.Value != nil && json.Unmarshal(c.Value, &v) != nil {
		return uid
	}
	v.revision = c.Revision
	g.mu.Lock()
	defer g.mu.Unlock()
	switch old := g.of[uid]; {
	case old.revision >= c.Revision:
	case c.Value == nil:
		delete(g.of, uid)
	default:
		g.of[uid] = v
	}
	return uid
}

// now answers what was missed in the present generation.
func (g *gaps) now(sub *Subscription) missed {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.of[sub.UID]; v.Generation == sub.Generation {
		return v
	}
	return missed{Generation: sub.Generation, revision: g.of[sub.UID].revision}
}

// tell answers how many events were missed that no consumer was told of, and takes
// them for told.
func (g *gaps) tell(sub *Subscription) int64 {
	v := g.now(sub)
	g.mu.Lock()
	defer g.mu.Unlock()
	n := v.Events - max(v.Told, g.said(sub, v))
	if n > 0 {
		g.told[sub.UID] = said{sub.Generation, v.Events}
	}
	return n
}

// gapEvery is how often a gateway looks whether the log has dropped something.
const gapEvery = time.Second

// watchGaps counts what the log dropped and nobody had been handed, also while
// nobody is connected.
func (m *Manager) watchGaps() {
	t := time.NewTicker(gapEvery)
	defer t.Stop()
	look := m.lookForGaps
	for m.ctx.Err() == nil {
		if err := look(m.ctx); err != nil && m.ctx.Err() == nil {
			m.logger.Debug("looking for gaps", "err", err)
		}
		select {
		case <-t.C:
			look = m.lookForGaps
		case <-m.gaps.soon:
			look = m.lookAtJumps
		case <-m.ctx.Done():
			return
		}
	}
}

func (m *Manager) lookForGaps(ctx context.Context) error {
	b, err := m.engine.Events().Bounds(ctx)
	if err != nil {
		return err
	}
	lost, err := m.engine.Holes(ctx)
	if err != nil {
		return err
	}
	m.gaps.mu.Lock()
	now := looks{first: b.First, growth: growth(b.First, b.Last), near: m.gaps.nearness(b.First, b.Last)}
	now.ended = m.gaps.ended(end{b.Last, time.Now()}, m.surelySeen())
	m.gaps.first = b.First
	if m.gaps.holes.replace(lost) {
		clear(m.gaps.judged)
	}
	found := m.gaps.holes
	m.gaps.mu.Unlock()
	m.lookAtDropped(ctx)
	if err := m.lookAtJumps(ctx); err != nil {
		return err
	}
	now.holes, now.subs = found.version, m.List()
	if err := m.lookAtAll(ctx, now, found); err != nil {
		return err
	}
	for _, h := range m.allHomes() {
		h.passOn(time.Now())
	}
	return nil
}

// lookAhead is in how many looks the log may reach what a queue is known to have passed,
// so that it is asked anew.
const lookAhead = 10

// lookAtAll looks at all subscriptions, unless it has with nothing else to be seen.
func (m *Manager) lookAtAll(ctx context.Context, now looks, found holes) error {
	m.gaps.mu.Lock()
	done := m.gaps.done
	m.gaps.mu.Unlock()
	if now.equal(done) {
		return nil
	}
	var errs []error
	for _, sub := range now.subs {
		errs = append(errs, m.lookForGap(ctx, sub, now), m.lookForHoles(ctx, sub, found))
	}
	noQueue := func(err error) bool { return errors.Is(err, queue.ErrNoQueue) } // it is made when somebody comes
	if slices.ContainsFunc(errs, noQueue) {
		now = looks{}
	}
	if err := errors.Join(slices.DeleteFunc(errs, noQueue)...); err != nil {
		return err
	}
	m.gaps.mu.Lock()
	defer m.gaps.mu.Unlock()
	m.gaps.done = now
	return nil
}

// missed counts events as missed that were not counted before. Nothing is to be counted
// any more of what lies before upTo and was never handed out.
func (m *Manager) missed(ctx context.Context, sub *Subscription, upTo uint64, some ...span) error {
	for {
		v := m.gaps.now(sub)
		n := v.add(some)
		if n == 0 && v.UpTo >= upTo {
			return nil
		}
		v.UpTo = max(v.UpTo, upTo)
		m.gaps.mu.Lock()
		v.Spans = v.Spans.bound(m.gaps.places[queueName(sub)].last)
		m.gaps.mu.Unlock()
		err := m.keepMissed(ctx, sub.UID, v)
		if errors.Is(err, eventlog.ErrConflict) {
			if err := m.gapsMoved(ctx, sub.UID, v.revision); err != nil {
				return err
			}
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		m.gaps.mu.Lock()
		m.gaps.seen[sub.UID] += n
		m.gaps.mu.Unlock()
		m.logger.Warn("the log dropped events before a subscription had settled them", "subscription", sub.ID, "missed_events", n, "from", some[0][0], "to", some[len(some)-1][1]-1)
		m.wakeAbout(sub.UID)
		return nil
	}
}

// add adds spans, and answers how many events of them were not counted before.
func (v *missed) add(some []span) (n int64) {
	for _, s := range some {
		for _, part := range v.Spans.without(s) {
			n += int64(part[1] - part[0])
		}
		v.Spans = v.Spans.with(s)
	}
	v.Events += n
	return n
}

// end answers the first sequence after all that was missed.
func (v *missed) end() uint64 {
	if n := len(v.Spans); n > 0 {
		return max(v.UpTo, v.Spans[n-1][1])
	}
	return v.UpTo
}

// keepMissed keeps it when it has not changed since it was read.
func (m *Manager) keepMissed(ctx context.Context, uid string, v missed) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	key := keyMissed + uid
	var revision uint64
	if v.revision == 0 {
		revision, err = m.store.bucket.Create(ctx, key, data)
	} else {
		revision, err = m.store.bucket.Update(ctx, key, data, v.revision)
	}
	if err == nil {
		m.gaps.apply(eventlog.Change{Key: key, Value: data, Revision: revision})
	}
	return err
}

// forgetMissed removes what is kept of a subscription that was deleted.
func (m *Manager) forgetMissed(ctx context.Context, uid string) error {
	m.gaps.mu.Lock()
	revision := m.gaps.of[uid].revision
	delete(m.gaps.seen, uid)
	delete(m.gaps.told, uid)
	m.gaps.mu.Unlock()
	if revision == 0 {
		return nil
	}
	err := m.store.bucket.Delete(ctx, keyMissed+uid, revision)
	if errors.Is(err, eventlog.ErrConflict) {
		return nil // it is being changed: some bytes stay
	}
	return err
}

// gapsMoved waits until somebody else's change has arrived.
func (m *Manager) gapsMoved(ctx context.Context, uid string, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return m.store.Await(ctx, func() bool {
		m.gaps.mu.Lock()
		defer m.gaps.mu.Unlock()
		return m.gaps.of[uid].revision != revision
	})
}

func (m *Manager) wakeAbout(uid string) {
	if h := m.known(uid); h != nil {
		h.wakeConsumers()
	}
}

// hearGap takes what the bucket says, and has consumers told of it.
func (m *Manager) hearGap(c eventlog.Change) { m.wakeAbout(m.gaps.apply(c)) }

// id of the subscription.
func (h *home) id() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sub.ID
}

// UntoldGap answers what the log dropped before the subscription had settled it that
// no consumer was told of. Who asks tells one. It is answered again when the gateway
// dies before that is kept, and two gateways may answer it at the same time.
func (m *Manager) UntoldGap(ctx context.Context, id string) Gap {
	sub, err := m.Get(id)
	if err != nil {
		return Gap{}
	}
	n := m.gaps.tell(sub)
	if n <= 0 {
		return Gap{}
	}
	go m.keepTold(sub)
	return Gap{Missed: n, Resume: m.resumes(ctx, sub)}
}

// resumes answers when what follows a gap was published.
func (m *Manager) resumes(ctx context.Context, sub *Subscription) time.Time {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	v := m.gaps.now(sub)
	recs, err := m.engine.Events().Read(ctx, max(v.end(), 1), 1, 1)
	if err != nil || len(recs) == 0 {
		return time.Time{}
	}
	return recs[0].Time
}

func (m *Manager) keepTold(sub *Subscription) {
	ctx, cancel := context.WithTimeout(m.ctx, requestTime)
	defer cancel()
	for {
		v := m.gaps.now(sub)
		m.gaps.mu.Lock()
		told := m.gaps.said(sub, v)
		m.gaps.mu.Unlock()
		if v.Told >= told || v.revision == 0 {
			return
		}
		v.Told = told
		err := m.keepMissed(ctx, sub.UID, v)
		if errors.Is(err, eventlog.ErrConflict) {
			err = m.gapsMoved(ctx, sub.UID, v.revision)
		}
		if err != nil {
			if m.ctx.Err() == nil {
				m.logger.Warn("that a gap was told is not kept: it may be told again", "subscription", sub.ID, "err", err)
			}
			return
		}
	}
}

// follow notices what a queue jumps over: of two messages that were handed out one
// after the other, nothing between was handed to anybody. The caller holds mu.
func (h *home) follow(a arrival) {
	if a.replay || a.followed || a.generation != h.sub.Generation {
		return
	}
	var first uint64
	if a.hand.Attempt == 1 {
		first = a.seq
		h.behind = max(h.behind, a.seq)
	}
	if a.hand.Turn <= h.trusted {
		return
	}
	for _, s := range h.turns.add(a.hand.Turn, first) {
		if h.queue.Subjects != nil {
			h.jumps = append(h.jumps, h.notPassedBy(s))
			h.m.gaps.lookSoon(s)
			continue
		}
		h.miss(s)
	}
}

// notPassedBy answers what of a span the queue is not known to have passed by, which it
// does while it waits for what it would hand out.
func (h *home) notPassedBy(s span) span {
	h.m.gaps.mu.Lock()
	defer h.m.gaps.mu.Unlock()
	return span{max(s[0], h.m.gaps.places[h.queue.Name].last+1), s[1]}
}

// lookAtJumps counts what queues with subjects jumped over since the last look, as far
// as the log has dropped it: of the rest they would have handed out what there was. What
// they jump over later is not held against where the log begins now.
func (m *Manager) lookAtJumps(ctx context.Context) error {
	jumps := make(map[*home]jumped)
	for _, h := range m.allHomes() {
		if some := h.drainJumps(); len(some.over) > 0 {
			jumps[h] = some
		}
	}
	if len(jumps) == 0 {
		return nil
	}
	b, err := m.engine.Events().Bounds(ctx)
	for h, some := range jumps {
		h.judge(some, b.First, err)
	}
	return err
}

// jumped is what the queue of a subscription, in one generation, jumped over.
type jumped struct {
	sub  *Subscription
	over []span
}

func (h *home) drainJumps() jumped {
	h.mu.Lock()
	defer h.mu.Unlock()
	some := jumped{h.sub, h.jumps}
	h.jumps = nil
	return some
}

// judge counts what of jumps lies before the first event of the log. Where that is not
// known they wait for the next look.
func (h *home) judge(some jumped, first uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sub != some.sub {
		return // sought meanwhile
	}
	if err != nil {
		h.jumps = append(some.over, h.jumps...)
		return
	}
	for _, s := range some.over {
		if s[1] = min(s[1], first); !s.empty() {
			h.miss(s)
		}
	}
}

// nearBegin is how many events behind the first of the log a jump is looked at at once:
// what is there now may be dropped before the next look, and be taken for missed then.
const nearBegin = 1 << 14

// lookSoon has jumps looked at at once, if this one is so near.
func (g *gaps) lookSoon(over span) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if over[0] >= g.first+nearBegin {
		return
	}
	select {
	case g.soon <- struct{}{}:
	default:
	}
}

// miss counts events as missed.
func (h *home) miss(s span) {
	sub := h.sub
	h.wg.Go(func() { h.m.keepMissing(h.ctx, sub, s) })
}

// keepMissing counts events as missed, again and again until that is kept: nobody
// will notice it once more. A gateway that dies before takes it along; one that stops
// tries for lastLookTime.
func (m *Manager) keepMissing(ctx context.Context, sub *Subscription, s span) {
	for last := false; !last; {
		last = ctx.Err() != nil
		asking, cancel := outlasting(ctx, lastLookTime)
		err := m.missed(asking, sub, 0, m.perhaps(asking, sub, []span{s})...)
		cancel()
		if now := m.store.byUID(sub.UID); err == nil || now == nil || now.Generation != sub.Generation {
			return
		}
		m.logger.Error("events were missed, which could not be kept", "subscription", sub.ID, "from", s[0], "to", s[1]-1, "tries_again", !last, "err", err)
		select {
		case <-time.After(gapEvery):
		case <-ctx.Done():
		}
	}
}

// lastLookTime bounds each of the two things that a gateway that stops does about gaps:
// to look once more, and to keep what it has found.
const lastLookTime = 2 * time.Second

// outlasting answers a context for one question, which goes on for a while when the other
// one has ended.
func outlasting(ctx context.Context, more time.Duration) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		return context.WithTimeout(context.WithoutCancel(ctx), more)
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(more):
			cancel()
		case <-asking.Done():
		}
	})
	return asking, func() { stop(); cancel() }
}

// followLate notices what came when nobody took it any more.
func (h *home) followLate() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.late.clear() {
		h.follow(a)
	}
}

// lookLast looks at what the queues have jumped over until the gateway stopped, and keeps
// it: of this gateway's hand-outs nobody knows later. The homes are closed.
func (m *Manager) lookLast(homes map[string]*home) {
	ctx, cancel := context.WithTimeout(context.Background(), lastLookTime)
	defer cancel()
	for {
		for _, h := range homes {
			h.followLate()
		}
		err := m.lookForGaps(ctx)
		if !errors.Is(err, errUnsure) {
			break
		}
		select { // what it was handed last is on its way
		case <-time.After(lookTime / 20):
		case <-ctx.Done():
		}
	}
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		for _, h := range homes {
			h.wg.Wait()
		}
		m.wg.Wait()
	}()
	select {
	case <-kept:
	case <-time.After(lastLookTime):
	}
}
