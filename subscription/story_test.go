package subscription_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/subscription"
)

// A story is what happened to the events of one subscription, as publishers and
// consumers saw it, and says afterwards which promise was broken. Each happening
// has a number: what has a smaller one happened before.
type story struct {
	mu       lock
	began    time.Time
	now      int
	settings subscription.Settings
	events   map[uint64]*told
	starts   map[int]uint64 // of the generations that are known
	sought   time.Time      // when the last seek began; zero: never
	last     int            // generation
	dropped  uint64
	dead     map[*subscription.Manager]bool
	deaths   []int // when gateways died
	forgets  bool  // an engine that dies with its gateway forgets what was handed out
	wrong    []string
	log      []string
	quiet    time.Time // since when nothing was handed out
}

// lock is a mutex that may be held while time passes: who waits for a sync.Mutex is
// not at rest, and the time of a bubble stands still.
type lock chan struct{}

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

// told is one event.
type told struct {
	seq        uint64
	entity     string
	selected   bool
	published  int
	at         time.Time // then
	deliveries []*handed
	lost       []lost
	parked     []subscription.ParkedDelivery
	// before is what was parked and replayed, and replays how often that was, the
	// last of them for certain since the number is not zero.
	before  []subscription.ParkedDelivery
	replays int
	since   int
}

// lost is a delivery that a gateway sent just before it died, and nobody saw.
type lost struct {
	gen      int
	replayed bool
}

// handed is one delivery.
type handed struct {
	subscription.Delivery
	of       *told
	by       *consuming
	gen      int
	at       int
	time     time.Time
	deadline time.Time
	over     int       // when its stream ended; 0: it did not
	alone    bool      // its consumer had nothing else from hand-out to end
	ended    time.Time // zero: in force as far as anybody knows
	words    []*word
}

// word is one call of Settle.
type word struct {
	verdict     subscription.Verdict
	begun, done int // done 0: no answer
	outcome     subscription.Outcome
	doubt       bool // an answer before was Unavailable
}

func newStory(s subscription.Settings) *story {
	return &story{mu: make(lock, 1), began: time.Now(), settings: s, events: make(map[uint64]*told), dead: make(map[*subscription.Manager]bool), starts: make(map[int]uint64), quiet: time.Now()}
}

// tick numbers a happening. The caller holds mu.
func (s *story) tick(format string, args ...any) int {
	s.now++
	s.log = append(s.log, fmt.Sprintf("%6d %9s  ", s.now, time.Since(s.began).Truncate(time.Millisecond))+fmt.Sprintf(format, args...))
	return s.now
}

func (s *story) isDead(g *subscription.Manager) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead[g]
}

func (s *story) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick(format, args...)
}

func (s *story) broken(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	s.tick("BROKEN: %s", msg)
	s.wrong = append(s.wrong, msg)
}

func (s *story) event(seq uint64) *told {
	e := s.events[seq]
	if e == nil {
		e = &told{seq: seq}
		s.events[seq] = e
	}
	return e
}

// handed tells of a frame, or of the answer to a Pull.
func (s *story) handed(c *consuming, some []subscription.Delivery) (out []*handed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range some {
		e := s.event(d.Event.Seq())
		h := &handed{Delivery: d, of: e, by: c, gen: c.g.Generation(d.Token), time: time.Now(), deadline: d.Deadline}
		h.at = s.tick("event %d of %q to %s: attempt %d, hand-out %d, generation %d, replayed %v", e.seq, e.entity, c, d.Attempt, d.HandOut, h.gen, d.Replayed)
		s.check(h)
		h.alone = c.makeRoom(len(some), h.gen)
		c.holds[h] = true
		e.deliveries = append(e.deliveries, h)
		out = append(out, h)
	}
	if len(some) > 0 {
		s.quiet = time.Now()
	}
	return out
}

// lost tells of deliveries that reach nobody any more.
func (s *story) lost(c *consuming, some []subscription.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range some {
		e := s.event(d.Event.Seq())
		e.lost = append(e.lost, lost{c.g.Generation(d.Token), d.Replayed})
	}
}

