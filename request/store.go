package request

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// Options say where requests are kept, and how many. Zero values stand for those of
// DefaultOptions.
type Options struct {
	// Bucket they lie in, which nothing else uses. Required.
	Bucket eventlog.Bucket
	// Slots and Bytes are the budget of one source and cause.
	Slots int
	Bytes int64
	// TotalBytes is the budget of all together; what has most gives way.
	TotalBytes int64
	// Age is how long ago the older half of a budget may have come.
	Age time.Duration
	// KeepAge is how long any request is kept, the newest half too. Gone reports what is
	// to go before: of a source that is no more. nil: nothing. What goes is gone within
	// SweepEvery.
	KeepAge    time.Duration
	Gone       func(*Request) bool
	SweepEvery time.Duration
	// Rate is how many are written a second, of one source.
	Rate float64
	// Queue is how many of one source wait to be written, QueueBytes what all of them may
	// take in memory.
	Queue      int
	QueueBytes int64
	Logger     *slog.Logger
}

// DefaultOptions are those of a gateway. The bucket is for the caller.
func DefaultOptions() Options {
	return Options{
		Slots: 2000, Bytes: 64 << 20, TotalBytes: 1 << 30, Age: 7 * 24 * time.Hour,
		KeepAge: 30 * 24 * time.Hour, Gone: func(*Request) bool { return false }, SweepEvery: time.Hour,
		Rate: 100, Queue: 1000, QueueBytes: 32 << 20, Logger: slog.New(slog.DiscardHandler),
	}
}

func (o Options) withDefaults() Options {
	d := DefaultOptions()
	o.Slots, o.Bytes, o.TotalBytes = cmp.Or(o.Slots, d.Slots), cmp.Or(o.Bytes, d.Bytes), cmp.Or(o.TotalBytes, d.TotalBytes)
	o.Age, o.Rate = cmp.Or(o.Age, d.Age), cmp.Or(o.Rate, d.Rate)
	o.KeepAge, o.SweepEvery = cmp.Or(o.KeepAge, d.KeepAge), cmp.Or(o.SweepEvery, d.SweepEvery)
	if o.Gone == nil {
		o.Gone = d.Gone
	}
	o.Queue, o.QueueBytes, o.Logger = cmp.Or(o.Queue, d.Queue), cmp.Or(o.QueueBytes, d.QueueBytes), cmp.Or(o.Logger, d.Logger)
	return o
}

// ErrNotFound says that there is no such request: it never was, or others have its place.
var ErrNotFound = errors.New("no such request")

// A Store keeps requests. All methods may be called from many goroutines at once.
type Store struct {
	o     Options
	queue *queue
	stop  context.CancelFunc
	done  sync.WaitGroup

	// mu guards what follows.
	mu     sync.Mutex
	groups map[groupKey]*group
	byID   map[string]*entry
	bytes  int64
	lost   int64
	ready  chan struct{} // closed once all that was kept is known
}

// Open follows the bucket, and writes to it, until Close.
func Open(o Options) *Store {
	o = o.withDefaults()
	ctx, stop := context.WithCancel(context.Background())
	s := &Store{o: o, queue: newQueue(o), stop: stop, groups: make(map[groupKey]*group), byID: make(map[string]*entry), ready: make(chan struct{})}
	s.done.Go(func() { s.follow(ctx) })
	s.done.Go(func() { s.write(ctx) })
	s.done.Go(func() { s.sweep(ctx) })
	return s
}

// Close returns when nothing is written any more. What waited is forgotten.
func (s *Store) Close() {
	s.stop()
	s.done.Wait()
}

// Ready is closed once all that was kept before is known.
func (s *Store) Ready() <-chan struct{} { return s.ready }

// Wants reports whether a request from an address would be kept if it came now. Whoever
// has to copy a body asks before.
func (s *Store) Wants(source string, remote netip.Addr) bool {
	return s.queue.wants(source, Sender(remote))
}

