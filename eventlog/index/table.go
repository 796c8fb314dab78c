package index

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// tableSize is how many keys are kept in memory before they go to the disk: a
// few megabytes, and what must be read again from the log after a crash.
var tableSize = 1 << 16 // less in tests

// recordKey is a kind and a hash, as the disk knows it.
type recordKey [1 + len(Hash{})]byte

func keyOf(kind byte, h Hash) (k recordKey) {
	k[0] = kind
	copy(k[1:], h[:])
	return k
}

// place is where and when an event was stored.
type place struct {
	seq   uint64
	nanos int64
}

const placeLen = 16

func (p place) bytes() (b [placeLen]byte) {
	binary.BigEndian.PutUint64(b[:], p.seq)
	binary.BigEndian.PutUint64(b[8:], uint64(p.nanos))
	return b
}

func parsePlace(b []byte) (place, bool) {
	if len(b) != placeLen {
		return place{}, false
	}
	return place{binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:]))}, true
}

// table holds the newest entries.
type table struct {
	places  map[recordKey]place
	through uint64
}

func newTable(size int) *table { return &table{places: make(map[recordKey]place, size)} }

// fill writes what is not older than the given time into a batch, as records of
// the generation: sorted, which is how the disk takes it best.
func (t *table) fill(b *pebble.Batch, g *generation, oldest time.Time) error {
	records := t.sorted(oldest.UnixNano())
	for i := range records {
		r := &records[i]
		g.newest = max(g.newest, r.nanos)
		key, value := g.stored(r.key), r.bytes()
		if err := b.Set(key[:], value[:], nil); err != nil {
			return err
		}
	}
	if g.records += len(records); g.records > 0 {
		if err := b.Set(g.key(), g.bytes(), nil); err != nil {
			return err
		}
	}
	return b.Set(metaApplied, binary.BigEndian.AppendUint64(nil, t.through), nil)
}

// record is a key with its place.
type record struct {
	key recordKey
	place
}

func (t *table) sorted(oldest int64) []record {
	records := make([]record, 0, len(t.places))
	for k, at := range t.places {
		if at.nanos >= oldest {
			records = append(records, record{k, at})
		}
	}
	slices.SortFunc(records, func(a, b record) int { return bytes.Compare(a.key[:], b.key[:]) })
	return records
}
