package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What is in this file is for the rooms that stand on the engine beside the log:
// they make streams, write to them as durably as the log is written, and share a
// connection.

// JS is JetStream, for configuration and for requests that are not on a hot path.
func (e *Engine) JS() jetstream.JetStream { return e.js }

// Logger is the engine's.
func (e *Engine) Logger() *slog.Logger { return e.logger }

// Context ends when the engine closes.
func (e *Engine) Context() context.Context { return e.ctx }

// Embedded reports whether the engine runs in this process, with nobody else.
func (e *Engine) Embedded() bool { return e.node != nil }

// Options are those that the engine was opened with.
func (e *Engine) Options() Options { return e.opts }

// Durable answers the sequence up to which the log is durable.
func (e *Engine) Durable() uint64 { return e.events.commit.watermark.Load() }

// HasRoom answers an error that wraps ErrFull while the file system has less left
// than Options.MinFreeBytes.
func (e *Engine) HasRoom() error {
	if e.events.full.Load() {
		return fmt.Errorf("%w: the file system has less than %d bytes left", eventlog.ErrFull, e.opts.MinFreeBytes)
	}
	return nil
}

// AtClose has fn called when the engine closes, before its connections do.
func (e *Engine) AtClose(fn func()) { e.rooms.atClose(fn) }

// A Writer writes to one stream, as durably as the log is written, and has what
// comes at the same time share a sync.
type Writer struct{ c *committer }

// Writer opens the way into a stream that exists. last is the sequence of its last
// message, which the caller knows to be durable.
func (e *Engine) Writer(ctx context.Context, stream string, last uint64) (*Writer, error) {
	c, err := e.committerFor(ctx, stream, last, func() {})
	if err != nil {
		return nil, err
	}
	return &Writer{c}, nil
}

// Write returns when the message is durable, or the context ends, or it cannot be
// done. The message belongs to the writer from then on.
func (w *Writer) Write(ctx context.Context, m *nats.Msg) (eventlog.Appended, error) {
	got, err := w.c.commit(ctx, m)
	if errors.Is(err, errDuplicateInProcess) {
		return got, fmt.Errorf("%w: an equal message is being kept", eventlog.ErrUnavailable)
	}
	return got, err
}

// Close makes durable what was given to Write, and ends.
func (w *Writer) Close() { w.c.close() }

// SyncStream returns when everything that JetStream has acknowledged of a stream is
// as durable as the log: also what no Writer wrote.
func (e *Engine) SyncStream(stream string) error {
	b, err := e.barrierFor(stream, newFSBarrier)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.sync(0); err != nil {
		e.fatal(err)
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	return nil
}

// Deliveries answers the connection that queues and the bus share, which is there from
// the start on a cluster, and embedded when first needed: who does not hear a question about what it was handed does not talk
// to its queues either. See Connection.
func (e *Engine) Deliveries() (*nats.Conn, error) { return e.deliveries(e.ctx) }

func (e *Engine) deliveries(ctx context.Context) (*nats.Conn, error) {
	e.rooms.mu.Lock()
	defer e.rooms.mu.Unlock()
	if e.rooms.nc != nil {
		return e.rooms.nc, nil
	}
	nc, err := e.connect(ctx, "queues")
	if err != nil {
		return nil, Unavailable("queue", err)
	}
	e.rooms.nc, e.rooms.link = nc, e.linkOf(nc)
	return nc, nil
}

// Companion answers what stands on the engine, made by the first who asks.
func (e *Engine) Companion(open func() any) any {
	e.rooms.mu.Lock()
	defer e.rooms.mu.Unlock()
	if e.rooms.companion == nil {
		e.rooms.companion = open()
	}
	return e.rooms.companion
}

// rooms is what the rooms of an engine share.
type rooms struct {
	// mu guards what follows, and is held while the connection and the companion are
	// made, so that there is one: connMu is taken under it.
	mu      sync.Mutex
	nc      *nats.Conn
	link    *link // of nc, on a cluster
	closers []func()

	companion any
}

func (r *rooms) atClose(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closers = append(r.closers, fn)
}

func (r *rooms) close() {
	r.mu.Lock()
	closers := r.closers
	r.closers = nil
	r.mu.Unlock()
	for _, fn := range closers {
		fn()
	}
}

// Unavailable says what could not be done, in an error that wraps ErrUnavailable;
// nil for nil.
func Unavailable(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s: %w", eventlog.ErrUnavailable, what, err)
}
