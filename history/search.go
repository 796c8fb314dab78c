package history

import (
	"errors"
	"io/fs"
	"iter"
	"slices"
	"time"
)

// Candidates answers the positions from one on, to the newest or to the oldest, of
// which the filter may hold: to be looked at with Match. It is lazy; what it has
// asked no more for costs nothing. At the end it has looked at all that was known
// when it began.
func (s *Store) Candidates(f *Filter, from uint64, oldestFirst bool) iter.Seq2[uint64, error] {
	return func(yield func(uint64, error) bool) {
		views, first := s.views()
		if !oldestFirst {
			slices.Reverse(views)
		}
		for _, v := range views {
			if oldestFirst && v.next <= from || !oldestFirst && v.first > from {
				continue
			}
			found, err := s.candidates(f, v, first)
			if err != nil {
				yield(0, err)
				return
			}
			if !found.yield(v.first, from, oldestFirst, yield) {
				return
			}
		}
	}
}

// yield answers what a set holds, in order. It is false when nobody wants more.
func (s *set) yield(first, from uint64, oldestFirst bool, yield func(uint64, error) bool) bool {
	if oldestFirst {
		for i := s.next(int(max(from, first) - first)); i < span; i = s.next(i + 1) {
			if !yield(first+uint64(i), nil) {
				return false
			}
		}
		return true
	}
	for i := s.prev(int(min(from-first, span-1))); i >= 0; i = s.prev(i - 1) {
		if !yield(first+uint64(i), nil) {
			return false
		}
	}
	return true
}

// candidates answers those of one segment, of a log that begins at first.
func (s *Store) candidates(f *Filter, v view, first uint64) (*set, error) {
	found := new(set)
	return found, s.read(v, func(r reader) (err error) {
		*found, err = s.candidatesIn(f, v, first, r)
		return err
	})
}

func (s *Store) candidatesIn(f *Filter, v view, first uint64, r reader) (set, error) {
	found, err := f.candidates(v.first, v.sealed, r, s.hash)
	if first > v.first {
		found.dropBefore(int(min(first-v.first, span)))
	}
	return *found, err
}

// read calls fn with the columns of a segment, unless it is dropped. One that cannot
// be read is made anew.
func (s *Store) read(v view, fn func(reader) error) error {
	if v.columns != nil {
		return fn(v.columns)
	}
	f := &file{path: s.path(v.segment), place: v.place}
	defer f.close()
	err := fn(f)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !s.has(v.segment):
		return nil // dropped meanwhile
	case errors.Is(err, errDamaged) || errors.Is(err, fs.ErrNotExist):
		s.damaged(v.segment, err)
	}
	return err
}

func (s *Store) has(g *segment) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Contains(s.segments, g)
}

// Count is how many events of an hour, or of a longer span of hours, are in a state.
type Count struct {
	Start time.Time
	// States counts by the number of hookstream.v1.Verification.State.
	States [maxStates]int64
}

// Exact reports whether Candidates answers nothing that Match refuses: only then can
// be counted without looking.
func (f *Filter) Exact() bool {
	if f.LooksInside() {
		return false
	}
	for _, t := range slices.Concat(f.entities, f.ids) {
		if t.Not {
			return false
		}
		for _, v := range t.Values {
			if text, exact := v.Exact(); !exact || idOf(text) != text {
				return false
			}
		}
	}
	return true
}

// CountByHour counts what Candidates answers, by hours, in their order.
func (s *Store) CountByHour(f *Filter) ([]Count, error) {
	views, first := s.views()
	byHour := make(map[int64]*Count)
	add := func(start int64, state uint8, n int64) {
		c := byHour[start]
		if c == nil {
			c = &Count{Start: time.Unix(start, 0).UTC()}
			byHour[start] = c
		}
		c.States[state] += n
	}
	for _, v := range views {
		if v.next <= first || !f.overlaps(v.sealed) {
			continue
		}
		if f.everything(v.sealed) && v.first >= first {
			for _, h := range v.hours {
				for state, n := range h.counts {
					add(h.start, uint8(state), int64(n))
				}
			}
			continue
		}
		if err := s.countSegment(f, v, first, add); err != nil {
			return nil, err
		}
	}
	out := make([]Count, 0, len(byHour))
	for _, c := range byHour {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Count) int { return a.Start.Compare(b.Start) })
	return out, nil
}

// everything reports whether a filter asks for all of a segment.
func (f *Filter) everything(sum sealed) bool {
	return len(f.routes)+len(f.states)+len(f.entities)+len(f.ids) == 0 &&
		f.inTime(time.Unix(0, sum.earliest)) && f.inTime(time.Unix(0, sum.latest))
}

func (s *Store) countSegment(f *Filter, v view, first uint64, add func(int64, uint8, int64)) error {
	return s.read(v, func(r reader) error {
		found, err := s.candidatesIn(f, v, first, r)
		if err != nil || found.empty() {
			return err
		}
		times, err := r.timeColumn()
		if err != nil {
			return err
		}
		states, err := r.stateColumn()
		if err != nil {
			return err
		}
		found.yield(v.first, v.first, true, func(seq uint64, _ error) bool {
			i := seq - v.first
			add(hourOf(times[i]), states[i], 1)
			return true
		})
		return nil
	})
}
