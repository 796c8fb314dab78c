// Package memengine is the engine of subscriptions in memory, for tests that
// must own time: it does no input or output, and can be used inside
// testing/synctest, where an hour takes none. Its queues behave like JetStream's
// as far as subscriptions see them: a word about a message is good as long as the
// message is handed out, whoever says it; a pull that is answered to nobody has
// handed out all the same.
//
// A Store is what survives, an Engine one gateway's way to it, which can be
// stalled, severed and closed.
package memengine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// Options of a Store.
type Options struct {
	// Journal: as an embedded engine, whose queues a Crash sets back, and which
	// keeps beside them what was settled. Else as a cluster.
	Journal bool
	// Rand decides latencies.
	Rand *rand.Rand
	// Latency bounds how long a message is on its way. 0: a millisecond.
	Latency time.Duration
	// Backlog has every other event be published an hour before it is appended, as far as
	// the queues know: a queue's next leader takes it for held no more.
	Backlog bool
}

// Store is what all gateways share.
type Store struct {
	opts Options
	log  *memlog.Log

	randMu    sync.Mutex
	mu        sync.Mutex
	queues    map[string]*durable
	synced    map[string]*durable // as a Crash leaves them
	subjects  map[uint64]string   // of events
	parked    []parkedEntry
	nextID    uint64
	once      map[string]bool
	acks      map[queue.Ack]bool
	engines   map[*Engine]bool
	buses     map[string]*bus
	values    map[string]eventlog.Change
	changes   []eventlog.Change
	changed   chan struct{}
	tries     map[tryKey][]byte
	tried     []queue.Attempted // every change, in order
	triedMore chan struct{}
	done      chan struct{}
	wg        sync.WaitGroup
}

// New makes an empty store, whose Close must be called.
func New(o Options) *Store {
	if o.Latency == 0 {
		o.Latency = time.Millisecond
	}
	s := &Store{
		opts: o, log: memlog.New(memlog.Options{}),
		queues: make(map[string]*durable), subjects: make(map[uint64]string), synced: make(map[string]*durable), once: make(map[string]bool),
		buses: make(map[string]*bus), values: make(map[string]eventlog.Change),
		acks: make(map[queue.Ack]bool), engines: make(map[*Engine]bool),
		changed: make(chan struct{}), tries: make(map[tryKey][]byte), triedMore: make(chan struct{}), done: make(chan struct{}),
	}
	s.wg.Go(s.tick)
	return s
}

// Log of events.
func (s *Store) Log() *memlog.Log { return s.log }

// Close ends the store; its engines must be closed before.
func (s *Store) Close() {
	close(s.done)
	s.wg.Wait()
}

// Published has the queues look at the log: it has grown.
func (s *Store) Published() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pumpAll()
}

// String tells of the queues, for the report of a test.
func (s *Store) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		q := s.queues[name]
		fmt.Fprintf(&b, "queue %s: next %d, pin %q, again %d, held", name, q.next, q.pin, q.again)
		for _, seq := range slices.Sorted(maps.Keys(q.pending)) {
			fmt.Fprintf(&b, " %d (%s)", seq, time.Until(q.pending[seq].due))
		}
		for _, r := range q.waiting {
			fmt.Fprintf(&b, ", asked for %d (now %v, pin %q, until %s)", r.n, r.now, r.pin, time.Until(r.until))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Drop drops events up to seq, as retention does.
func (s *Store) Drop(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Drop(seq)
	for _, q := range s.queues {
		if q.cfg.Replays != "" {
			continue
		}
		for n := range q.pending {
			if n <= seq {
				delete(q.pending, n)
				s.tellDropped(q.cfg.Name, n)
			}
		}
		q.again = slices.DeleteFunc(q.again, func(n uint64) bool { return n <= seq })
	}
	s.pumpAll()
}

// tellDropped tells all gateways. The caller holds mu.
func (s *Store) tellDropped(queue string, seq uint64) {
	for e := range s.engines {
		e.down.put(func() { e.hearDropped(queue, seq) })
	}
}

// Crash sets queues back to what was on the disk: all that was handed out and
// settled in the last seconds is forgotten, what the journal keeps excepted. No
// engine may be open.
func (s *Store) Crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, q := range s.queues {
		if old := s.synced[name]; old != nil {
			s.queues[name] = old.clone()
		} else { // it was made a moment ago: synced then
			s.queues[name] = newQueue(q.cfg)
		}
	}
}

const (
	tickEvery = 50 * time.Millisecond
	syncEvery = 5 * time.Second
)

func (s *Store) tick() {
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for n := 1; ; n++ {
		select {
		case <-t.C:
		case <-s.done:
			return
		}
		s.mu.Lock()
		s.pumpAll()
		if n%int(syncEvery/tickEvery) == 0 {
			for name, q := range s.queues {
				s.synced[name] = q.clone()
			}
		}
		s.mu.Unlock()
	}
}

func (s *Store) pumpAll() {
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		s.pump(s.queues[name])
	}
}

func (s *Store) latency() time.Duration {
	s.randMu.Lock()
	defer s.randMu.Unlock()
	return time.Duration(s.opts.Rand.Int64N(int64(s.opts.Latency)))
}
