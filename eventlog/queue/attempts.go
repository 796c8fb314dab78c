package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	engine "github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Attempts keeps what is known of messages that were handed out in vain: one
// value a message of a queue. What it means is its owner's. Nothing is written
// of what goes well, so that it holds little: one message for each event that
// has failed and is not settled.
//
// It is as durable as JetStream makes it, and not synced: it survives a kill,
// and what a power cut takes of it costs a count.
type Attempts struct {
	e   *Engine
	js  jetstream.Stream
	ctx context.Context // ends with Close

	// mu guards what follows. It is taken last, and let go of before anything is
	// written or anybody is told.
	mu      sync.Mutex
	waiting []writing // in the order they came
	closed  bool      // nothing is written any more
	wake    chan struct{}

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// Attempted is the value of one message of a queue.
type Attempted struct {
	Queue string
	Seq   uint64
	// Value is what is known; nil forgets it.
	Value []byte
}

// writing is what one call of Put has written.
type writing struct {
	some []Attempted
	done func(error)
}

// forgottenTime is how long it is told that a value was forgotten.
const forgottenTime = "60s"

// headerTTL bounds how long one message is kept.
const headerTTL = "Nats-TTL"

// OpenAttempts calls heard with all that is kept, in order, before it returns,
// and then with every change, whoever made it, until Close.
func (e *Engine) OpenAttempts(ctx context.Context, heard func(Attempted)) (*Attempts, error) {
	js, err := e.EnsureStream(ctx, jetstream.StreamConfig{
		Name:              engine.StreamAttempts,
		Description:       "Hookstream: what was handed out in vain and is not settled",
		Subjects:          []string{engine.SubjectAttempts + ".>"},
		MaxMsgsPerSubject: 1,
		MaxBytes:          maxAttemptsBytes,
		AllowMsgTTL:       true,
	})
	if err != nil {
		return nil, err
	}
	a := &Attempts{e: e, js: js, wake: make(chan struct{}, 1)}
	a.ctx, a.stop = context.WithCancel(context.Background())
	loaded := make(chan error, 1)
	a.wg.Go(func() { a.follow(heard, loaded) })
	a.wg.Go(a.write)
	select {
	case err = <-loaded:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		a.Close()
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	return a, nil
}

// maxAttemptsBytes bounds what is kept, at about a million messages: beyond, the
// oldest counts begin anew.
const maxAttemptsBytes = 256 << 20

// follow tells of what there is, then loaded, or of why it cannot, and then of what
// comes. The same value twice is once.
func (a *Attempts) follow(heard func(Attempted), loaded chan<- error) {
	err := a.e.KeepFollowing(a.ctx, engine.Following{
		Stream: engine.StreamAttempts,
		Take: func(m jetstream.Msg, _ *jetstream.MsgMetadata) {
			if v, ok := parseAttempted(m.Subject(), m.Data()); ok {
				heard(v)
			}
		},
		Present: func() { loaded <- nil },
	})
	select {
	case loaded <- err:
	default: // they were loaded, long ago
	}
}

func parseAttempted(subject string, value []byte) (Attempted, bool) {
	rest, ok := strings.CutPrefix(subject, engine.SubjectAttempts+".")
	queue, number, two := strings.Cut(rest, ".")
	seq, err := strconv.ParseUint(number, 10, 64)
	if len(value) == 0 {
		value = nil
	}
	return Attempted{queue, seq, value}, ok && two && err == nil
}

func (v Attempted) message() *nats.Msg {
	m := &nats.Msg{Subject: engine.Tokens(engine.SubjectAttempts, v.Queue, strconv.FormatUint(v.Seq, 10)), Data: v.Value}
	if v.Value == nil {
		m.Header = nats.Header{headerTTL: []string{forgottenTime}}
	}
	return m
}

// Put has values written, in order, and returns at once. done, when not nil, is
// called when they are, or cannot be, and must not block.
func (a *Attempts) Put(some []Attempted, done func(error)) {
	a.mu.Lock()
	closed := a.closed
	if !closed {
		a.waiting = append(a.waiting, writing{some, done})
	}
	a.mu.Unlock()
	if closed && done != nil {
		done(fmt.Errorf("%w: closed", eventlog.ErrUnavailable))
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// write writes what has come meanwhile, again and again; at the end what is left.
func (a *Attempts) write() {
	for {
		select {
		case <-a.wake:
			a.writeAll()
		case <-a.ctx.Done():
			a.writeAll()
			return
		}
	}
}

// maxWriting bounds what is under way at a time.
const maxWriting = 1024

func (a *Attempts) writeAll() {
	for {
		a.mu.Lock()
		n, values := 0, 0
		a.closed = a.ctx.Err() != nil && len(a.waiting) == 0
		for n < len(a.waiting) && (n == 0 || values+len(a.waiting[n].some) <= maxWriting) {
			values += len(a.waiting[n].some)
			n++
		}
		group := a.waiting[:n:n]
		a.waiting = a.waiting[n:]
		a.mu.Unlock()
		if n == 0 {
			return
		}
		a.writeGroup(group)
	}
}

func (a *Attempts) writeGroup(group []writing) {
	acks := make([][]jetstream.PubAckFuture, len(group))
	errs := make([]error, len(group))
	for i, w := range group {
		for _, v := range w.some {
			// The client of who publishes for the first time while his connection is closed
			// waits for news of it for ever.
			if errs[i] = context.Cause(a.e.Context()); errs[i] != nil {
				break
			}
			ack, err := a.e.JS().PublishMsgAsync(v.message())
			if err != nil {
				errs[i] = err
				break
			}
			acks[i] = append(acks[i], ack)
		}
	}
	late := time.NewTimer(engine.AckTimeout)
	defer late.Stop()
	for i, w := range group {
		for _, ack := range acks[i] {
			if errs[i] != nil {
				break
			}
			select {
			case <-ack.Ok():
			case errs[i] = <-ack.Err():
			case <-late.C:
				late.Reset(0) // nor wait for the others
				errs[i] = engine.ErrNoAck
			}
		}
		if errs[i] != nil && a.e.Context().Err() == nil {
			a.e.Logger().Warn("what was handed out in vain could not be counted", "err", errs[i])
		}
		if w.done != nil {
			w.done(engine.Unavailable("attempts", errs[i]))
		}
	}
}

// Keep is Put, and returns when the values are kept.
func (a *Attempts) Keep(ctx context.Context, some []Attempted) error {
	if len(some) == 0 {
		return nil
	}
	kept := make(chan error, 1)
	a.Put(some, func(err error) { kept <- err })
	select {
	case err := <-kept:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Read answers the value of a message as it is kept now, whoever wrote it; nil
// when there is none.
func (a *Attempts) Read(ctx context.Context, queue string, seq uint64) ([]byte, error) {
	m, err := a.js.GetLastMsgForSubject(ctx, engine.Tokens(engine.SubjectAttempts, queue, strconv.FormatUint(seq, 10)))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, nil
	case err != nil:
		return nil, engine.Unavailable("attempts", err)
	case len(m.Data) == 0:
		return nil, nil
	}
	return m.Data, nil
}

// ForgetQueue forgets all values of a queue.
func (a *Attempts) ForgetQueue(ctx context.Context, queue string) error {
	return engine.Unavailable("attempts", a.js.Purge(ctx, jetstream.WithPurgeSubject(engine.Tokens(engine.SubjectAttempts, queue)+".*")))
}

// Close writes what is left, and ends.
func (a *Attempts) Close() {
	a.stop()
	a.wg.Wait()
}
