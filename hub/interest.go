package hub

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// interests say whom an event may concern, so that it wakes nobody else: an event
// costs streams that do not select its route nothing. The ring's mu guards them.
type interests struct {
	byKey   map[string]*interest
	byRoute map[*route]*concerned
	left    int // interests that may still be in byRoute, and have no stream
	round   uint64
}

// An interest is what streams wait for whose selectors decide alike by route.
type interest struct {
	selector *Selector
	streams  int

	// mu guards waits among readers of the ring, who hold the ring's mu shared and take
	// it before. Who adds to the ring holds that alone, and needs no other.
	mu    sync.Mutex
	waits *watch // nil while nobody waits
}

// concerned are the interests that a route may match.
type concerned struct {
	interests []*interest
	round     uint64 // in which they were woken
}

// A watch is a wait that streams share who have looked at everything there is.
type watch struct {
	woken chan struct{}
	// Once woken is closed: nothing before from may match. Guarded by the ring's mu.
	over bool
	from uint64
}

func newInterests() interests {
	return interests{byKey: make(map[string]*interest), byRoute: make(map[*route]*concerned)}
}

func (in *interests) join(s *Selector) *interest {
	i := in.byKey[s.key]
	if i == nil {
		i = &interest{selector: s}
		in.byKey[s.key] = i
		for r, c := range in.byRoute {
			if s.onRoute(r) != miss {
				c.interests = append(c.interests, i)
			}
		}
	}
	i.streams++
	return i
}

// maxLeft is how many interests without a stream are kept before they are
// looked for.
const maxLeft = 64

func (in *interests) leave(i *interest) {
	if i.streams--; i.streams > 0 {
		return
	}
	delete(in.byKey, i.selector.key)
	if in.left++; in.left > max(maxLeft, len(in.byKey)) {
		clear(in.byRoute)
		in.left = 0
	}
}

// of answers whom a route concerns.
func (in *interests) of(r *route) *concerned {
	c := in.byRoute[r]
	if c != nil {
		return c
	}
	if len(in.byRoute) >= maxRoutes {
		clear(in.byRoute)
		in.left = 0
	}
	c = new(concerned)
	for _, i := range in.byKey {
		if i.selector.onRoute(r) != miss {
			c.interests = append(c.interests, i)
		}
	}
	in.byRoute[r] = c
	return c
}

// wake wakes those whom the entries may concern, of which next was awaited. A number
// that is passed over concerns everybody, and is theirs to look at: who waits only
// since it was passed must not go on behind it unseen.
func (in *interests) wake(next uint64, es []*entry) {
	if len(in.byKey) == 0 {
		return
	}
	in.round++
	for _, e := range es {
		if e.seq != next || e.route == nil { // a hole
			in.wakeAll(next)
		}
		next = e.seq + 1
		if e.route == nil {
			continue
		}
		c := in.of(e.route)
		if c.round == in.round {
			continue // nobody waits since
		}
		c.round = in.round
		for _, i := range c.interests {
			i.wake(e.seq)
		}
	}
}

// wakeAll wakes everybody, for something else than an event. Who waits has
// nothing to look at before next.
func (in *interests) wakeAll(next uint64) {
	for _, i := range in.byKey {
		i.wake(next)
	}
}

func (i *interest) wake(from uint64) {
	if i.waits == nil {
		return
	}
	i.waits.over, i.waits.from = true, from
	close(i.waits.woken)
	i.waits = nil
}

// watch answers the wait for what comes next. The caller reads the ring.
func (i *interest) watch() *watch {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.waits == nil {
		i.waits = &watch{woken: make(chan struct{})}
	}
	return i.waits
}

// interest answers that of a selector, until forget is called with it.
func (r *ring) interest(s *Selector) *interest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.interests.join(s)
}

func (r *ring) forget(i *interest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.interests.leave(i)
}

// passed answers the position up to which nothing matches that came since the
// wait began, and the time of the event before it, zero when that is not there.
func (r *ring) passed(w *watch) (pos uint64, before time.Time) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	pos = r.next
	if w.over {
		pos = w.from
	}
	if i := r.search(pos - 1); i < r.n && r.at(i).seq == pos-1 {
		before = r.at(i).time
	}
	return pos, before
}

// routeKey names what a selector decides by the route of an event: selectors
// with the same key miss the same routes.
func routeKey(sources, types, environments, providers []string) string {
	var b strings.Builder
	for _, part := range [][]string{sources, types, environments, providers} {
		part = slices.Clone(part)
		slices.Sort(part)
		for _, s := range slices.Compact(part) {
			fmt.Fprintf(&b, "%d:%s", len(s), s)
		}
		b.WriteByte(';')
	}
	return b.String()
}