// makeRoom notes that more is handed to the consumer, and reports whether it has
// nothing else. Each Pull is a consumer of its own, and what came before a seek is
// over.
func (c *consuming) makeRoom(n, gen int) bool {
	alone := n == 1
	if c.pulls {
		return alone
	}
	for other := range c.holds {
		if len(other.words) > 0 || other.gen != gen || !time.Now().Before(other.deadline) {
			continue
		}
		other.alone, alone = false, false
	}
	return alone
}

// check looks at a hand-out as it happens.
func (s *story) check(h *handed) {
	e := h.of
	if !e.selected && e.published > 0 {
		s.broken("event %d is not selected and was handed out", e.seq)
	}
	if e.seq < s.starts[h.gen] && !h.Replayed {
		s.broken("event %d lies before the subscription's start %d and was handed out", e.seq, s.starts[h.gen])
	}
	for _, d := range e.deliveries {
		if !d.comparable(h) {
			continue
		}
		if w := d.final(); w != nil && w.done > 0 && w.outcome == subscription.Done && !w.doubt && !(h.Replayed && e.replays > 1) {
			s.broken("event %d was handed out after its acknowledgement, hand-out %d, was confirmed at %d", e.seq, d.at, w.done)
		}
		if s.inForce(d) && !(h.Replayed && e.replays > 1) { // else it was parked by itself in two generations
			s.broken("event %d was handed out to %s while it is in force with %s until %s", e.seq, h.by, d.by, d.deadline.Sub(s.began))
		}
	}
	for _, d := range e.deliveries {
		// After a seek an event may be handed out beside its replay, and, parked once
		// more, in two replays at a time.
		// A gateway that has not heard of a seek hands out what it holds from before.
		both := s.sought.IsZero() && h.gen == 1 && d.gen == 1 || d.comparable(h) && !(h.Replayed && e.replays > 1)
		if n, m := d.HandOut, h.HandOut; both && n >= m {
			s.broken("event %d: hand-out %d comes after %d", e.seq, m, n)
		}
	}
	s.checkAttempt(h)
}

// comparable reports whether one delivery says something of the other: each seek
// begins anew, and so does each replay.
func (d *handed) comparable(to *handed) bool { return d.gen == to.gen && d.Replayed == to.Replayed }

// inForce reports whether a delivery is in force, without any doubt.
func (s *story) inForce(d *handed) bool {
	if s.forgets && slices.ContainsFunc(s.deaths, func(n int) bool { return n > d.at }) {
		return false
	}
	return d.over == 0 && len(d.words) == 0 && time.Now().Before(d.deadline)
}

// final answers the word that ends a delivery for good, if one was said and it
// is not known to have been refused.
func (d *handed) final() *word {
	for _, w := range d.words {
		switch w.verdict {
		case subscription.Ack, subscription.Skip, subscription.Park:
			if w.done == 0 || w.outcome == subscription.Done || w.outcome == subscription.Parked || w.outcome == subscription.Unavailable || w.doubt {
				return w
			}
		case subscription.Retry:
			if w.outcome == subscription.Parked {
				return w
			}
		}
	}
	return nil
}

// failures answers how many attempts of the event may have failed before a
// moment, and how many of them by word.
func (s *story) failures(e *told, gen, before int, replayed bool) (most, refused int) {
	for _, d := range e.deliveries {
		if d.at >= before || d.Replayed != replayed || !replayed && d.gen != gen { // replays outlive a seek
			continue
		}
		by := slices.ContainsFunc(d.words, func(w *word) bool { return w.verdict == subscription.Retry && w.begun < before })
		sure := slices.ContainsFunc(d.words, func(w *word) bool {
			return w.verdict == subscription.Retry && w.outcome == subscription.Done && w.done > 0 && w.done < before
		})
		switch {
		case sure:
			refused++
			most++
		case by, d.alone:
			most++
		}
	}
	for _, l := range e.lost {
		if l.replayed == replayed && (replayed || l.gen == gen) {
			most++
		}
	}
	return most, refused
}