// Note has a request kept, if there is room. It never waits. ID, Count, Class and Ordinal
// are set here, LastTime is FirstTime when it is zero, and of the body MaxBody bytes are
// kept. The caller must not use it any more.
func (s *Store) Note(r *Request) {
	if !s.queue.ask(r.Source, r.sender()) {
		return
	}
	r.ID, r.Count = newID(), 1
	if r.LastTime.IsZero() {
		r.LastTime = r.FirstTime
	}
	if len(r.Body) > MaxBody {
		r.Body, r.Cut = r.Body[:MaxBody:MaxBody], true
	}
	r.Class = classOf(r)
	s.queue.put(r)
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Stats are figures for metrics.
type Stats struct {
	// Kept requests, and their Bytes in the bucket.
	Kept  int
	Bytes int64
	// Waiting to be written.
	Waiting int
	// Dropped for want of room in the queue, and Lost because they could not be written.
	Dropped, Lost int64
}

// Stats answers how things are.
func (s *Store) Stats() Stats {
	n, _, dropped := s.queue.waiting()
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Kept: len(s.byID), Bytes: s.bytes, Waiting: n, Dropped: dropped, Lost: s.lost}
}

// List answers what is kept, that which came last first, without bodies and proofs.
func (s *Store) List() []Request {
	s.mu.Lock()
	all := make([]*entry, 0, len(s.byID))
	for _, e := range s.byID {
		all = append(all, e)
	}
	s.mu.Unlock()
	slices.SortFunc(all, newestFirst)
	out := make([]Request, len(all))
	for i, e := range all {
		out[i] = e.Request // nobody changes an entry
	}
	return out
}

// Get reads a request whole.
func (s *Store) Get(ctx context.Context, id string) (*Request, error) {
	_, r, _, err := s.read(ctx, id)
	return r, err
}

// read answers a request as it is in the bucket, and at which revision.
func (s *Store) read(ctx context.Context, id string) (*entry, *Request, uint64, error) {
	s.mu.Lock()
	e := s.byID[id]
	s.mu.Unlock()
	if e == nil {
		return nil, nil, 0, ErrNotFound
	}
	c, err := s.o.Bucket.Now(ctx, groupKey{e.Source, e.Cause}.key(e.slot))
	if err != nil {
		return nil, nil, 0, fmt.Errorf("read a request: %w", err)
	}
	if r, err := decode(c.Value); err == nil && r.ID == id {
		return e, r, c.Revision, nil
	}
	return nil, nil, 0, ErrNotFound
}

// followAgain is the pause after the bucket could not be followed.
const followAgain = time.Second

func (s *Store) follow(ctx context.Context) {
	ready := sync.OnceFunc(func() { close(s.ready) })
	for {
		err := s.o.Bucket.Watch(ctx, s.apply, ready)
		if ctx.Err() != nil {
			return
		}
		s.o.Logger.Warn("refused requests cannot be followed, trying again", "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(followAgain):
		}
	}
}

// apply notes what the bucket has in a slot.
func (s *Store) apply(c eventlog.Change) {
	k, slot, ok := parseKey(c.Key)
	if !ok {
		return
	}
	r, err := decode(c.Value)
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.group(k)
	if e := g.slots[slot]; e != nil && e.revision >= c.Revision {
		return // ours, and told already
	}
	s.drop(g, slot)
	if err != nil || r.Source != k.source || r.Cause != k.cause {
		return // deleted, or of a form that is not known here
	}
	s.put(g, newEntry(r, slot, c.Revision, len(c.Value)))
}

func newEntry(r *Request, slot int, revision uint64, bytes int) *entry {
	e := &entry{Request: *r, from: r.sender(), slot: slot, revision: revision, bytes: int64(bytes)}
	e.Body, e.Proof = nil, nil
	return e
}

// group, put and drop are called with the lock.
func (s *Store) group(k groupKey) *group {
	g := s.groups[k]
	if g == nil {
		g = &group{slots: make(map[int]*entry), byClass: make(map[string]*entry)}
		s.groups[k] = g
	}
	return g
}

func (s *Store) put(g *group, e *entry) {
	s.drop(g, e.slot)
	g.put(e)
	s.byID[e.ID] = e
	s.bytes += e.bytes
}

func (s *Store) drop(g *group, slot int) {
	e := g.slots[slot]
	if e == nil {
		return
	}
	g.drop(slot)
	if s.byID[e.ID] == e {
		delete(s.byID, e.ID)
	}
	s.bytes -= e.bytes
}
