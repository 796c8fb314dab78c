// Package index remembers, for a bounded time, where in the log an event with a
// given key or a given content lies.
//
// It is derived from the log: written after the append by whoever tails the
// log, and rebuilt from it when lost. That is why it keeps no write-ahead log
// of its own; after a crash it has forgotten the newest entries and says from
// where the log must be read again.
//
// The newest entries are in a map in memory, which goes to the disk as a whole,
// sorted, into the newest of several generations; and a Bloom filter over all of
// them answers nearly every question, for nearly every question is about something
// new.
package index

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hookstream/hookstream/conns"
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
	// Key is the event's deduplication key; the zero Hash when there is no event.
	Key Hash
	// Content is its fingerprint; the zero Hash when it has none.
	Content Hash
}

// Index answers where events lie. All methods may be called from many
// goroutines at once, Apply from one.
type Index struct {
	dir    string
	logger *slog.Logger
	db     *pebble.DB
	window time.Duration

	// mu guards what is in memory. Apply alone writes under it, and readers hold it for
	// no longer than a look into a table takes.
	mu      sync.RWMutex
	now     *table // takes what is applied
	older   *table // is on its way to the disk; nil: none is
	applied uint64

	generations []generation // on the disk, the oldest first; with mu, never changed in place

	// writing is held while a table goes to the disk, or one is forgotten. It is taken
	// before mu.
	writing sync.Mutex
	wg      sync.WaitGroup
	failed  error // why a table could not be written; with mu

	seen *filter // of all that was ever applied; nil: not known yet. With mu
	next *filter // takes the place of seen when it knows as much; nil: none

	opened  atomic.Bool
	closing atomic.Bool
	damaged atomic.Pointer[error] // nil: it is not
	stuck   chan struct{}         // closed when the disk refuses a write
	stickTo sync.Once

	// using guards db: whoever reads it holds it shared, Close alone holds it whole.
	// It is taken last.
	using  sync.RWMutex
	closed bool // with using
}

// ErrClosed says that the index was closed.
var ErrClosed = errors.New("index: closed")

// Kinds of keys in memory, and on the disk that of all of them.
const (
	kindKey     = 'k'
	kindContent = 'c'
	kindRecord  = 'g'
)

var (
	metaApplied = []byte("m/applied")
	metaLog     = []byte("m/log")
)

// layout is the form in which the index is kept. One that is kept in another is
// made anew.
const layout = 2

// options say how the disk is used: a table goes there as one piece, for it is
// larger than half a memtable, and hashes do not compress.
func (x *Index) options() *pebble.Options {
	o := &pebble.Options{DisableWAL: true, MemTableSize: 2 << 20, CacheSize: 64 << 20, Logger: pebbleLogger{x}, FS: fileSystem}
	// Unless it is listened to, Pebble ends the process, at each start anew.
	o.EventListener = &pebble.EventListener{
		DataCorruption:  func(d pebble.DataCorruptionInfo) { _ = x.damage(d.Details) },
		BackgroundError: x.stick,
	}
	o.MaxOpenFiles = conns.ThisBudget().Index
	o.L0CompactionThreshold = generationTables // merged when it ends
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	return o
}

// fileSystem is where indexes lie; a test has one that refuses.
var fileSystem = vfs.Default

// Open opens the index in dir, for the log of the given incarnation that ends at
// last. An index of another log is emptied, and so is one that knows more than
// the log holds: what it remembers may be gone, and a key of an event that is
// gone would hide the event when it comes again. Entries older than window are
// forgotten. What is in dir and cannot be read is thrown away: the log has all of
// it.
func Open(dir string, incarnation uint32, last uint64, window time.Duration, logger *slog.Logger) (*Index, error) {
	x, err := open(dir, incarnation, last, window, logger)
	if err != nil {
		logger.Warn("the index of the log cannot be opened and is made anew", "dir", dir, "err", err)
		if err := os.RemoveAll(dir); err != nil {
			return nil, fmt.Errorf("make the index anew: %w", err)
		}
		if x, err = open(dir, incarnation, last, window, logger); err != nil {
			return nil, err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.learn(smallestFilter)
	return x, nil
}

func open(dir string, incarnation uint32, last uint64, window time.Duration, logger *slog.Logger) (_ *Index, err error) {
	defer asDamage(&err)
	if err := marked(dir); err != nil {
		return nil, err
	}
	x := &Index{dir: dir, window: window, now: newTable(0), logger: logger, stuck: make(chan struct{})}
	db, err := pebble.Open(dir, x.options())
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	x.db = db
	x.opened.Store(true)
	if err := x.load(incarnation, last); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return x, nil
}

// damagedFile says that something in the directory could not be read: the next
// Open does not try again.
const damagedFile = "DAMAGED"

// ErrDamaged says that something of the index cannot be read. Open makes it anew.
var ErrDamaged = errors.New("index: damaged")

// marked answers ErrDamaged when something could not be read the last time.
func marked(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, damagedFile)); err == nil {
		return fmt.Errorf("%w: something could not be read the last time", ErrDamaged)
	}
	return nil
}

