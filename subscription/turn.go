package subscription

import (
	"cmp"
	"slices"
)

// run is hand-outs of a queue that followed each other and all came to this gateway.
type run struct {
	from, to uint64 // their turns, both included
	first    uint64 // the first event of them that nobody was handed before; 0: there is none
	next     uint64 // what follows the last such event in the log; 0: there is none
	begun    bool   // its first turn is no hand-out: the queue stood there when this gateway began
}

// turns are the runs that are known, in order and apart from each other. What answers
// several pulls arrives in any order, and of a cluster other gateways are handed a
// part: so a run ends where a turn did not come, or has not come yet.
type turns []run

// maxTurns is how many runs are kept. Beyond, the lowest is forgotten: what joins it
// later is so late that several hundred others overtook it.
const maxTurns = 512

// add adds a hand-out of the event, which is 0 when somebody was handed it before. It
// answers what lies between two events that were handed out one after the other: the
// queue has jumped over it.
func (all *turns) add(turn, event uint64) (jumps []span) {
	one := run{from: turn, to: turn, first: event}
	if event > 0 {
		one.next = event + 1
	}
	i, _ := slices.BinarySearchFunc(*all, turn, func(r run, turn uint64) int { return cmp.Compare(r.to, turn) })
	if i < len(*all) && (*all)[i].from <= turn { // the queue has forgotten what it handed out, and begins anew
		*all = turns{one}
		return nil
	}
	*all = slices.Insert(*all, i, one)
	jumps = append(all.join(i), all.join(i-1)...)
	if n := len(*all) - maxTurns; n > 0 {
		*all = slices.Delete(*all, 0, n)
	}
	return jumps
}

// join makes run i and the one behind it one if nothing lies between them, and answers
// what their events jump over.
func (all *turns) join(i int) (jumps []span) {
	if i < 0 || i+1 >= len(*all) || (*all)[i].to+1 != (*all)[i+1].from {
		return nil
	}
	a, b := (*all)[i], (*all)[i+1]
	if jump := (span{a.next, b.first}); a.next > 0 && b.first > 0 && !jump.empty() {
		jumps = []span{jump}
	}
	(*all)[i] = run{a.from, b.to, cmp.Or(a.first, b.first), cmp.Or(b.next, a.next), a.begun}
	*all = slices.Delete(*all, i+1, i+2)
	return jumps
}

// handedOut answers the runs of hand-outs that came to this gateway.
func (all turns) handedOut() (out turns) {
	for _, r := range all {
		if r.begun {
			r.from++
		}
		if r.from <= r.to {
			out = append(out, r)
		}
	}
	return out
}

// between answers what of the log before first nobody was handed from a place on until
// a turn, that of the last hand-out, and whether all these hand-outs are known. What lies
// between two events of one run is counted as it comes. The runs are in the order of
// their turns.
func (all turns) between(was place, turn, first uint64) (lost []span, whole bool) {
	at, next := was.turn, was.last+1
	whole = true
	for _, r := range all {
		if r.to <= at || at >= turn {
			continue
		}
		if jump := (span{next, r.first}); r.from <= at+1 && !jump.empty() {
			lost = append(lost, jump)
		}
		whole = whole && r.from <= at+1
		at, next = r.to, max(next, r.next)
	}
	if whole = whole && at >= turn; whole {
		lost = append(lost, span{next, first})
	}
	return lost, whole
}
