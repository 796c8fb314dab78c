package eventlog

import (
	"context"
	"time"
)

// Inbox keeps requests whose verification needs somebody else's answer until it
// is decided what becomes of them.
//
// All methods may be called from many goroutines at once.
type Inbox interface {
	// Put keeps a row and returns when it is durable, as Log.Append does. Rows
	// with the same key are kept side by side. The error wraps ErrFull when too
	// many rows are undecided.
	Put(ctx context.Context, r Row) (id uint64, err error)

	// Work calls fn for every undecided row, workers at a time, until ctx ends.
	// A row is held by one call at a time among all gateways that share the
	// inbox. When a gateway dies another gets its rows after 20 seconds; an
	// embedded engine hands them out at once when it is opened again. fn decides by calling Done or Retry;
	// when it calls neither, the row is tried again soon.
	Work(ctx context.Context, workers int, fn func(context.Context, *Claim)) error

	// Outcome waits for what Claim.Announce says about a row of this source and
	// key, on whichever gateway. It must be called before the row is put, and
	// the function it answers must be called in the end. The channel holds the
	// first outcome that is announced.
	Outcome(source, key string) (<-chan []byte, func())

	// Pending answers about how many rows are undecided, and their bytes.
	Pending() (rows, bytes int64)
}

// Row is a request that waits for its verification.
type Row struct {
	// Source is the id of the source.
	Source string
	// Key tells rows of a source apart: the Info.DedupKey of the request.
	Key string
	// Data is the caller's, at most the engine's message size.
	Data []byte
}

// Claim is a row in the hands of one worker.
type Claim struct {
	Row
	// ID is what Put answered.
	ID uint64
	// Attempt counts the times the row was handed out, from 1. It may be too low
	// after a crash: for what must be certain there is Asking.
	Attempt int
	// StoreTime is when the row was put.
	StoreTime time.Time

	engine Claimer
}

// Claimer is what an engine does for a claim. Each of its methods is that of Claim
// of the same name.
type Claimer interface {
	Done(ctx context.Context, c *Claim) error
	Retry(c *Claim, after time.Duration) error
	Asking(ctx context.Context, c *Claim) (unresolved bool, err error)
	Answered(ctx context.Context, c *Claim) error
	Announce(c *Claim, outcome []byte) error
}

// NewClaim makes the claim of an engine.
func NewClaim(c Claim, engine Claimer) *Claim {
	c.engine = engine
	return &c
}

// Done decides the row: it is never handed out again. It returns when that is
// as durable as the engine makes it; a crash may hand a decided row out once
// more.
func (c *Claim) Done(ctx context.Context) error { return c.engine.Done(ctx, c) }

// Retry gives the row back, to be handed out again after the given time.
func (c *Claim) Retry(after time.Duration) error { return c.engine.Retry(c, after) }

// Asking writes down, durably, that the question about this row's key is about
// to be asked, and answers whether an earlier question about the same key was
// left without a known answer: then the proof may have been spent by us.
func (c *Claim) Asking(ctx context.Context) (unresolved bool, err error) {
	return c.engine.Asking(ctx, c)
}

// Answered writes down that the question was answered, or cannot have been
// taken, so that a later Asking does not find it unresolved.
func (c *Claim) Answered(ctx context.Context) error { return c.engine.Answered(ctx, c) }

// Announce tells whoever waits in Outcome, on any gateway. Nobody may be
// waiting; what is announced may be lost.
func (c *Claim) Announce(outcome []byte) error { return c.engine.Announce(c, outcome) }
