package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A Reader looks into an index that nobody uses, and changes nothing of it.
type Reader struct {
	x *Index
	// Applied is the sequence up to which the index knows the log.
	Applied uint64
	// Oldest is when the oldest of its entries was stored; what is older was
	// forgotten. Zero: it has none.
	Oldest time.Time
}

// ErrOther says that an index is of another log, or of another release: Open makes
// it anew.
var ErrOther = errors.New("index: of another log or release")

// Read opens the index in dir, for the log of the given incarnation. Its error wraps
// fs.ErrNotExist when there is none, ErrOther or ErrDamaged, or is of the system.
func Read(dir string, incarnation uint32) (_ *Reader, err error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	if err := marked(dir); err != nil {
		return nil, err
	}
	defer asDamage(&err)
	x := &Index{dir: dir, window: math.MaxInt64, now: newTable(0), logger: slog.New(slog.DiscardHandler), stuck: make(chan struct{})}
	o := x.options()
	o.ReadOnly = true
	if x.db, err = pebble.Open(dir, o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	r := &Reader{x: x}
	if err := r.load(incarnation); err != nil {
		return nil, errors.Join(err, x.db.Close())
	}
	return r, nil
}

func (r *Reader) load(incarnation uint32) error {
	log, _, err := r.x.get(metaLog)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	applied, ok, err := r.x.get(metaApplied)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if len(log) == 0 && !ok {
		return nil // killed before anything of it was kept
	}
	if !bytes.Equal(log, binary.BigEndian.AppendUint32([]byte{layout}, incarnation)) || ok && len(applied) != 8 {
		return ErrOther
	}
	if ok {
		r.Applied = binary.BigEndian.Uint64(applied)
	}
	if r.x.generations, err = r.x.loadGenerations(); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return r.findOldest()
}

// findOldest looks at every entry.
func (r *Reader) findOldest() error {
	it, err := r.x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindRecord}, UpperBound: []byte{kindRecord + 1}})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	oldest := int64(math.MaxInt64)
	for ok := it.First(); ok; ok = it.Next() {
		at, ok := parsePlace(it.Value())
		if !ok {
			return errors.Join(fmt.Errorf("%w: an entry is of no known form", ErrDamaged), it.Close())
		}
		oldest = min(oldest, at.nanos)
	}
	if oldest != math.MaxInt64 {
		r.Oldest = time.Unix(0, oldest).UTC()
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// Key answers the sequence that the index has for a key, however old.
func (r *Reader) Key(h Hash) (uint64, bool, error) {
	at, ok, err := r.x.stored(r.x.generations, keyOf(kindKey, h), math.MinInt64)
	return at.seq, ok, err
}

// Close ends it.
func (r *Reader) Close() error { return r.x.db.Close() }