// asDamage is deferred where an index is opened: Pebble panics over some of what it
// finds, through its logger or by itself.
func asDamage(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, p)
	}
}

// damage notices that something cannot be read, for good if it is damaged.
func (x *Index) damage(err error) error {
	if !errors.Is(err, pebble.ErrCorruption) {
		return fmt.Errorf("read index: %w", err)
	}
	err = fmt.Errorf("%w: %w", ErrDamaged, err)
	if x.damaged.CompareAndSwap(nil, &err) {
		x.logger.Error("the index of the log is damaged; it is made anew at the next start", "dir", x.dir, "err", err)
		if mark := os.WriteFile(filepath.Join(x.dir, damagedFile), nil, 0o600); mark != nil {
			x.logger.Error("the index cannot be marked as damaged: remove its directory", "dir", x.dir, "err", mark)
		}
	}
	return err
}

func (x *Index) load(incarnation uint32, last uint64) error {
	want := binary.BigEndian.AppendUint32([]byte{layout}, incarnation)
	got, _, err := x.get(metaLog)
	if err != nil {
		return err
	}
	applied, ok, err := x.get(metaApplied)
	if err != nil {
		return err
	}
	if ok && string(got) == string(want) && binary.BigEndian.Uint64(applied) <= last {
		x.applied = binary.BigEndian.Uint64(applied)
		x.generations, err = x.loadGenerations()
		return err
	}
	b := x.db.NewBatch()
	defer b.Close()
	if err := b.DeleteRange([]byte{0}, []byte{0xff}, nil); err != nil {
		return err
	}
	if err := b.Set(metaLog, want, nil); err != nil {
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
	x.mu.RLock()
	defer x.mu.RUnlock()
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

func (x *Index) find(kind byte, h Hash, since time.Time) (uint64, bool, error) {
	key := keyOf(kind, h)
	x.mu.RLock()
	if x.seen.lacks(key) { // most are new
		x.mu.RUnlock()
		return 0, false, nil
	}
	at, ok := x.now.places[key]
	if !ok && x.older != nil {
		at, ok = x.older.places[key]
	}
	gens := x.generations
	x.mu.RUnlock()
	if !ok {
		var err error
		if at, ok, err = x.stored(gens, key, since.UnixNano()); err != nil {
			return 0, false, err
		}
	}
	return at.seq, ok && at.nanos >= since.UnixNano(), nil
}

// stored looks into what is on the disk and is not older than since: with an
// iterator, for it asks the Bloom filter of the lowest level as well, which Get
// does not, and most of what is looked for is in no generation but one.
func (x *Index) stored(gens []generation, key recordKey, since int64) (place, bool, error) {
	x.using.RLock()
	defer x.using.RUnlock()
	if x.closed {
		return place{}, false, ErrClosed
	}
	if err := x.damaged.Load(); err != nil {
		return place{}, false, *err
	}
	it, err := x.db.NewIter(&pebble.IterOptions{UseL6Filters: true})
	if err != nil {
		return place{}, false, x.damage(err)
	}
	defer it.Close()
	for _, g := range slices.Backward(gens) {
		if g.newest < since {
			continue
		}
		s := g.stored(key)
		if it.SeekPrefixGE(s[:]) {
			at, ok := parsePlace(it.Value())
			return at, ok, nil
		}
		if err := it.Error(); err != nil {
			return place{}, false, x.damage(err)
		}
	}
	return place{}, false, nil
}

// Apply takes the entries of the log that follow what is known, in order.
// through is the last sequence of the log that was looked at, which may have
// held no entry.
func (x *Index) Apply(entries []Entry, through uint64) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.closing.Load():
		return ErrClosed
	case x.damaged.Load() != nil:
		return *x.damaged.Load()
	case x.failed != nil:
		return x.failed
	}
	for _, e := range entries {
		if e.Key != (Hash{}) {
			x.add(kindKey, e.Key, e)
		}
		if e.Content != (Hash{}) {
			x.add(kindContent, e.Content, e)
		}
	}
	if x.next == nil && x.seen != nil && x.seen.full() {
		x.learn(2 * x.seen.capacity)
	}
	x.now.through, x.applied = through, through
	if len(x.now.places) >= tableSize && x.older == nil {
		x.older, x.now = x.now, newTable(tableSize)
		x.wg.Go(func() { _ = x.persist(false) }) // the next Apply says why it failed
	}
	return nil
}

