// Package index remembers, for a bounded time, where in the log an event with a
// given key or a given content lies.
//
// It is derived from the log: written after the append by whoever tails the
// log, and rebuilt from it when lost. That is why it keeps no write-ahead log
// of its own; after a crash it has forgotten the newest entries and says from
// where the log must be read again.
package index

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Hash stands for a key or a content. It is cryptographic: nobody can make an
// event that is taken for another.
type Hash [16]byte

// HashOf joins the parts unambiguously.
func HashOf(parts ...string) Hash {
	var size [4]byte
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		binary.BigEndian.PutUint32(size[:], uint32(len(p)))
		b = append(append(b, size[:]...), p...)
	}
	sum := sha256.Sum256(b)
	return Hash(sum[:16])
}

// Entry is one event of the log.
type Entry struct {
	Seq  uint64
	Time time.Time
	// Key is the event's deduplication key.
	Key Hash
	// Content is its fingerprint; the zero Hash when it has none.
	Content Hash
}

// Index answers where events lie. All methods may be called from many
// goroutines at once, Apply from one.
type Index struct {
	db     *pebble.DB
	window time.Duration

	mu      sync.Mutex
	applied uint64
}

// Kinds of keys. Expiry keys are ordered by time and name the key that ends.
const (
	kindKey     = 'k'
	kindContent = 'c'
	kindExpiry  = 'x'
)

var (
	metaApplied     = []byte("m/applied")
	metaIncarnation = []byte("m/incarnation")
)

// Open opens the index in dir, for the log of the given incarnation that ends at
// last. An index of another log is emptied, and so is one that knows more than
// the log holds: what it remembers may be gone, and a key of an event that is
// gone would hide the event when it comes again. Entries older than window are
// forgotten.
func Open(dir string, incarnation uint32, last uint64, window time.Duration, logger *slog.Logger) (*Index, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		DisableWAL:   true,
		MemTableSize: 16 << 20,
		Logger:       pebbleLogger{logger},
	})
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	x := &Index{db: db, window: window}
	if err := x.load(incarnation, last); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

func (x *Index) load(incarnation uint32, last uint64) error {
	want := binary.BigEndian.AppendUint32(nil, incarnation)
	got, _, err := x.get(metaIncarnation)
	if err != nil {
		return err
	}
	applied, ok, err := x.get(metaApplied)
	if err != nil {
		return err
	}
	if ok && string(got) == string(want) && binary.BigEndian.Uint64(applied) <= last {
		x.applied = binary.BigEndian.Uint64(applied)
		return nil
	}
	b := x.db.NewBatch()
	defer b.Close()
	if err := b.DeleteRange([]byte{0}, []byte{0xff}, nil); err != nil {
		return err
	}
	if err := b.Set(metaIncarnation, want, nil); err != nil {
		return err
	}
	return b.Commit(pebble.NoSync)
}

// get answers a copy.
func (x *Index) get(key []byte) ([]byte, bool, error) {
	v, closer, err := x.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read index: %w", err)
	}
	defer closer.Close()
	return append([]byte(nil), v...), true, nil
}

// Applied is the sequence up to which the index knows the log.
func (x *Index) Applied() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.applied
}

// Key answers the sequence of the event with the key, if there is one within
// the window.
func (x *Index) Key(h Hash) (uint64, bool, error) {
	return x.find(kindKey, h, time.Now().Add(-x.window))
}

// Content answers the sequence of the latest event with the content, if it was
// stored since the given time.
func (x *Index) Content(h Hash, since time.Time) (uint64, bool, error) {
	return x.find(kindContent, h, since)
}

const valueLen = 16 // sequence, time in nanoseconds

