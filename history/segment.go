package history

import (
	"cmp"
	"math/bits"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hookstream/hookstream/history/query"
)

// span is how many positions a segment has at most: an offset fits 16 bits.
const span = 1 << 16

// maxRoutes bounds the routes of a segment; it ends before it has more. Number 0 is
// that of a position without an event.
const maxRoutes = 1<<16 - 1

// A segment knows a run of the log. What it holds is only ever added to, by one
// goroutine, until the segment is sealed.
type segment struct {
	first uint64
	// before is where the segment before it ends, 0 if there was none: between the two
	// the log holds nothing.
	before uint64
	// columns are in memory; nil: in the file.
	columns atomic.Pointer[columns]
	place   *place // in the file, once columns are nil
	sealed
}

// sealed is what stays in memory of a segment whose columns do not.
type sealed struct {
	next             uint64
	earliest, latest int64 // of its times
	hours            []hour
}

// columns of a segment. An index is an offset from its first position.
type columns struct {
	times  []int64
	routes []uint16
	states []uint8
	// entities and ids are hashes; 0: there is none.
	entities, ids []uint64
	known         []Route // routes by number, less one
}

// hour counts the events of one hour by state.
type hour struct {
	start  int64 // Unix time in seconds
	counts [maxStates]uint32
}

const maxStates = 8

// A set holds offsets of a segment.
type set [span / 64]uint64

func (s *set) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s *set) and(o *set) {
	for i := range s {
		s[i] &= o[i]
	}
}

// dropBefore removes what is before an offset.
func (s *set) dropBefore(i int) {
	clear(s[:i/64])
	if i%64 != 0 {
		s[i/64] &= ^uint64(0) << (i % 64)
	}
}

func (s *set) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

// next answers the first offset from i on, or span; prev the last up to i, or -1.
func (s *set) next(i int) int {
	for ; i < span; i = (i/64 + 1) * 64 {
		if w := s[i/64] >> (i % 64); w != 0 {
			return i + bits.TrailingZeros64(w)
		}
	}
	return span
}

func (s *set) prev(i int) int {
	for ; i >= 0; i = i/64*64 - 1 {
		if w := s[i/64] << (63 - i%64); w != 0 {
			return i - bits.LeadingZeros64(w)
		}
	}
	return -1
}

// reader answers the columns of a segment, wherever they are. Hashes are sorted, with
// the offsets of each.
type reader interface {
	routesKnown() ([]Route, error)
	routeColumn() ([]uint16, error)
	stateColumn() ([]uint8, error)
	timeColumn() ([]int64, error)
	// find adds the offsets that have a hash to the set.
	find(kind hashKind, hash uint64, to *set) error
}

type hashKind int

const (
	ofEntity hashKind = iota
	ofID
)

// candidates answers the offsets of a segment that may match. It begins with what
// leaves least and costs least: hashes, of which a look reads a page.
func (f *Filter) candidates(first uint64, sum sealed, r reader, hash func(string) uint64) (*set, error) {
	out := new(set)
	if !f.overlaps(sum) {
		return out, nil
	}
	for i := range out {
		out[i] = ^uint64(0)
	}
	for _, narrow := range []func() error{
		func() error { return f.byEntity(r, hash, out) },
		func() error { return f.byID(first, r, hash, out) },
		func() error { return f.byRoute(r, out) },
		func() error { return f.byState(r, out) },
		func() error { return f.byTime(sum, r, out) },
	} {
		if err := narrow(); err != nil || out.empty() {
			return out, err
		}
	}
	return out, nil
}

func (f *Filter) byEntity(r reader, hash func(string) uint64, out *set) error {
	return byHash(f.entities, out, func(v query.Pattern, to *set) (bool, error) {
		id, exact := query.Pattern(idOf(string(v))).Exact()
		if !exact || id == "" {
			return false, nil
		}
		return true, r.find(ofEntity, hash(id), to)
	})
}

func (f *Filter) byID(first uint64, r reader, hash func(string) uint64, out *set) error {
	return byHash(f.ids, out, func(v query.Pattern, to *set) (bool, error) {
		text, exact := v.Exact()
		if !exact {
			return false, nil
		}
		if seq, ok := f.position(v); ok && seq >= first && seq < first+span {
			to.add(int(seq - first))
		}
		return true, r.find(ofID, hash(text), to)
	})
}

