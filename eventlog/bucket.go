package eventlog

import "context"

// Bucket keeps small values by key: configuration. Every change is durable when
// the call returns, unless the bucket is a loose one, and is seen by every gateway that
// watches.
type Bucket interface {
	// Create keeps a new value; ErrConflict when the key exists.
	Create(ctx context.Context, key string, value []byte) (revision uint64, err error)
	// Update replaces the value whose revision is given; ErrConflict when it was
	// changed since.
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	// Delete removes the key; ErrConflict when it was changed since the
	// revision.
	Delete(ctx context.Context, key string, revision uint64) error
	// Now answers a key as whoever leads the bucket has it at this moment; Value is
	// nil when it is not there.
	Now(ctx context.Context, key string) (Change, error)
	// Latest calls fn for every key that was changed after the revision, and for those
	// that were deleted, in the order of their revisions, as whoever leads the bucket
	// has them at this moment: what Watch has told may be old. It costs a question a
	// key, and one more; ask before something is destroyed, or refused.
	Latest(ctx context.Context, after uint64, fn func(Change)) error
	// Proof is called before the bucket is asked. What it answers returns nil once it is
	// proven that what was answered since, a conflict too, was not the word of a leader
	// that is cut off and has heard of nothing itself; its error wraps ErrUnavailable, and
	// says that nothing is known. On a cluster that takes about a second: wait for it
	// before something is destroyed, or refused.
	Proof() (proven func(context.Context) error)
	// Watch calls fn for every key there is, then for every change, in order,
	// until ctx ends. After the last of the keys there were, as whoever leads the bucket
	// had them, it calls ready once; before, a node that lags may tell an earlier state of
	// a key first. It follows across reconnects; its error wraps ErrUnavailable when it
	// cannot any more.
	Watch(ctx context.Context, fn func(Change), ready func()) error
}

// Change is one key's new state.
type Change struct {
	Key string
	// Value is nil when the key was deleted.
	Value []byte
	// Revision grows with every change in the bucket.
	Revision uint64
}
