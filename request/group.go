package request

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// An entry is what is known in memory of a slot: the request without its body and proof.
type entry struct {
	Request
	from     string // the sender
	slot     int
	revision uint64
	bytes    int64
}

// A group is the requests of one source with one cause.
type group struct {
	slots   map[int]*entry
	byClass map[string]*entry
	bytes   int64
}

func (g *group) put(e *entry) {
	g.drop(e.slot)
	g.slots[e.slot], g.byClass[e.Class] = e, e
	g.bytes += e.bytes
}

func (g *group) drop(slot int) {
	e := g.slots[slot]
	if e == nil {
		return
	}
	delete(g.slots, slot)
	if g.byClass[e.Class] == e {
		delete(g.byClass, e.Class)
	}
	g.bytes -= e.bytes
}

// free answers a slot that has nothing. Gateways look from different ones on.
func (g *group) free(slots int) (int, bool) {
	if len(g.slots) >= slots {
		return 0, false
	}
	for slot := rand.IntN(slots); ; slot = (slot + 1) % slots {
		if g.slots[slot] == nil {
			return slot, true
		}
	}
}

// ordinal is the next of a sender.
func (g *group) ordinal(sender string) int64 {
	var last int64
	for _, e := range g.slots {
		if e.from == sender {
			last = max(last, e.Ordinal)
		}
	}
	return last + 1
}

// older answers what is not of the newest half, by number and by bytes, newest first; it
// always has the oldest.
func (g *group) older() []*entry {
	all := make([]*entry, 0, len(g.slots))
	for _, e := range g.slots {
		all = append(all, e)
	}
	slices.SortFunc(all, newestFirst)
	n, bytes := 0, int64(0)
	for n < len(all)/2 && bytes+all[n].bytes <= g.bytes/2 {
		bytes += all[n].bytes
		n++
	}
	return all[n:]
}

func newestFirst(a, b *entry) int {
	return cmp.Or(b.LastTime.Compare(a.LastTime), cmp.Compare(a.ID, b.ID))
}

// victim answers what must go when something must: see the package. nil: there is nothing.
func (g *group) victim(age time.Duration, now time.Time) *entry {
	if len(g.slots) == 0 {
		return nil
	}
	older := g.older()
	if oldest := older[len(older)-1]; now.Sub(oldest.LastTime) > age {
		return oldest
	}
	bySender := make(map[string][]*entry)
	for _, e := range older {
		bySender[e.from] = append(bySender[e.from], e)
	}
	next := older[0] // that left the newest half last, and is not of the sample yet
	most := next.from
	for _, e := range older {
		if s := e.from; len(bySender[s]) > len(bySender[most]) {
			most = s
		}
	}
	theirs := bySender[most]
	if theirs[0] != next {
		return theirs[rand.IntN(len(theirs))]
	}
	// Of the n requests of a sender each is in a sample of k with the same probability
	// when the nth is taken in with the probability k/n.
	sample := theirs[1:]
	if k, n := int64(len(sample)), max(next.Ordinal, 1); k > 0 && rand.Int64N(n) < k {
		return sample[rand.IntN(len(sample))]
	}
	return next
}