func (x *Index) add(kind byte, h Hash, e Entry) {
	k := keyOf(kind, h)
	x.now.places[k] = place{e.Seq, e.Time.UnixNano()}
	x.seen.add(k)
	x.next.add(k)
}

// persist takes the older table to the disk, if there is one, and then what is
// in memory beside it if all is wanted.
func (x *Index) persist(all bool) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	for {
		t := x.due(&all)
		if t == nil {
			return nil
		}
		err := x.write(t)
		x.mu.Lock()
		x.older, x.failed = nil, err
		x.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// due answers the table to write next, nil when there is none. What is new
// counts only once, or this would never end.
func (x *Index) due(all *bool) *table {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.older == nil && *all && x.now.through > 0 {
		x.older, x.now = x.now, newTable(0)
		*all = false
	}
	return x.older
}

// write stores a table and says up to where the disk knows the log now.
func (x *Index) write(t *table) error {
	now := time.Now()
	g := x.current(now)
	b := x.db.NewBatchWithSize(len(t.places)*48 + 256)
	defer b.Close()
	if err := t.fill(b, &g, now.Add(-x.window)); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	if g.records > 0 {
		x.put(g)
	}
	_, err := x.db.AsyncFlush()
	return err
}

// stick is called each time that Pebble could not write, which it tries again at
// once, for ever.
func (x *Index) stick(err error) {
	x.stickTo.Do(func() {
		// By its text: the log would have a stack with an error of Pebble.
		x.logger.Error("the index of the log cannot be written", "dir", x.dir, "err", err.Error())
		close(x.stuck)
	})
	if !x.closing.Load() {
		time.Sleep(stickPause)
	}
}

// stickPause is between two tries to write to a disk that refuses.
const stickPause = 100 * time.Millisecond

// closeTime bounds each step of Close.
const closeTime = 5 * time.Second

// Close writes what is in memory and ends. What is asked or applied afterwards is
// answered with ErrClosed, or from memory. What cannot be written, or not in time,
// is dropped: the log has it.
func (x *Index) Close() error {
	x.mu.Lock() // no Apply is under way, and none begins
	x.closing.Store(true)
	x.mu.Unlock()
	var flushed <-chan struct{}
	err := within("write", func() (err error) {
		err = x.persist(true)
		x.wg.Wait()
		done, flush := x.db.AsyncFlush()
		flushed = done
		return errors.Join(err, flush)
	})
	x.using.Lock()
	x.closed = true
	x.using.Unlock()
	if errors.Is(err, errDropped) {
		// Somebody is at the database still: it is left to the end of the process.
		x.dropped(err)
		return nil
	}
	if err == nil {
		if err := x.awaitFlush(flushed); err != nil {
			x.dropped(err)
			_ = within("close", x.db.Close) // which says the same
			return nil
		}
	}
	return errors.Join(err, within("close", x.db.Close))
}

func (x *Index) dropped(err error) {
	x.logger.Warn("the newest of the index is dropped; it is read from the log at the next start", "dir", x.dir, "err", err)
}

// awaitFlush waits for what was begun to go to the disk, but not for one that has
// refused a write: Pebble tries that for ever.
func (x *Index) awaitFlush(flushed <-chan struct{}) error {
	select {
	case <-flushed:
		return nil
	case <-x.stuck:
		return fmt.Errorf("%w: the disk refuses", errDropped)
	case <-time.After(closeTime):
		return fmt.Errorf("%w: it takes longer than %s", errDropped, closeTime)
	}
}

var errDropped = errors.New("index: not written")

// within does something, but not for ever.
func within(what string, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(closeTime):
		return fmt.Errorf("%w: %s takes longer than %s", errDropped, what, closeTime)
	}
}

// pebbleLogger passes on what an operator can act on.
type pebbleLogger struct{ x *Index }

func (p pebbleLogger) Infof(f string, v ...any) {
	p.x.logger.Debug(fmt.Sprintf(f, v...), "from", "index")
}

func (p pebbleLogger) Errorf(f string, v ...any) {
	p.x.logger.Error(fmt.Sprintf(f, v...), "from", "index")
}

// Fatalf is called for what Pebble cannot survive, as a manifest that cannot be
// written, and must not come back. While the index is opened that ends in an error.
// Later it is on a goroutine of Pebble's own, with its locks: a panic would end the
// process in the middle of its stop, and so it stays here.
func (p pebbleLogger) Fatalf(f string, v ...any) {
	if !p.x.opened.Load() {
		panic(fmt.Sprintf("index: "+f, v...))
	}
	err := fmt.Errorf(f, v...)
	_ = p.x.damage(fmt.Errorf("%w: %w", pebble.ErrCorruption, err))
	p.x.stick(err)
	select {}
}