func (s *story) checkAttempt(h *handed) {
	most, refused := s.failures(h.of, h.gen, h.at, h.Replayed)
	if h.Attempt > 1+most {
		s.broken("event %d: attempt %d, and at most %d have failed", h.of.seq, h.Attempt, most)
	}
	if h.Attempt < 1+refused && (!h.Replayed || h.of.replays == 1) {
		s.broken("event %d: attempt %d, and %d were refused", h.of.seq, h.Attempt, refused)
	}
}

func (s *story) word(h *handed, v subscription.Verdict) *word {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &word{verdict: v}
	w.begun = s.tick("event %d, %s says %s of the one of %d", h.of.seq, h.by, verdictName[v], h.at)
	h.words = append(h.words, w)
	return w
}

var verdictName = map[subscription.Verdict]string{
	subscription.Ack: "ack", subscription.Retry: "retry", subscription.Park: "park", subscription.Skip: "skip", subscription.Extend: "extend", subscription.Release: "release",
}

func (s *story) answered(h *handed, w *word, r subscription.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tick("event %d, %s: outcome %d", h.of.seq, verdictName[w.verdict], r.Outcome)
	w.doubt = w.doubt || r.Outcome == subscription.Unavailable
	w.outcome, w.done = r.Outcome, n
	switch {
	case r.Outcome == subscription.Unavailable:
		w.done = 0
	case w.verdict == subscription.Extend && r.Outcome == subscription.Done:
		h.deadline = r.Deadline
		h.words = slices.DeleteFunc(h.words, func(other *word) bool { return other == w })
	default:
		s.end(h)
	}
}

// end takes a delivery out of its consumer's hands.
func (s *story) end(h *handed) {
	delete(h.by.holds, h)
	if h.ended.IsZero() {
		h.ended = time.Now()
	}
}

// gone tells that a stream is about to end.
func (s *story) gone(c *consuming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.tick("%s ends, with %d deliveries", c, len(c.holds))
	if c.pulls {
		return // they stay in force
	}
	for h := range c.holds {
		h.over = n
		s.end(h)
	}
}

func (s *story) seeking() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick("seek begins")
	s.sought = time.Now()
}

// generation tells how the subscription is now.
func (s *story) generation(sub *subscription.Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub.Generation <= s.last {
		return
	}
	s.tick("generation %d begins at %d", sub.Generation, sub.Start)
	s.last, s.starts[sub.Generation] = sub.Generation, sub.Start
}

func (s *story) drops(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropped = max(s.dropped, seq)
	s.tick("events up to %d are dropped", seq)
}

// replaying tells that what is parked is about to be replayed.
func (s *story) replaying(parked []subscription.ParkedDelivery) (at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at = s.tick("%d are to be replayed", len(parked))
	for _, p := range parked {
		e := s.event(p.Event.Seq())
		e.before = append(e.before, p)
		e.replays, e.since = e.replays+1, 0
	}
	return at
}

// replayed tells that they were.
func (s *story) replayed(at int, parked []subscription.ParkedDelivery, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick("%d were replayed: %v", n, err)
	if err != nil || n != len(parked) {
		return // nobody knows which
	}
	for _, p := range parked {
		s.event(p.Event.Seq()).since = at
	}
}

// replayedAgain reports whether a replayed event is done with, once more.
func (e *told) replayedAgain() bool {
	for _, d := range e.deliveries {
		if w := d.final(); d.Replayed && w != nil && w.begun > e.since {
			return true
		}
	}
	return slices.ContainsFunc(e.parked, func(p subscription.ParkedDelivery) bool {
		return !slices.ContainsFunc(e.before, func(b subscription.ParkedDelivery) bool { return b.ID == p.ID })
	})
}

// resolved reports whether nobody has to be handed the event any more.
func (s *story) resolved(e *told) bool {
	if e.since > 0 && !e.replayedAgain() {
		return false
	}
	if !e.selected || e.seq < s.starts[s.last] || e.seq <= s.dropped {
		return true
	}
	for _, d := range e.deliveries {
		if d.gen == s.last && d.final() != nil {
			return true
		}
	}
	return s.parkedSince(e)
}

// parkedSince reports whether the event was parked since the last seek.
func (s *story) parkedSince(e *told) bool {
	return slices.ContainsFunc(slices.Concat(e.parked, e.before), func(p subscription.ParkedDelivery) bool { return !p.ParkTime.Before(s.sought) })
}