func (x *Index) find(kind byte, h Hash, since time.Time) (uint64, bool, error) {
	var key [17]byte
	key[0] = kind
	copy(key[1:], h[:])
	v, closer, err := x.db.Get(key[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read index: %w", err)
	}
	defer closer.Close()
	if len(v) != valueLen || int64(binary.BigEndian.Uint64(v[8:])) < since.UnixNano() {
		return 0, false, nil
	}
	return binary.BigEndian.Uint64(v), true, nil
}

// Apply takes the entries of the log that follow what is known, in order.
// through is the last sequence of the log that was looked at, which may have
// held no entry.
func (x *Index) Apply(entries []Entry, through uint64) error {
	b := x.db.NewBatchWithSize(len(entries)*96 + 64)
	defer b.Close()
	oldest := time.Now().Add(-x.window)
	for _, e := range entries {
		if e.Time.Before(oldest) {
			continue
		}
		if err := put(b, kindKey, e.Key, e); err != nil {
			return err
		}
		if e.Content == (Hash{}) {
			continue
		}
		if err := put(b, kindContent, e.Content, e); err != nil {
			return err
		}
	}
	if err := b.Set(metaApplied, binary.BigEndian.AppendUint64(nil, through), nil); err != nil {
		return err
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	x.mu.Lock()
	x.applied = through
	x.mu.Unlock()
	return nil
}

func put(b *pebble.Batch, kind byte, h Hash, e Entry) error {
	var buf [1 + 4 + 17 + valueLen]byte
	expiry, key, value := buf[:1+4+17], buf[1+4:1+4+17], buf[1+4+17:]
	expiry[0] = kindExpiry
	binary.BigEndian.PutUint32(expiry[1:], hour(e.Time))
	key[0] = kind
	copy(key[1:], h[:])
	binary.BigEndian.PutUint64(value, e.Seq)
	binary.BigEndian.PutUint64(value[8:], uint64(e.Time.UnixNano()))
	if err := b.Set(key, value, nil); err != nil {
		return err
	}
	return b.Set(expiry, nil, nil)
}

func hour(t time.Time) uint32 { return uint32(t.Unix() / 3600) }

// Sweep removes what has left the window. It reads what it removes, and nothing
// else, a bounded piece at a time; it answers how many it removed.
func (x *Index) Sweep(now time.Time) (int, error) {
	end := binary.BigEndian.AppendUint32([]byte{kindExpiry}, hour(now.Add(-x.window)))
	removed := 0
	for {
		n, err := x.sweepPiece(end)
		removed += n
		if err != nil || n == 0 {
			return removed, err
		}
	}
}

// sweepPieceSize keeps one batch of a sweep small beside what is written
// meanwhile.
const sweepPieceSize = 10_000

func (x *Index) sweepPiece(end []byte) (int, error) {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: []byte{kindExpiry}, UpperBound: end})
	if err != nil {
		return 0, fmt.Errorf("sweep index: %w", err)
	}
	defer it.Close()
	b := x.db.NewBatch()
	defer b.Close()
	n := 0
	for ok := it.First(); ok && n < sweepPieceSize; ok = it.Next() {
		if err := x.expire(b, it.Key()); err != nil {
			return n, err
		}
		n++
	}
	if err := errors.Join(it.Error(), b.Commit(pebble.NoSync)); err != nil {
		return n, fmt.Errorf("sweep index: %w", err)
	}
	return n, nil
}

// expire removes an expiry key and the key it names, unless that was written
// again later.
func (x *Index) expire(b *pebble.Batch, expiry []byte) error {
	key := expiry[5:]
	v, ok, err := x.get(key)
	if err != nil {
		return err
	}
	if ok && len(v) == valueLen {
		written := time.Unix(0, int64(binary.BigEndian.Uint64(v[8:])))
		if hour(written) == binary.BigEndian.Uint32(expiry[1:]) {
			if err := b.Delete(key, nil); err != nil {
				return err
			}
		}
	}
	return b.Delete(expiry, nil)
}

// Close writes what is in memory and ends.
func (x *Index) Close() error {
	return errors.Join(x.db.Flush(), x.db.Close())
}

// pebbleLogger passes on what an operator can act on.
type pebbleLogger struct{ l *slog.Logger }

func (p pebbleLogger) Infof(f string, v ...any) { p.l.Debug(fmt.Sprintf(f, v...), "from", "index") }

func (p pebbleLogger) Errorf(f string, v ...any) { p.l.Error(fmt.Sprintf(f, v...), "from", "index") }

func (p pebbleLogger) Fatalf(f string, v ...any) {
	// Pebble calls this for what it cannot survive and relies on not coming back.
	panic(fmt.Sprintf("index: "+f, v...))
}
