package index

import (
	"github.com/bits-and-blooms/bloom/v3"
	"github.com/cockroachdb/pebble/v2"
)

// filter says of most keys that they are not in the index, which is what is
// asked about nearly always: without it each new event costs a search of every
// level of the disk's tables.
type filter struct {
	bits        *bloom.BloomFilter
	n, capacity int
}

// The capacity of a filter doubles when it is full, up to the largest, which
// takes 100 MB. Past that it is wrong more often, which costs time only. With
// these bits it is wrong about one key in 150; fewer bits would do, but have to
// be looked at in more places, each of which memory is waited for.
const (
	largestFilter = 1 << 26
	filterBits    = 12 // for each key of the capacity
	filterPlaces  = 4  // of these that a key sets
)

var smallestFilter = 1 << 20 // less in tests

func newFilter(capacity int) *filter {
	return &filter{bits: bloom.New(uint(filterBits*capacity), filterPlaces), capacity: capacity}
}

func (f *filter) add(k recordKey) {
	if f != nil {
		f.bits.Add(k[:])
		f.n++
	}
}

// lacks reports that the key is not there for certain.
func (f *filter) lacks(k recordKey) bool { return f != nil && !f.bits.Test(k[:]) }

func (f *filter) full() bool { return f.n > f.capacity && f.capacity < largestFilter }

// learn makes a new filter of all that is known; the old one serves meanwhile.
// The caller holds mu.
func (x *Index) learn(capacity int) {
	x.next = newFilter(capacity)
	for _, t := range []*table{x.now, x.older} {
		if t == nil {
			continue
		}
		for k := range t.places {
			x.next.add(k)
		}
	}
	x.wg.Go(x.fillFilter)
}

// fillFilter adds what is on the disk to the next filter, and puts that in force. When
// it fails the index does without.
func (x *Index) fillFilter() {
	done := x.addRecords()
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closing.Load():
	case x.next.full():
		x.learn(2 * x.next.capacity)
	case done:
		x.seen, x.next = x.next, nil
	}
}

// scanPiece is how many keys are added at once, while nobody can ask.
const scanPiece = 4096

func (x *Index) addRecords() (ok bool) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindRecord}, UpperBound: []byte{kindRecord + 1}})
	if err != nil {
		return false
	}
	defer it.Close()
	piece := make([]recordKey, 0, scanPiece)
	for more := it.First(); more; {
		piece = piece[:0]
		for ; more && len(piece) < scanPiece; more = it.Next() {
			piece = append(piece, recordKey(it.Key()[len(storedKey{})-len(recordKey{}):]))
		}
		if x.closing.Load() || !x.addPiece(piece) {
			return false
		}
	}
	return it.Error() == nil
}

func (x *Index) addPiece(piece []recordKey) (room bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, k := range piece {
		x.next.add(k)
	}
	return !x.next.full()
}
