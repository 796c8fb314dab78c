package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/index"
)

// A tailer is one caller of Tail, attached to the shared tail.
type tailer struct {
	seq  uint64 // the first record it wants
	fn   func([]event.Record) error
	done chan error // holds one error when it is detached by the shared tail

	mu   sync.Mutex
	gone bool // fn is not called any more
}

// fetched is what the consumer has delivered and the shared tail has not taken.
type fetched struct {
	mu    sync.Mutex
	room  *sync.Cond
	msgs  []jetstream.Msg
	wake  chan struct{}
	ended bool
}

// maxFetched bounds what lies between consumer and shared tail. The consumer's
// connection serves nothing else, so it may be held up.
const maxFetched = 8192

func newFetched() *fetched {
	f := &fetched{wake: make(chan struct{}, 1)}
	f.room = sync.NewCond(&f.mu)
	return f
}

func (f *fetched) put(m jetstream.Msg) {
	f.mu.Lock()
	for len(f.msgs) >= maxFetched && !f.ended {
		f.room.Wait()
	}
	f.msgs = append(f.msgs, m)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fetched) drain(ctx context.Context) []jetstream.Msg {
	for {
		f.mu.Lock()
		msgs := f.msgs
		f.msgs = nil
		f.room.Broadcast()
		f.mu.Unlock()
		if len(msgs) > 0 {
			return msgs
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

func (f *fetched) end() {
	f.mu.Lock()
	f.ended = true
	f.room.Broadcast()
	f.mu.Unlock()
}

// startTail follows the stream from where the index stopped.
func (s *stream) startTail(ctx context.Context) error {
	nc, err := s.e.connect(ctx, "tail")
	if err != nil {
		return err
	}
	js, err := s.e.jetstream(nc)
	if err != nil {
		return err
	}
	s.next = s.e.index.Applied() + 1
	f := newFetched()
	ending, enough := context.WithCancel(s.e.ctx)
	from := s.next
	s.e.wg.Go(func() {
		_ = s.e.KeepFollowing(ending, Following{
			Stream: StreamEvents, From: from, Over: js,
			Take: func(m jetstream.Msg, _ *jetstream.MsgMetadata) { f.put(m) },
		})
	})
	s.e.wg.Go(func() {
		s.follow(f)
		enough()
		f.end()
	})
	return nil
}

// waitIndexed returns when the index knows the log up to last.
func (s *stream) waitIndexed(ctx context.Context, last uint64) error {
	start := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; s.e.index.Applied() < last; n++ {
		if n%200 == 0 {
			if b, err := s.ends(ctx); err == nil && b.First > last {
				return nil // all of it has been dropped
			}
		}
		if n == 400 {
			s.e.logger.Info("reading the log to rebuild the index", "from", s.e.index.Applied(), "to", last)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("index the log: %w", context.Cause(ctx))
		}
	}
	s.e.logger.Debug("index is up to date", "seq", last, "took", time.Since(start))
	return nil
}

// follow is the shared tail of a log that others write to: what is stored goes, once it is durable, to the
// index and to everybody who follows. Not to the index before: it might
// remember an event that a power cut erases, and take it for a duplicate when
// it comes again.
func (s *stream) follow(f *fetched) {
	for {
		msgs := f.drain(s.e.ctx)
		if msgs == nil {
			return
		}
		recs, entries, err := s.parse(msgs)
		if err != nil {
			s.breakTail(err)
			return
		}
		if len(recs) == 0 {
			continue
		}
		last := recs[len(recs)-1].Seq
		if !s.waitDurable(last) {
			return
		}
		if err := s.e.index.Apply(entries, last); err != nil {
			s.breakTail(err)
			return
		}
		s.show(recs)
	}
}

// parse turns messages into records and entries of the index.
func (s *stream) parse(msgs []jetstream.Msg) ([]event.Record, []index.Entry, error) {
	recs := make([]event.Record, 0, len(msgs))
	entries := make([]index.Entry, 0, len(msgs))
	expect := s.next
	for _, m := range msgs {
		md, err := m.Metadata()
		if err != nil {
			return nil, nil, fmt.Errorf("tail: %w", err)
		}
		seq := md.Sequence.Stream
		if seq < expect {
			continue // a consumer that was made anew may repeat
		}
		if seq > expect && expect > 1 {
			s.e.logger.Warn("the log has a hole, or dropped events before they were seen", "from", expect, "to", seq-1)
		}
		expect = seq + 1
		rec, entry, known := s.e.unkeepOrPass(event.Record{Seq: seq, Time: md.Timestamp, Data: m.Data()})
		if recs = append(recs, rec); known {
			entries = append(entries, entry)
		}
	}
	return recs, entries, nil
}

// nudgeAfter is how long the tail waits for a sequence to become durable before
// it asks for a sync: its own may have been given up on.
const nudgeAfter = time.Second

// waitDurable returns when seq may be shown; false when the engine ends.
func (s *stream) waitDurable(seq uint64) bool {
	for {
		s.mu.Lock()
		moved := s.moved
		s.mu.Unlock()
		if seq <= s.durable(seq) {
			return true
		}
		timer := time.NewTimer(nudgeAfter)
		select {
		case <-moved:
		case <-timer.C:
			s.commit.nudge(seq)
		case <-s.e.ctx.Done():
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}

// show hands durable records to everybody who follows. A follower that fails is
// let go.
func (s *stream) show(recs []event.Record) {
	s.mu.Lock()
	s.next = recs[len(recs)-1].Seq + 1
	following := make([]*tailer, 0, len(s.tailers))
	for t := range s.tailers {
		following = append(following, t)
	}
	s.mu.Unlock()
	for _, t := range following {
		if err := t.receive(recs); err != nil {
			s.detach(t, err)
		}
	}
}

func (t *tailer) receive(recs []event.Record) error {
	for len(recs) > 0 && recs[0].Seq < t.seq {
		recs = recs[1:]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(recs) == 0 || t.gone {
		return nil
	}
	return t.fn(recs)
}

// detach returns when the tailer's function runs no more and will not again.
func (s *stream) detach(t *tailer, err error) {
	t.mu.Lock()
	t.gone = true
	t.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.tailers[t]; ok {
		delete(s.tailers, t)
		t.done <- err
	}
}

// breakTail ends everybody who follows: the tail can not go on.
func (s *stream) breakTail(err error) {
	s.e.logger.Error("the log can not be followed any more", "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	for t := range s.tailers {
		delete(s.tailers, t)
		t.done <- s.broken
	}
}

// tailBatch is how much of the log a new follower reads at once.
const (
	tailBatch      = 512
	tailBatchBytes = 4 << 20
)

// Tail reads the log until it has reached the shared tail, and joins it there.
func (s *stream) Tail(ctx context.Context, seq uint64, fn func([]event.Record) error) error {
	t := &tailer{seq: max(seq, 1), fn: fn, done: make(chan error, 1)}
	for {
		joined, err := s.join(t)
		if err != nil {
			return err
		}
		if joined {
			break
		}
		there := s.commit.watermark.Load()
		recs, err := s.Read(ctx, t.seq, tailBatch, tailBatchBytes)
		switch {
		case err != nil || len(recs) > 0:
		case s.e.node != nil && t.seq <= there: // the log has lost its end
			t.seq = there + 1
		default: // dropped meanwhile, or a replica that lags
			err = s.skipDropped(ctx, t)
		}
		// One question that failed is no end: whoever follows would end with it.
		if errors.Is(err, eventlog.ErrUnavailable) && s.again(ctx) {
			continue
		}
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			continue
		}
		if err := fn(recs); err != nil {
			return err
		}
		t.seq = recs[len(recs)-1].Seq + 1
	}
	select {
	case err := <-t.done:
		return err
	case <-ctx.Done():
		s.detach(t, nil)
		return context.Cause(ctx)
	case <-s.e.ctx.Done():
		s.detach(t, nil)
		return fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
	}
}

// tailAgain is when a follower asks again that could not read.
const tailAgain = 200 * time.Millisecond

// again waits a moment, and reports whether anything can be asked then.
func (s *stream) again(ctx context.Context) bool {
	select {
	case <-time.After(tailAgain):
		return true
	case <-ctx.Done():
		return false
	case <-s.e.ctx.Done():
		return false
	}
}

// join attaches the tailer when it has read all that the shared tail has shown.
func (s *stream) join(t *tailer) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return false, s.broken
	}
	if t.seq < s.next {
		return false, nil
	}
	s.tailers[t] = struct{}{}
	return true, nil
}

// skipDropped moves the tailer to where the log begins, or waits a moment.
func (s *stream) skipDropped(ctx context.Context, t *tailer) error {
	b, err := s.ends(ctx)
	if err != nil {
		return err
	}
	if t.seq < b.First {
		t.seq = b.First
		return nil
	}
	select {
	case <-time.After(10 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
