package jetstream

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/index"
)

// local is what an embedded log has because nobody else writes to it: it knows
// what is on its way, and shows it without asking JetStream for it again.
type local struct {
	flights *flights
	backlog tailBacklog
	blocks  string // where its files lie, if they can be read
	warned  sync.Once

	// mu guards what follows. It is let go of before flights are told.
	mu      sync.Mutex
	decided struct{ group, last uint64 } // the last group that was acknowledged
	looking bool                         // somebody looks after what is in doubt
}

// tailBacklog holds durable entries that the shared tail has not taken. What it cannot
// hold the tail reads from the log.
type tailBacklog struct {
	// mu guards recs and entries; nothing is taken under it.
	mu      sync.Mutex
	recs    []event.Record
	entries []index.Entry // of recs, one by one
	wake    chan struct{}
}

// maxFed bounds what lies between committer and shared tail.
const maxFed = 8192

func (f *tailBacklog) put(entries []*pending) {
	f.mu.Lock()
	if len(f.recs) > maxFed {
		f.recs, f.entries = nil, nil
	}
	f.recs, f.entries = slices.Grow(f.recs, len(entries)), slices.Grow(f.entries, len(entries))
	for _, r := range entries {
		if r.err == nil && r.msg != nil {
			t := time.Unix(0, r.nanos).UTC()
			f.recs = append(f.recs, event.Record{Seq: r.got.Seq, Time: t, Data: keptEvent(r.msg.Data), Marks: keptMarks(r.msg.Data)})
			f.entries = append(f.entries, index.Entry{Seq: r.got.Seq, Time: t, Key: r.key, Content: r.content})
		}
	}
	f.mu.Unlock()
	f.poke()
}

func (f *tailBacklog) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// from answers the entries from next on without a hole between them, as far as
// they are there, and else the sequence before which the log must be read: 0
// when nothing more is there.
func (f *tailBacklog) from(next uint64) (recs []event.Record, entries []index.Entry, before uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := 0
	for known < len(f.recs) && f.recs[known].Seq < next {
		known++
	}
	f.recs, f.entries = f.recs[known:], f.entries[known:]
	n := 0
	for n < len(f.recs) && f.recs[n].Seq == next+uint64(n) {
		n++
	}
	recs, f.recs = f.recs[:n:n], f.recs[n:]
	entries, f.entries = f.entries[:n:n], f.entries[n:]
	if n == 0 && len(f.recs) > 0 {
		before = f.recs[0].Seq
	}
	return recs, entries, before
}

// openLocal opens the way into a log that is nobody else's.
func (s *stream) openLocal(ctx context.Context, last uint64) error {
	nc, err := s.e.connect(ctx, publishing+StreamEvents)
	if err != nil {
		return err
	}
	b, err := s.e.barrierFor(StreamEvents, newBlockBarrier)
	if err != nil {
		return err
	}
	clock, err := s.lastTime(ctx, last)
	if err != nil {
		return err
	}
	pub, err := newBurst(nc, last, clock, func(from uint64) ([]event.Record, error) {
		return s.get(s.e.ctx, directGet{Seq: from, Batch: tailBatch, MaxBytes: tailBatchBytes, NextFor: ">"})
	})
	if err != nil {
		return err
	}
	s.local = &local{flights: newFlights(), backlog: tailBacklog{wake: make(chan struct{}, 1)}}
	if barrierSupported {
		s.local.blocks = blocksDir(s.e.opts.Dir, StreamEvents)
	}
	s.commit = newCommitter(StreamEvents, s.e.judged(StreamEvents, pub), b, s.e.opts, last, s.advanced, s.landed, s.e.fatal)
	return nil
}

// lastTime answers the time of the last entry, zero when it is gone.
func (s *stream) lastTime(ctx context.Context, last uint64) (time.Time, error) {
	recs, err := s.get(ctx, directGet{Seq: max(last, 1), Batch: 1, NextFor: ">"})
	if err != nil || len(recs) == 0 {
		return time.Time{}, err
	}
	r, _, _ := s.e.unkeepOrPass(recs[0])
	return r.Time, nil
}

// strange tells, once, of files that could not be read: history is slower then.
// That retention takes a file away is not strange.
func (l *local) strange(logger *slog.Logger, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		l.warned.Do(func() {
			logger.Warn("history is read through JetStream, which is slower", "err", err)
		})
	}
}

func (s *stream) appendLocal(ctx context.Context, a eventlog.Entry) (eventlog.Appended, error) {
	key := keyHash(a.Source, a.DedupKey)
	r := &pending{key: key, content: contentOf(a), done: make(chan struct{})}
	for other := s.local.flights.begin(r); other != nil; other = s.local.flights.begin(r) {
		got, err := other.wait(ctx)
		switch {
		case err == nil:
			return eventlog.Appended{Seq: got.Seq, Duplicate: true}, nil
		case ctx.Err() != nil || s.local.flights.doubtful(other):
			return eventlog.Appended{}, err
		}
	}
	if got, err := s.known(key); got.Duplicate || err != nil {
		return s.conclude(r, got, err)
	}
	r.msg = messageOf(a, key)
	if err := s.commit.enqueue(r); err != nil {
		return s.conclude(r, eventlog.Appended{}, err)
	}
	return r.wait(ctx)
}

