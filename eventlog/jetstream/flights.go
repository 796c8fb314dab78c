package jetstream

import (
	"sync"

	"github.com/hookstream/hookstream/eventlog/index"
)

// flights are the entries that were given to be appended and that the index does
// not know yet. Of one key there is at most one, so that two equal requests at
// the same time become one event. It needs to be the only writer of the log,
// which an embedded engine is.
type flights struct {
	// mu guards what follows; nothing is taken under it.
	mu     sync.Mutex
	byKey  map[index.Hash]*pending
	doubts []*pending // may have been stored or not
}

func newFlights() *flights { return &flights{byKey: make(map[index.Hash]*pending)} }

// begin takes r in, unless an entry of the same key is there, which it answers.
func (f *flights) begin(r *pending) *pending {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, ok := f.byKey[r.key]; ok {
		return other
	}
	f.byKey[r.key] = r
	return nil
}

// end lets go of an entry that was not stored.
func (f *flights) end(key index.Hash) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byKey, key)
}

// doubt keeps r until decide.
func (f *flights) doubt(r *pending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doubts = append(f.doubts, r)
}

// doubtful reports whether r is still in doubt.
func (f *flights) doubtful(r *pending) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byKey[r.key] == r
}

// inDoubt reports whether anything is.
func (f *flights) inDoubt() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.doubts) > 0
}

// land lets go of what the index knows.
func (f *flights) land(entries []index.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		delete(f.byKey, e.Key)
	}
}

// decide lets go of what was in doubt and was sent before the given group: that
// was stored, and so was all that went before it and will ever be.
func (f *flights) decide(group uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := f.doubts[:0]
	for _, r := range f.doubts {
		if r.group < group {
			if f.byKey[r.key] == r {
				delete(f.byKey, r.key)
			}
		} else {
			left = append(left, r)
		}
	}
	clear(f.doubts[len(left):])
	f.doubts = left
}
