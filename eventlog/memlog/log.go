// Package memlog is a log in memory, for tests that must own time: it does no
// input or output and starts no timer, so that it can be used inside
// testing/synctest. Nothing of it is durable.
package memlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// Options bound a log.
type Options struct {
	// MaxRecords is how many records are kept; older ones are dropped. 0: all.
	MaxRecords int
	// MaxEntryBytes is the largest entry that is taken. 0: 8 MiB.
	MaxEntryBytes int
	// Incarnation of the log; may be 0.
	Incarnation event.Incarnation
}

// Log implements eventlog.Log.
type Log struct {
	opts Options

	mu      sync.Mutex // guards what follows
	recs    []event.Record
	last    uint64
	dropped uint64 // everything up to here is gone
	keys    map[[2]string]uint64
	prints  map[[2]string]uint64
	changed chan struct{} // closed when something is appended or broken
	broken  error
	reads   int
}

var _ eventlog.Log = (*Log)(nil)

// New makes an empty log.
func New(o Options) *Log {
	if o.MaxEntryBytes == 0 {
		o.MaxEntryBytes = 8 << 20
	}
	return &Log{
		opts:    o,
		keys:    make(map[[2]string]uint64),
		prints:  make(map[[2]string]uint64),
		changed: make(chan struct{}),
	}
}

// Append keeps an entry. Its time is time.Now, but never before that of the
// record before.
func (l *Log) Append(ctx context.Context, e eventlog.Entry) (eventlog.Appended, error) {
	switch {
	case ctx.Err() != nil:
		return eventlog.Appended{}, context.Cause(ctx)
	case e.Source == "" || e.DedupKey == "":
		return eventlog.Appended{}, errors.New("memlog: an entry needs a source and a key")
	case len(e.Data) > l.opts.MaxEntryBytes:
		return eventlog.Appended{}, fmt.Errorf("memlog: %w", eventlog.ErrTooLarge)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return eventlog.Appended{}, l.broken
	}
	key := [2]string{e.Source, e.DedupKey}
	if seq, ok := l.keys[key]; ok {
		return eventlog.Appended{Seq: seq, Duplicate: true}, nil
	}
	l.last++
	l.keys[key] = l.last
	if e.Fingerprint != nil {
		l.prints[[2]string{e.Source, string(e.Fingerprint)}] = l.last
	}
	l.keep(slices.Clone(e.Data))
	return eventlog.Appended{Seq: l.last}, nil
}

func (l *Log) keep(data []byte) {
	now := time.Now().Round(0)
	if n := len(l.recs); n > 0 && now.Before(l.recs[n-1].Time) {
		now = l.recs[n-1].Time
	}
	l.recs = append(l.recs, event.Record{Seq: l.last, Time: now, Data: data})
	if l.opts.MaxRecords > 0 && len(l.recs) > l.opts.MaxRecords {
		l.drop(l.recs[len(l.recs)-l.opts.MaxRecords-1].Seq)
	}
	l.wake()
}

func (l *Log) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Drop drops every record up to and including seq, as retention does.
func (l *Log) Drop(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(min(seq, l.last))
}

func (l *Log) drop(seq uint64) {
	l.dropped = max(l.dropped, seq)
	i := l.at(seq + 1)
	clear(l.recs[:i]) // the array behind goes when it has to grow
	l.recs = l.recs[i:]
}

// Skip leaves out the next n sequences for good: the log has a hole there.
func (l *Log) Skip(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last += n
}

// Lose loses the records from one sequence up to before another: a hole as damage
// leaves it.
func (l *Log) Lose(from, to uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recs = slices.Delete(slices.Clone(l.recs), l.at(from), l.at(to))
}

// Holes answers which numbers behind the first record have none.
func (l *Log) Holes() (out []eventlog.Missing) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 1; i < len(l.recs); i++ {
		if from, to := l.recs[i-1].Seq+1, l.recs[i].Seq-1; from <= to {
			out = append(out, eventlog.Missing{From: from, To: to})
		}
	}
	return out
}

// Break makes the log unavailable: from now on every call and every Tail fails
// with an error that wraps eventlog.ErrUnavailable.
func (l *Log) Break() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = fmt.Errorf("memlog: broken: %w", eventlog.ErrUnavailable)
	l.wake()
}

// Reads answers how often Read was called.
func (l *Log) Reads() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

// at answers the index of the first record at or after seq.
func (l *Log) at(seq uint64) int {
	return sort.Search(len(l.recs), func(i int) bool { return l.recs[i].Seq >= seq })
}

// Read answers records from seq on.
func (l *Log) Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if err := l.usable(ctx); err != nil {
		return nil, err
	}
	return l.run(seq, max, maxBytes), nil
}

func (l *Log) usable(ctx context.Context) error {
	if l.broken != nil {
		return l.broken
	}
	return context.Cause(ctx)
}

func (l *Log) run(seq uint64, max, maxBytes int) []event.Record {
	i, bytes := l.at(seq), 0
	for n, r := range l.recs[i:] {
		if bytes += len(r.Data); n == max || n > 0 && bytes > maxBytes {
			return slices.Clone(l.recs[i : i+n])
		}
	}
	return slices.Clone(l.recs[i:])
}

// Tail calls fn with every record from seq on.
func (l *Log) Tail(ctx context.Context, seq uint64, fn func([]event.Record) error) error {
	for {
		l.mu.Lock()
		err, recs, changed := l.usable(ctx), l.run(seq, 512, 4<<20), l.changed
		l.mu.Unlock()
		if err != nil {
			return err
		}
		if len(recs) > 0 {
			if err := fn(recs); err != nil {
				return err
			}
			seq = recs[len(recs)-1].Seq + 1
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Bounds answers the present ends of the log.
func (l *Log) Bounds(ctx context.Context) (eventlog.Bounds, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := eventlog.Bounds{First: l.last + 1, Last: l.last}
	if len(l.recs) > 0 {
		b.First = l.recs[0].Seq
	}
	return b, l.usable(ctx)
}

// SeqAt answers the sequence of the first record stored at or after t.
func (l *Log) SeqAt(ctx context.Context, t time.Time) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := sort.Search(len(l.recs), func(i int) bool { return !l.recs[i].Time.Before(t) })
	if i < len(l.recs) {
		return l.recs[i].Seq, l.usable(ctx)
	}
	return l.last + 1, l.usable(ctx)
}

// Key answers the sequence of the event with the key.
func (l *Log) Key(source, dedupKey string) (uint64, bool, error) {
	return l.find(l.keys, source, dedupKey)
}

// Content answers the sequence of the latest event with the fingerprint.
func (l *Log) Content(source string, fingerprint []byte) (uint64, bool, error) {
	return l.find(l.prints, source, string(fingerprint))
}

func (l *Log) find(in map[[2]string]uint64, source, key string) (uint64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, ok := in[[2]string{source, key}]
	return seq, ok && seq > l.dropped, l.broken
}

// Incarnation tells this log from another.
func (l *Log) Incarnation() event.Incarnation { return l.opts.Incarnation }