// overlaps reports whether anything of a segment can be in the span of time.
func (f *Filter) overlaps(sum sealed) bool {
	return (f.after.IsZero() || sum.latest >= f.after.UnixNano()) && (f.before.IsZero() || sum.earliest < f.before.UnixNano())
}

func (f *Filter) byRoute(r reader, out *set) error {
	known, err := r.routesKnown()
	if err != nil {
		return err
	}
	wanted, some := make([]bool, len(known)+1), false
	for i, route := range known {
		wanted[i+1] = f.onRoute(route)
		some = some || wanted[i+1]
	}
	in := new(set)
	if some {
		column, err := r.routeColumn()
		if err != nil {
			return err
		}
		for i, n := range column {
			if int(n) < len(wanted) && wanted[n] {
				in.add(i)
			}
		}
	}
	out.and(in)
	return nil
}

func (f *Filter) byState(r reader, out *set) error {
	if len(f.states) == 0 {
		return nil
	}
	column, err := r.stateColumn()
	if err != nil {
		return err
	}
	var wanted [256]bool
	for state := range wanted {
		wanted[state] = f.onState(state)
	}
	in := new(set)
	for i, state := range column {
		if wanted[state] {
			in.add(i)
		}
	}
	out.and(in)
	return nil
}

func (f *Filter) byTime(sum sealed, r reader, out *set) error {
	if f.inTime(time.Unix(0, sum.earliest)) && f.inTime(time.Unix(0, sum.latest)) {
		return nil
	}
	column, err := r.timeColumn()
	if err != nil {
		return err
	}
	in := new(set)
	for i, nanos := range column {
		if f.inTime(time.Unix(0, nanos)) {
			in.add(i)
		}
	}
	out.and(in)
	return nil
}

// byHash narrows by the values that stand for themselves. A term with a value that
// does not is left to Match; so is a negated one, for another text may have the hash.
func byHash(terms []query.Term, out *set, find func(query.Pattern, *set) (bool, error)) error {
	for _, t := range terms {
		if t.Not {
			continue
		}
		found, narrow := new(set), true
		for _, v := range t.Values {
			exact, err := find(v, found)
			if err != nil {
				return err
			}
			narrow = narrow && exact
		}
		if narrow {
			out.and(found)
		}
	}
	return nil
}

func (c *columns) routesKnown() ([]Route, error)  { return c.known, nil }
func (c *columns) routeColumn() ([]uint16, error) { return c.routes, nil }
func (c *columns) stateColumn() ([]uint8, error)  { return c.states, nil }
func (c *columns) timeColumn() ([]int64, error)   { return c.times, nil }

func (c *columns) hashes(kind hashKind) []uint64 {
	if kind == ofEntity {
		return c.entities
	}
	return c.ids
}

func (c *columns) find(kind hashKind, hash uint64, to *set) error {
	for i, h := range c.hashes(kind) {
		if h == hash {
			to.add(i)
		}
	}
	return nil
}

// sorted answers the hashes that are there in their order, with their offsets.
func (c *columns) sorted(kind hashKind) (hashes []uint64, offsets []uint16) {
	column := c.hashes(kind)
	for i, h := range column {
		if h != 0 {
			offsets = append(offsets, uint16(i))
		}
	}
	slices.SortFunc(offsets, func(a, b uint16) int {
		return cmp.Or(cmp.Compare(column[a], column[b]), cmp.Compare(a, b))
	})
	for _, i := range offsets {
		hashes = append(hashes, column[i])
	}
	return hashes, offsets
}

// note counts an event.
func (s *sealed) note(nanos int64, state uint8) {
	if s.earliest == 0 && s.latest == 0 {
		s.earliest, s.latest = nanos, nanos
	}
	s.earliest, s.latest = min(s.earliest, nanos), max(s.latest, nanos)
	start := hourOf(nanos)
	i, found := slices.BinarySearchFunc(s.hours, start, func(h hour, start int64) int { return cmp.Compare(h.start, start) })
	if !found {
		s.hours = slices.Insert(s.hours, i, hour{start: start})
	}
	s.hours[i].counts[state]++
}

const hourSeconds = 3600

// hourOf answers the beginning of an hour, in seconds.
func hourOf(nanos int64) int64 {
	seconds := time.Unix(0, nanos).Unix()
	return seconds - ((seconds%hourSeconds)+hourSeconds)%hourSeconds
}
