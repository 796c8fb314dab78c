package memengine

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// durable is a durable consumer of JetStream. All is under the mu of the store.
type durable struct {
	cfg     queue.Config
	next    uint64
	last    uint64 // that JetStream says was handed out last: see passBy
	turn    uint64
	pending map[uint64]*pending
	counts  map[uint64]int
	again   []uint64 // to be handed out again
	waiting []*request

	pin      string
	pinUntil time.Time
	pins     int

	led   time.Time // since then by the same leader
	looks time.Time // that one looks then for the first time what is to be handed out again
}

// pending is a message that was handed out and not settled.
type pending struct {
	turn uint64
	due  time.Time
	// told is when the hold is over for the queue's next leader, and before when it was
	// until something was said of it.
	told, before, said time.Time
}

// hold has the message come again at a time, of which the others are told.
func (p *pending) hold(due time.Time) {
	p.due = due
	p.before, p.told, p.said = p.told, due, time.Now()
}

// request is one pull.
type request struct {
	puller *puller
	no     uint64
	n      int
	now    bool // no wait
	until  time.Time
	pin    string
}

func newQueue(c queue.Config) *durable {
	return &durable{
		cfg: c, next: max(c.From, 1), last: max(c.From, 1) - 1,
		pending: make(map[uint64]*pending), counts: make(map[uint64]int), led: time.Now(),
	}
}

func (q *durable) clone() *durable {
	c := *q
	c.pending, c.counts, c.again = make(map[uint64]*pending), maps.Clone(q.counts), slices.Clone(q.again)
	for seq, p := range q.pending {
		kept := *p
		c.pending[seq] = &kept
	}
	c.waiting, c.pin = nil, ""
	return &c
}

func (q *durable) state() queue.State {
	st := queue.State{Held: int64(len(q.pending)), Last: q.last, Turn: q.turn, Floor: q.next - 1, Pin: q.pin}
	for seq := range q.pending {
		st.Floor = min(st.Floor, seq-1)
		if q.counts[seq] > 1 {
			st.Redelivered++
		}
	}
	return st
}

// ask takes a pull. The caller holds the mu of the store.
func (s *Store) ask(name string, r *request) {
	q := s.queues[name]
	if q == nil {
		r.endAbsent()
		return
	}
	if q.cfg.Pinned && r.pin != "" {
		if r.pin != q.pin {
			r.end(true)
			return
		}
		q.pinUntil = time.Now().Add(queue.PinTime)
	}
	q.waiting = append(q.waiting, r)
	s.pump(q)
}

// pump hands out what it can.
func (s *Store) pump(q *durable) {
	now := time.Now()
	if q.pin != "" && !now.Before(q.pinUntil) {
		q.pin = ""
	}
	for _, seq := range slices.Sorted(maps.Keys(q.pending)) {
		if p := q.pending[seq]; !now.Before(q.looks) && !p.due.After(now) && !slices.Contains(q.again, seq) {
			q.again = append(q.again, seq)
		}
	}
	for {
		r := s.nextWaiting(q, now)
		if r == nil {
			return
		}
		h, ok := s.nextHand(q)
		if !ok {
			if r.now && (!q.cfg.Pinned || q.pin == r.pin) {
				q.drop(r)
				r.end(false)
				continue
			}
			return
		}
		if q.cfg.Pinned && q.pin == "" {
			q.pins++
			q.pin, q.pinUntil = q.cfg.Name+"/"+strconv.Itoa(q.pins), now.Add(queue.PinTime)
		}
		h.Pin = q.pin
		if r.n--; r.n == 0 {
			q.drop(r)
		}
		p := r.puller
		no := r.no
		p.e.down.put(func() { p.receive(no, h) })
	}
}

func (q *durable) drop(r *request) {
	q.waiting = slices.DeleteFunc(q.waiting, func(other *request) bool { return other == r })
}

func (r *request) end(refused bool) {
	r.puller.e.down.put(func() { r.puller.end(r.no, refused, false) })
}

// endAbsent ends a pull of a queue that is not there.
func (r *request) endAbsent() {
	r.puller.e.down.put(func() { r.puller.end(r.no, true, true) })
}

// nextWaiting answers the next pull that may be answered. Those are ended whose
// time is over, or whose pin is an old one.
func (s *Store) nextWaiting(q *durable, now time.Time) *request {
	for i := 0; i < len(q.waiting); {
		r := q.waiting[i]
		switch {
		case !now.Before(r.until):
			q.drop(r)
			r.end(false)
		case r.puller.e.gone():
			q.drop(r)
		case q.cfg.Pinned && r.pin != "" && r.pin != q.pin:
			q.drop(r)
			r.end(true)
		case q.cfg.Pinned && q.pin != "" && r.pin == "":
			i++
		default:
			// In turn, as JetStream has those of one priority.
			q.waiting = append(append(q.waiting[:i:i], q.waiting[i+1:]...), r)
			return r
		}
	}
	return nil
}