// conclude ends an entry that is not stored, for itself and for who waits for it.
func (s *stream) conclude(r *pending, got eventlog.Appended, err error) (eventlog.Appended, error) {
	r.got, r.err = got, err
	s.local.flights.end(r.key)
	close(r.done)
	return got, err
}

// landed is called with entries that are durable, or failed, before their
// callers know.
func (s *stream) landed(entries []*pending) {
	l := s.local
	doubt := false
	for _, r := range entries {
		switch {
		case errors.Is(r.err, ErrNoAck):
			doubt = true
			l.flights.doubt(r)
		case r.err != nil:
			l.flights.end(r.key)
		case r.group != 0:
			l.acknowledged(r)
		}
	}
	l.backlog.put(entries)
	s.decide()
	if doubt {
		s.lookAgain()
	}
}

func (l *local) acknowledged(r *pending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.decided.group, l.decided.last = r.group, max(l.decided.last, r.got.Seq)
}

// decide ends doubts: what was sent before the last acknowledged group is known
// to the index by now, or was not stored.
func (s *stream) decide() {
	s.local.mu.Lock()
	d := s.local.decided
	s.local.mu.Unlock()
	if s.e.index.Applied() >= d.last {
		s.local.flights.decide(d.group)
	}
}

// lookAgain has the log looked at every while, until nothing is in doubt.
func (s *stream) lookAgain() {
	s.local.mu.Lock()
	defer s.local.mu.Unlock()
	if s.local.looking {
		return
	}
	s.local.looking = true
	time.AfterFunc(nudgeAfter, func() {
		s.local.mu.Lock()
		s.local.looking = false
		s.local.mu.Unlock()
		if s.e.ctx.Err() == nil && s.local.flights.inDoubt() {
			s.commit.nudge(0)
			s.lookAgain()
		}
	})
}

// followLocal is the shared tail of a log that is nobody else's.
func (s *stream) followLocal() {
	for s.e.ctx.Err() == nil {
		recs, entries, err := s.nextLocal()
		if err != nil {
			s.e.logger.Warn("the log can not be read, trying again", "err", err)
			s.e.tailing.Store(&err)
			s.pause(nudgeAfter)
			continue
		}
		s.e.tailing.Store(nil)
		if len(recs) == 0 {
			continue
		}
		if err := s.e.index.Apply(entries, recs[len(recs)-1].Seq); err != nil {
			s.breakTail(err)
			return
		}
		s.local.flights.land(entries)
		s.decide()
		s.show(recs)
	}
}

// nextLocal answers the durable entries that come next: from the committer, or
// from the log when they did not come that way. It waits when there are none.
func (s *stream) nextLocal() ([]event.Record, []index.Entry, error) {
	recs, entries, before := s.local.backlog.from(s.next)
	if len(recs) > 0 {
		return recs, entries, nil
	}
	if before == 0 && s.next > s.commit.watermark.Load() {
		s.pause(0)
		return nil, nil, nil
	}
	return s.readLocal()
}

// pause waits for something to come, or for a while if there is one.
func (s *stream) pause(d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		over = time.After(d)
	}
	select {
	case <-s.local.backlog.wake:
	case <-over:
	case <-s.e.ctx.Done():
	}
}

// readLocal reads what comes next from the log.
func (s *stream) readLocal() ([]event.Record, []index.Entry, error) {
	durable := s.commit.watermark.Load()
	stored, err := s.get(s.e.ctx, directGet{Seq: s.next, Batch: tailBatch, MaxBytes: tailBatchBytes, NextFor: ">"})
	if err != nil {
		return nil, nil, err
	}
	recs, entries := make([]event.Record, 0, len(stored)), make([]index.Entry, 0, len(stored))
	for _, r := range stored {
		if r.Seq > durable {
			break
		}
		rec, entry, known := s.e.unkeepOrPass(r)
		if recs = append(recs, rec); known {
			entries = append(entries, entry)
		}
	}
	if s.next > 1 {
		s.mindHoles(s.next, recs)
	}
	s.noteHole(s.next, recs, durable)
	return recs, entries, nil
}

// noteHole tells of records that are not there, and goes on after them when
// nothing durable follows.
func (s *stream) noteHole(from uint64, recs []event.Record, durable uint64) {
	to := durable + 1
	if len(recs) > 0 {
		to = recs[0].Seq
	}
	if from > 1 && to > from {
		s.e.logger.Warn("the log has a hole, or dropped events before they were seen", "from", from, "to", to-1)
	}
	if len(recs) == 0 {
		if err := s.e.index.Apply(nil, to-1); err != nil {
			s.e.logger.Warn("index", "err", err) // whoever applies next is told as well
		}
		s.mu.Lock()
		s.next = to
		s.mu.Unlock()
	}
}
