package hub

import (
	"sort"
	"sync"
	"sync/atomic"
)

// ring keeps the newest events. It answers for every position from first to
// next: what is not there does not exist.
type ring struct {
	maxBytes int64
	used     atomic.Int64

	// mu guards what follows, interests too: who reads shares it. It is taken before
	// that of an interest or an entry.
	mu      sync.RWMutex
	slots   []*entry // circular
	start   int      // slot of the oldest
	n       int
	first   uint64
	next    uint64
	changed chan struct{} // closed when something comes
	ended   error
	interests
}

func newRing(events int, bytes int64) *ring {
	return &ring{slots: make([]*entry, events), maxBytes: bytes, changed: make(chan struct{}), interests: newInterests()}
}

// begin empties the ring: it answers from seq on.
func (r *ring) begin(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.n > 0 {
		r.evict()
	}
	r.interests.wakeAll(r.next)
	r.first, r.next = seq, seq
}

// add takes the next events, and drops the oldest when there is no room. The
// newest is always cached.
func (r *ring) add(es []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	awaited := r.next
	for _, e := range es {
		if r.n == len(r.slots) {
			r.evict()
		}
		r.slots[(r.start+r.n)%len(r.slots)] = e
		r.n++
		r.next = e.seq + 1
	}
	r.bound()
	r.interests.wake(awaited, es)
	r.broadcast()
}

// trim drops what grew too large since it was added.
func (r *ring) trim() {
	if r.used.Load() <= r.maxBytes {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bound()
}

func (r *ring) bound() {
	for r.used.Load() > r.maxBytes && r.n > 1 {
		r.evict()
	}
}

func (r *ring) evict() {
	e := r.slots[r.start]
	r.slots[r.start] = nil
	r.start = (r.start + 1) % len(r.slots)
	r.n--
	r.first = e.seq + 1
	e.release()
}

func (r *ring) broadcast() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// end ends everybody who reads, with err.
func (r *ring) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended == nil {
		r.ended = err
		r.interests.wakeAll(r.next)
		r.broadcast()
	}
}

// ringPage is what the ring answers.
type ringPage struct {
	entries []*entry
	next    uint64 // the position after the page
	behind  bool   // the ring is past the position: ask the log
	changed <-chan struct{}
	watch   *watch // instead of changed, for an interest
	ended   error
}

// read answers the events from pos on, as many as into has room for. Nothing and
// not behind: wait for changed; or for what concerns in, if that is not nil.
func (r *ring) read(pos uint64, into []*entry, in *interest) ringPage {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p := ringPage{entries: into[:0], next: pos, changed: r.changed, ended: r.ended, behind: pos < r.first}
	if p.behind || pos >= r.next {
		if in != nil && !p.behind && r.ended == nil {
			p.watch = in.watch()
		}
		return p
	}
	i := r.search(pos)
	for ; i < r.n && len(p.entries) < cap(into); i++ {
		p.entries = append(p.entries, r.at(i))
	}
	p.next = r.next
	if i < r.n {
		p.next = p.entries[len(p.entries)-1].seq + 1
	}
	return p
}

func (r *ring) at(i int) *entry { return r.slots[(r.start+i)%len(r.slots)] }

func (r *ring) search(pos uint64) int {
	return sort.Search(r.n, func(i int) bool { return r.at(i).seq >= pos })
}

// get answers the event at seq, if it is in the ring.
func (r *ring) get(seq uint64) *entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if i := r.search(seq); i < r.n && r.at(i).seq == seq {
		return r.at(i)
	}
	return nil
}

// between answers the events from one sequence up to before another.
func (r *ring) between(from, to uint64) (out []*entry) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for i := r.search(from); i < r.n && r.at(i).seq < to; i++ {
		out = append(out, r.at(i))
	}
	return out
}

// span answers the positions that the ring answers for.
func (r *ring) span() (first, next uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.first, r.next
}
