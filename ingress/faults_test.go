package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/ingress"
)

// failingLog is the real log, but for appends that fail when told to: a full
// disk can not be had otherwise between two steps.
type failingLog struct {
	ingress.Log

	mu     sync.Mutex
	err    error
	failed int
}

func (l *failingLog) fail(err error) { l.mu.Lock(); defer l.mu.Unlock(); l.err = err }

func (l *failingLog) failures() int { l.mu.Lock(); defer l.mu.Unlock(); return l.failed }

func (l *failingLog) Append(ctx context.Context, e eventlog.Entry) (eventlog.Appended, error) {
	l.mu.Lock()
	err := l.err
	if err != nil {
		l.failed++
	}
	l.mu.Unlock()
	if err != nil {
		return eventlog.Appended{}, fmt.Errorf("test: %w", err)
	}
	return l.Log.Append(ctx, e)
}

// fullInbox is the real inbox with no room.
type fullInbox struct{ eventlog.Inbox }

func (fullInbox) Put(context.Context, eventlog.Row) (uint64, error) { return 0, eventlog.ErrFull }

// idleInbox is the real inbox with nobody working on it.
type idleInbox struct{ eventlog.Inbox }

func (idleInbox) Work(ctx context.Context, _ int, _ func(context.Context, *eventlog.Claim)) error {
	<-ctx.Done()
	return ctx.Err()
}

// blindLog is a log of which nothing can be read.
type blindLog struct {
	ingress.Log

	gone, broken bool
}

func (l *blindLog) Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error) {
	switch {
	case l.broken:
		return nil, errors.New("broken")
	case l.gone:
		return nil, nil
	}
	return l.Log.Read(ctx, seq, max, maxBytes)
}
