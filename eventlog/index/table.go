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
const tableSize = 1 << 16

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

// hour is the precision of expiry.
func (p place) hour() uint32 { return uint32(p.nanos / int64(time.Hour)) }

// expiryKey is ordered by the hour the key was written in.
func expiryKey(hour uint32, k recordKey) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kindExpiry}, hour)
	return append(b, k[:]...)
}

// table holds the newest entries.
type table struct {
	places  map[recordKey]place
	through uint64
}

func newTable() *table { return &table{places: make(map[recordKey]place)} }

// fill writes what is not older than the given time into a batch: sorted, which
// is how the disk takes it best.
func (t *table) fill(b *pebble.Batch, oldest time.Time) error {
	keys := make([]recordKey, 0, len(t.places))
	for k, at := range t.places {
		if at.nanos >= oldest.UnixNano() {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b recordKey) int { return bytes.Compare(a[:], b[:]) })
	for _, k := range keys {
		value := t.places[k].bytes()
		if err := b.Set(k[:], value[:], nil); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if err := b.Set(expiryKey(t.places[k].hour(), k), nil, nil); err != nil {
			return err
		}
	}
	return b.Set(metaApplied, binary.BigEndian.AppendUint64(nil, t.through), nil)
}
