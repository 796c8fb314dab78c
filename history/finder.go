package history

import (
	"slices"

	"github.com/hookstream/hookstream/event"
)

// Finder answers a function that goes through the log: for a position it answers the
// first from there on at which there may be an event that is wanted, by what events
// have in common: source, provider, environment, topic, action and type of its Parts.
//
// It passes over events alone: it stops at a position without one, at what cannot be
// read, and where the history ends or knows nothing. The function is for one goroutine.
func (s *Store) Finder(wanted func(event.Parts) bool) func(from uint64) uint64 {
	f := finder{store: s, wanted: wanted}
	return f.next
}

type finder struct {
	store  *Store
	wanted func(event.Parts) bool
	// stops of a segment, as it was up to next.
	segment     *segment
	first, upTo uint64
	stops       set
}

func (f *finder) next(from uint64) uint64 {
	for {
		if f.segment == nil || from < f.first || from >= f.upTo {
			if !f.load(from) {
				return from
			}
		}
		i := f.stops.next(int(from - f.first))
		if from = min(f.first+uint64(i), f.upTo); from < f.upTo {
			return from
		}
	}
}

// load looks at the segment that knows a position, if one does.
func (f *finder) load(at uint64) bool {
	v, ok := f.store.viewOf(at)
	if !ok {
		return false
	}
	var stops set
	err := f.store.read(v, func(r reader) error {
		routes, err := r.routesKnown()
		if err != nil {
			return err
		}
		stop := make([]bool, len(routes)+1)
		stop[0] = true // nothing is there
		for i, route := range routes {
			stop[i+1] = f.wanted(route.parts())
		}
		column, err := r.routeColumn()
		if err != nil {
			return err
		}
		for i := range int(v.next - v.first) {
			if i >= len(column) || int(column[i]) >= len(stop) || stop[column[i]] {
				stops.add(i)
			}
		}
		return nil
	})
	if err != nil {
		return false
	}
	f.segment, f.first, f.upTo, f.stops = v.segment, v.first, v.next, stops
	return true
}

// viewOf answers the segment that knows a position.
func (s *Store) viewOf(at uint64) (view, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(s.segments, at, func(g *segment, at uint64) int {
		if g.next <= at {
			return -1
		}
		return 1
	})
	if i == len(s.segments) || s.segments[i].first > at || at < s.first {
		return view{}, false
	}
	return viewNow(s.segments[i]), true
}

func (r Route) parts() event.Parts {
	return event.Parts{
		Source: []byte(r.Source), Provider: []byte(r.Provider), Environment: []byte(r.Environment),
		Topic: []byte(r.Topic), Action: []byte(r.Action), Type: []byte(r.Type),
	}
}
