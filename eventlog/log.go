// Package eventlog keeps what Hookstream must not lose: the log of events, the
// inbox of requests whose verification needs somebody else's answer, and the
// configuration.
//
// This package is the promise only: Log, Inbox, Bucket, and the errors of all that
// stands on them. The engine is eventlog/jetstream, NATS JetStream embedded in the
// process or external; what subscriptions are built on is eventlog/queue. The suite
// in eventlog/logtest holds every engine to what is promised here.
package eventlog

import (
	"context"
	"errors"
	"time"

	"github.com/hookstream/hookstream/event"
)

// Log is an append-only sequence of events, numbered from 1 without reuse.
// Numbers only grow; a number may be missing. Old events are dropped from the
// front by age, bytes or count.
//
// All methods may be called from many goroutines at once.
type Log interface {
	// Append keeps an entry and returns when it is durable: it survives the end
	// of the process and, unless the engine was opened with less, of the
	// machine. When an entry of the same source and DedupKey is in the log or
	// was within the deduplication window, nothing is appended and the earlier
	// sequence is answered.
	//
	// On an error the entry may have been kept or not; the same call may be made
	// again and DedupKey prevents a second copy. The error wraps ErrFull,
	// ErrUnavailable or the context's error.
	Append(ctx context.Context, e Entry) (Appended, error)

	// Read answers records from seq on in order: at least one and at most max
	// records, at most about maxBytes of data, and maybe fewer than are there. It
	// answers none only when seq is past the last durable record. When records before the first answered one are
	// missing, the caller sees it from the sequence. It never answers a record
	// that is not durable yet.
	Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error)

	// Tail calls fn with every record from seq on, in order, without end, as
	// they become durable; fn owns the slice until it returns. It returns the
	// error of fn or of the context, or one that wraps ErrUnavailable when the
	// tail cannot be followed any more.
	Tail(ctx context.Context, seq uint64, fn func([]event.Record) error) error

	// Bounds answers the present ends of the log.
	Bounds(ctx context.Context) (Bounds, error)

	// SeqAt answers the sequence of the first record stored at or after t, and
	// Bounds.Last+1 when there is none.
	SeqAt(ctx context.Context, t time.Time) (uint64, error)

	// Key answers the sequence of the event of the source with the same DedupKey,
	// if one is in the log and within the deduplication window. It may not see
	// an event that another gateway appended moments ago.
	Key(source, dedupKey string) (seq uint64, ok bool, err error)

	// Content answers the sequence of the latest event of the source with the
	// same fingerprint, if one was appended within the last day.
	Content(source string, fingerprint []byte) (seq uint64, ok bool, err error)

	// Incarnation tells this log from another. It never changes while the log
	// is open.
	Incarnation() event.Incarnation
}

// Entry is what is appended.
type Entry struct {
	// Source is the id of the source, Topic and Action the sender's names.
	Source, Topic, Action string
	// DedupKey tells a repetition from a new entry within the source. Required,
	// at most 128 bytes of any content.
	DedupKey string
	// Fingerprint is a hash of the content for Content; may be nil.
	Fingerprint []byte
	// Data is the event as event.Encode wrote it. The slice, and the room behind
	// it, are the log's from then on.
	Data []byte
}

// Appended is the answer of Append.
type Appended struct {
	// Seq is the sequence of the entry, or of the earlier one.
	Seq uint64
	// Duplicate says that an earlier entry was found.
	Duplicate bool
}

// Bounds are the ends of a log.
type Bounds struct {
	// First is the sequence of the oldest record, or of what is known to be lost right
	// before it; Last+1 when there is none.
	First uint64
	// Last is the sequence of the newest durable record. It is kept when the
	// records are gone, and 0 only when there never was one.
	Last uint64
}

// Missing is a run of events that the log has lost: not dropped, lost.
type Missing struct {
	// From and To are the first and the last of their sequences.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Noticed is when that was found out.
	Noticed time.Time `json:"noticed"`
}

// Events answers how many they are.
func (m Missing) Events() uint64 { return m.To - m.From + 1 }

// What a caller can act on.
var (
	// ErrFull says that there is no room: the disk or a configured bound.
	ErrFull = errors.New("eventlog: no room left")
	// ErrUnavailable says that the log cannot be read or written now.
	ErrUnavailable = errors.New("eventlog: not available")
	// ErrNotFound says that there is no such record or key.
	ErrNotFound = errors.New("eventlog: not found")
	// ErrConflict says that a key was changed by somebody else.
	ErrConflict = errors.New("eventlog: changed since it was read")
	// ErrTooLarge says that an entry is over the engine's limit.
	ErrTooLarge = errors.New("eventlog: entry is too large")
	// ErrNoBackup: no backup can be made here, or now.
	ErrNoBackup = errors.New("no backup can be made")
)