// nextHand hands out what is next, and notes that it is.
func (s *Store) nextHand(q *durable) (h queue.Hand, ok bool) {
	for len(q.again) > 0 {
		seq := q.again[0]
		q.again = q.again[1:]
		if q.pending[seq] == nil {
			continue
		}
		if h, ok := s.load(q, seq, true); ok {
			return s.hand(q, h), true
		}
		delete(q.pending, seq)
		if q.cfg.Replays == "" {
			s.tellDropped(q.cfg.Name, seq)
		}
	}
	if q.cfg.MaxHeld > 0 && len(q.pending) >= q.cfg.MaxHeld {
		return h, false
	}
	if h, ok = s.load(q, q.next, false); !ok {
		s.passBy(q)
		return h, false
	}
	q.next = h.Seq + 1
	return s.hand(q, h), true
}

func (s *Store) hand(q *durable, h queue.Hand) queue.Hand {
	q.turn++
	q.last = max(q.last, h.Seq)
	q.counts[h.Seq]++
	h.Turn, h.Attempt = q.turn, q.counts[h.Seq]
	// The others are told when it was published, and not when it is handed out.
	q.pending[h.Seq] = &pending{turn: q.turn, due: time.Now().Add(q.cfg.Hold), told: h.Published.Add(q.cfg.Hold)}
	h.Published = s.byItsClock(h.Published)
	return h
}

// load answers the message at seq, or the first from there on.
func (s *Store) load(q *durable, seq uint64, exact bool) (queue.Hand, bool) {
	if q.cfg.Replays != "" {
		for _, e := range s.parked {
			if e.replay && e.uid == q.cfg.Replays && (e.ID == seq || !exact && e.ID > seq) {
				kept := e.ParkedEntry
				return queue.Hand{Seq: e.ID, Entry: &kept, Published: e.Time}, true
			}
		}
		return queue.Hand{}, false
	}
	for {
		recs, err := s.log.Read(context.Background(), seq, 1, 1)
		if err != nil || len(recs) == 0 || exact && recs[0].Seq != seq {
			return queue.Hand{}, false
		}
		subject, known := s.subjects[recs[0].Seq]
		if !known {
			subject = queue.SubjectOf(recs[0])
			s.subjects[recs[0].Seq] = subject
		}
		if exact || q.selects(subject) {
			return queue.Hand{Seq: recs[0].Seq, Published: s.publishedAt(recs[0])}, true
		}
		seq = recs[0].Seq + 1
	}
}

func (s *Store) publishedAt(r event.Record) time.Time {
	if s.opts.Backlog && r.Seq%2 == 0 {
		return r.Time.Add(-time.Hour)
	}
	return r.Time
}

// passBy has a queue pass by what it does not select: nothing else is left. JetStream
// tells of that on a cluster only, where all replicas are to know.
func (s *Store) passBy(q *durable) {
	if b, err := s.log.Bounds(context.Background()); err == nil && q.cfg.Replays == "" {
		q.next = max(q.next, b.Last+1)
	}
	if !s.opts.Journal {
		q.last = max(q.last, q.next-1)
	}
}

// waits answers how many messages of the log are still to be handed out.
func (s *Store) waits(q *durable) (n int64) {
	for next := q.next; ; n++ {
		h, ok := s.load(q, next, false)
		if !ok {
			return n
		}
		next = h.Seq + 1
	}
}

// selects reports whether one of the queue's subjects covers that of an event.
func (q *durable) selects(subject string) bool {
	return q.cfg.Subjects == nil || slices.ContainsFunc(q.cfg.Subjects, func(pattern string) bool { return server.SubjectsCollide(pattern, subject) })
}

// hear takes a word, and reports whether it is answered.
func (s *Store) hear(name string, w queue.Word) bool {
	q := s.queues[name]
	if q == nil || w.Seq >= q.next {
		return false
	}
	p := q.pending[w.Seq]
	switch {
	case p == nil:
	case w.Say == queue.Settled:
		delete(q.pending, w.Seq)
		delete(q.counts, w.Seq)
		q.forgetAgain(w.Seq)
	case w.Say == queue.Held:
		p.hold(time.Now().Add(q.cfg.Hold))
	case w.Delay > 0:
		q.forgetAgain(w.Seq)
		p.hold(time.Now().Add(w.Delay))
	default:
		p.due = time.Now()
	}
	s.pump(q)
	return true
}

func (q *durable) forgetAgain(seq uint64) {
	q.again = slices.DeleteFunc(q.again, func(n uint64) bool { return n == seq })
}

// Lead has each queue of a cluster choose another leader, as when a node is restarted, or is
// back that was cut off. As that of JetStream, it knows nothing of the pulls, of the pin
// and of what was given back at once; what was handed out it takes for held since it was
// published, unless it heard of a longer hold; and it begins to hand out again what is
// held no more between 500 ms and 1500 ms later.
func (s *Store) Lead() {
	if s.opts.Journal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		s.randMu.Lock()
		looks := firstLook + time.Duration(s.opts.Rand.Int64N(int64(2*firstLook)))
		s.randMu.Unlock()
		s.queues[name].lead(looks)
	}
}

const (
	// firstLook is how long, at least, a leader waits after it was chosen.
	firstLook = 500 * time.Millisecond
	// untold is how long it takes, at most, until the others have heard of what a leader
	// has confirmed: it does not wait for them when it holds for longer.
	untold = 10 * time.Millisecond
)

func (q *durable) lead(looks time.Duration) {
	now := time.Now()
	q.led, q.looks = now, now.Add(looks)
	q.waiting, q.again, q.pin = nil, nil, ""
	for _, p := range q.pending {
		if now.Sub(p.said) < untold {
			p.told = p.before
		}
		p.due = p.told
	}
}