// missed answers how many events at least and at most the subscription has missed: of
// those that were dropped, what nobody was handed since the last seek, and what nobody is
// known to have settled. The caller holds mu.
func (s *story) missed() (least, most int64) {
	for _, e := range s.events {
		if e.seq < s.starts[s.last] || e.seq > s.dropped || e.published == 0 {
			continue
		}
		handed, settled := s.parkedSince(e), s.parkedSince(e) && e.replays == 0
		for _, d := range e.deliveries {
			if d.gen == s.last && !d.Replayed {
				handed, settled = true, settled || d.final() != nil && d.final().outcome == subscription.Done
			}
		}
		if settled || !e.selected {
			continue
		}
		most++
		if !handed {
			least++
		}
	}
	return least, most
}

// unresolved answers what is still to be handed out.
func (s *story) unresolved(parked []subscription.ParkedDelivery, all bool) (left []uint64, quiet time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !all { // what was heard before stays
		parked = nil
	}
	for _, e := range s.events {
		if all {
			e.parked = nil
		}
	}
	for _, p := range parked {
		e := s.event(p.Event.Seq())
		e.parked = append(e.parked, p)
	}
	for seq, e := range s.events {
		if !s.resolved(e) {
			left = append(left, seq)
		}
	}
	slices.Sort(left)
	return left, time.Since(s.quiet)
}

// finish looks at the whole.
func (s *story) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		s.checkParked(e)
		if s.settings.Ordering == subscription.OrderByEntity && e.entity != "" {
			s.checkOrder(e)
		}
	}
}

func (s *story) checkParked(e *told) {
	if e.replays > 0 {
		return // it may have been parked anew
	}
	if len(e.parked) > 1 && s.sought.IsZero() {
		s.broken("event %d is parked %d times", e.seq, len(e.parked))
	}
	for _, p := range e.parked {
		if slices.ContainsFunc(e.deliveries, func(d *handed) bool {
			return slices.ContainsFunc(d.words, func(w *word) bool { return w.verdict == subscription.Park })
		}) {
			continue
		}
		most := s.settings.MaxAttempts
		if s.last == 1 {
			most, _ = s.failures(e, 1, s.now+1, false)
		}
		if most < s.settings.MaxAttempts {
			s.broken("event %d was parked after %d attempts at most, %d are allowed: %q", e.seq, most, s.settings.MaxAttempts, p.Reason)
		}
	}
}

// checkOrder looks at whether all before the event was done with when it was
// handed out.
func (s *story) checkOrder(e *told) {
	for _, d := range e.deliveries {
		if d.Replayed {
			continue
		}
		for _, before := range s.events {
			if before.entity != e.entity || before.seq >= e.seq || !before.selected || before.seq <= s.dropped || before.seq < s.starts[d.gen] {
				continue
			}
			if !s.doneBy(before, d) {
				s.broken("event %d of %q was handed out at %d, before event %d was done with", e.seq, e.entity, d.at, before.seq)
			}
		}
	}
}

func (s *story) doneBy(e *told, next *handed) bool {
	for _, d := range e.deliveries {
		if w := d.final(); d.gen == next.gen && w != nil && w.begun < next.at {
			return true
		}
	}
	return slices.ContainsFunc(slices.Concat(e.parked, e.before), func(p subscription.ParkedDelivery) bool { return !p.ParkTime.After(next.time) })
}

var anEvent = regexp.MustCompile(`event \d+`)

// tell answers what is wrong and what happened, the last part of it.
func (s *story) tell() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	const most = 400
	var early []string // what happened before to the events that are named
	if len(log) > most {
		for _, line := range log[:len(log)-most] {
			if slices.ContainsFunc(anEvent.FindAllString(strings.Join(s.wrong, "\n"), 20), func(e string) bool { return strings.Contains(line, e+" ") || strings.Contains(line, e+",") }) {
				early = append(early, line)
			}
		}
		log = log[len(log)-most:]
	}
	return strings.Join(s.wrong, "\n") + "\n\n" + strings.Join(append(early, log...), "\n")
}
