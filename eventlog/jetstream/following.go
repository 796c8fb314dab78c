package jetstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog"
)

const (
	// followBatch is how many messages are on their way to a follower at once.
	followBatch = 4096
	// followBytes bounds what one request brings of them, of which two may be open: a
	// server ends a connection on which 64 MiB wait.
	followBytes = 16 << 20
	// signEvery is how often a follower is told that there is nothing. After two that
	// did not come it follows anew.
	signEvery = 2 * time.Second
	// unfollowed is how long a server keeps the consumer of a follower that has gone.
	unfollowed = time.Minute
	// followAgain is when a stream is followed anew that could not be.
	followAgain = time.Second
	// behindTime is how long a follower may stand still while the stream has more.
	behindTime = 5 * time.Second
)

var (
	errMissed = errors.New("messages were lost on their way")
	errBehind = errors.New("the node that is followed has not what the stream has")
	errGone   = errors.New("the rest of what there was is gone")
)

// Following says what is followed, and who is told.
type Following struct {
	// Stream is followed from the message with the sequence From on.
	Stream string
	From   uint64
	// Over is the connection; nil: the one that is not on a hot path.
	Over jetstream.JetStream
	// Take is called with the messages, one at a time and in order, each once, and none
	// left out but those that are gone. While it does not return no more are fetched
	// than a few thousand.
	Take func(jetstream.Msg, *jetstream.MsgMetadata)
	// Present, when not nil, is called once, between two calls of Take: when everything
	// was taken that there was at the beginning.
	Present func()
}

// KeepFollowing follows a stream until ctx ends or the engine closes. It does not give
// up: connections come back, and a gateway that follows nothing would accept and show
// nothing. Whatever breaks, or stands still because the node that serves it lags behind
// the others, is made anew and goes on from where it was.
//
// As long as Present was not called it is the beginning of something, and ends with
// what no waiting mends: embedded, with whatever keeps it from following.
func (e *Engine) KeepFollowing(ctx context.Context, f Following) error {
	fol := &follower{Following: f, e: e}
	fol.present.Store(f.Present == nil)
	fol.seen.Store(max(f.From, 1) - 1)
	if fol.Over == nil {
		fol.Over = e.js
	}
	patience := e.patience()
	for {
		err := fol.follow(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case e.ctx.Err() != nil:
			return fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
		case !fol.present.Load() && !fol.began:
			if err := patience.over(err); err != nil {
				return Unavailable("follow", err)
			}
		}
		e.logger.Warn("a stream is not followed, trying again", "stream", f.Stream, "from", fol.seen.Load()+1, "err", err)
		select {
		case <-time.After(followAgain):
		case <-ctx.Done():
		case <-e.ctx.Done():
		}
	}
}

// follower is one who follows, from one consumer to the next.
type follower struct {
	Following
	e *Engine

	seen    atomic.Uint64 // the last that was taken
	moves   atomic.Uint64 // grows when Take is called, which may be long, and when it ended: odd between them
	present atomic.Bool   // Present was called, or there is none
	last    uint64        // of what there was at the beginning
	began   bool          // there is, or was, a consumer
}

// follow follows with one consumer, until ctx ends or something goes wrong.
//
// The client's ordered consumer goes on by itself, but keeps a lock while it asks and
// pauses, and looks whether it was stopped only afterwards. This one ends with ctx,
// whatever it waits for.
func (f *follower) follow(ctx context.Context) (err error) {
	ctx, end := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer end(nil)
	defer func() {
		err = fmt.Errorf("follow %s: %w", f.Stream, cmp.Or(context.Cause(ctx), err))
	}()
	if err := f.begin(ctx); err != nil {
		return err
	}
	if f.e.node == nil { // a number of another stream says nothing
		if err, _ := f.e.same(ctx, f.Stream); err != nil {
			return err
		}
	}
	it, err := f.messages(ctx)
	if err != nil {
		return err
	}
	defer it.Stop()
	f.began = true
	watching.Go(func() { f.watch(ctx, end) })
	for n := uint64(1); ; n++ {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		md, err := m.Metadata()
		if err != nil {
			return err
		}
		if md.Sequence.Consumer != n {
			return errMissed
		}
		f.receive(m, md)
	}
}

// begin finds out what there is to be taken until everything is present. What a node
// that lags has left says nothing of that.
func (f *follower) begin(ctx context.Context) error {
	f.began = false
	if f.present.Load() {
		return nil
	}
	m, err := f.e.askLeader(ctx, f.Stream, leaderGet{LastFor: everything})
	if err != nil {
		return err
	}
	if f.last = 0; m != nil {
		f.last = m.Seq
	}
	f.tellPresent()
	return nil
}

func (f *follower) tellPresent() {
	if f.seen.Load() >= f.last && !f.present.Swap(true) {
		f.Present()
	}
}

func (f *follower) messages(ctx context.Context) (jetstream.MessagesContext, error) {
	asking, answered := context.WithTimeout(ctx, RequestTimeout)
	defer answered()
	cons, err := f.Over.CreateConsumer(asking, f.Stream, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       f.seen.Load() + 1,
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: unfollowed,
	})
	if err != nil {
		return nil, err
	}
	// A message larger than a request may bring would never come.
	bytes := max(followBytes, f.e.opts.MaxEntryBytes+entryOverhead)
	return cons.Messages(jetstream.PullMaxMessagesWithBytesLimit(followBatch, bytes),
		jetstream.PullHeartbeat(signEvery), jetstream.WithMessagesErrOnMissingHeartbeat(true))
}

func (f *follower) receive(m jetstream.Msg, md *jetstream.MsgMetadata) {
	f.moves.Add(1)
	f.Take(m, md)
	f.seen.Store(md.Sequence.Stream)
	f.moves.Add(1)
	f.tellPresent()
}

// watch ends a consumer that stands still while the stream has more: the node that
// serves it says that it is well, and lags behind the others. It ends one too that
// waits for what was there at the beginning and is gone.
func (f *follower) watch(ctx context.Context, end context.CancelCauseFunc) {
	t := time.NewTicker(behindTime)
	defer t.Stop()
	for before := (standing{}); f.e.node == nil || !f.present.Load(); {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		now := f.stands(ctx)
		switch still := now.asked && before.asked && before.moves%2 == 0 && f.moves.Load() == before.moves; {
		case still && before.next > now.seen:
			end(errBehind)
		case still && before.next == 0 && !f.present.Load():
			end(errGone)
		}
		before = now
	}
}

// standing is where a follower stands, and what the leader has next for it, 0 for
// nothing; asked: it has answered.
type standing struct {
	moves, seen, next uint64
	asked             bool
}

// stands asks the leader for the next message and not for its last number, which
// stays when the messages have gone.
func (f *follower) stands(ctx context.Context) standing {
	ctx, cancel := context.WithTimeout(ctx, behindTime)
	defer cancel()
	s := standing{moves: f.moves.Load(), seen: f.seen.Load()}
	m, err := f.e.askLeader(ctx, f.Stream, leaderGet{Seq: s.seen + 1, NextFor: everything})
	if s.asked = err == nil; m != nil {
		s.next = m.Seq
	}
	return s
}
