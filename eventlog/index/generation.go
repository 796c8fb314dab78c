package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A generation is what was written to the disk in one period. The keys of one lie
// beside each other there: hashes land anywhere among those of their generation,
// but never in an earlier one, which the disk therefore has no reason to write
// again. What is looked for is looked for in one after the other, the newest
// first; and a generation is forgotten as a whole.
type generation struct {
	id      uint32
	records int
	begun   int64 // in nanoseconds, as is newest: the time of its latest entry
	newest  int64
}

// A generation ends when it holds a few tables and an eighth of all there is, or
// is an eighth of the window old: that bounds how many there are.
const (
	generationTables = 8
	generationShare  = 8
)

// Where generations themselves are kept, and the first key after them.
const (
	generationPrefix = "m/gen/"
	generationsEnd   = "m/gen0"
)

// key is where the generation itself is kept.
func (g *generation) key() []byte {
	return binary.BigEndian.AppendUint32([]byte(generationPrefix), g.id)
}

const generationLen = 24

func (g *generation) bytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, generationLen), uint64(g.records))
	b = binary.BigEndian.AppendUint64(b, uint64(g.begun))
	return binary.BigEndian.AppendUint64(b, uint64(g.newest))
}

var errGeneration = errors.New("index: a generation cannot be read")

func parseGeneration(key, value []byte) (g generation, err error) {
	if len(key) != len(generationPrefix)+4 || len(value) != generationLen {
		return g, errGeneration
	}
	return generation{
		id:      binary.BigEndian.Uint32(key[len(generationPrefix):]),
		records: int(binary.BigEndian.Uint64(value)),
		begun:   int64(binary.BigEndian.Uint64(value[8:])),
		newest:  int64(binary.BigEndian.Uint64(value[16:])),
	}, nil
}

// storedKey is where the record of a key lies.
type storedKey [5 + len(recordKey{})]byte

func (g *generation) stored(k recordKey) (s storedKey) {
	s[0] = kindRecord
	binary.BigEndian.PutUint32(s[1:], g.id)
	copy(s[5:], k[:])
	return s
}

// bounds are where its records lie: from start on, before end.
func (g *generation) bounds() (start, end []byte) {
	start = binary.BigEndian.AppendUint32([]byte{kindRecord}, g.id)
	return start, binary.BigEndian.AppendUint32([]byte{kindRecord}, g.id+1)
}

// loadGenerations answers those on the disk, the oldest first.
func (x *Index) loadGenerations() (gens []generation, err error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte(generationPrefix), UpperBound: []byte(generationsEnd)})
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok; ok = it.Next() {
		g, err := parseGeneration(it.Key(), it.Value())
		if err != nil {
			return nil, err
		}
		gens = append(gens, g)
	}
	return gens, it.Error()
}

// current answers the generation that is written to now.
func (x *Index) current(now time.Time) generation {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if len(x.generations) == 0 {
		return generation{begun: now.UnixNano()}
	}
	all := 0
	for _, g := range x.generations {
		all += g.records
	}
	g := x.generations[len(x.generations)-1]
	if g.records >= max(generationTables*tableSize, all/generationShare) || now.UnixNano()-g.begun > int64(x.window/generationShare) {
		return generation{id: g.id + 1, begun: now.UnixNano()}
	}
	return g
}

// put puts a generation in force, which is the newest.
func (x *Index) put(g generation) {
	x.mu.Lock()
	defer x.mu.Unlock()
	gens := slices.Clone(x.generations) // others read it
	if n := len(gens); n > 0 && gens[n-1].id == g.id {
		gens[n-1] = g
	} else {
		gens = append(gens, g)
	}
	x.generations = gens
}

// Sweep forgets the generations that have left the window; it answers how many
// records they had.
func (x *Index) Sweep(now time.Time) (int, error) {
	if x.closing.Load() {
		return 0, ErrClosed
	}
	if err := x.damaged.Load(); err != nil {
		return 0, *err
	}
	if err := x.persist(true); err != nil {
		return 0, err
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	x.mu.RLock()
	gens := x.generations
	x.mu.RUnlock()
	oldest := now.Add(-x.window).UnixNano()
	b := x.db.NewBatch()
	defer b.Close()
	var left []generation
	removed := 0
	for _, g := range gens {
		if g.newest >= oldest {
			left = append(left, g)
			continue
		}
		start, end := g.bounds()
		if err := errors.Join(b.DeleteRange(start, end, nil), b.Delete(g.key(), nil)); err != nil {
			return 0, fmt.Errorf("sweep index: %w", err)
		}
		removed += g.records
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return 0, fmt.Errorf("sweep index: %w", err)
	}
	x.mu.Lock()
	x.generations = left
	x.mu.Unlock()
	return removed, nil
}
