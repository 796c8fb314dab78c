package history

import (
	"context"
	"crypto/rand"
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

	"github.com/hookstream/hookstream/event"
)

// Store is what is known of a log. All methods may be called from many goroutines at
// once, Apply from one.
type Store struct {
	dir         string
	incarnation event.Incarnation
	logger      *slog.Logger
	key         [keySize]byte
	span        uint64 // positions of a segment

	// mu guards what follows. Nobody holds it while a file is read or written.
	mu       sync.RWMutex
	segments []*segment // by position; only the last is added to. Never changed in place
	applied  uint64
	first    uint64           // what the log begins with; nothing before it is answered
	numbers  map[Route]uint16 // of the last segment's routes
	moved    chan struct{}    // closed when applied grows

	head atomic.Uint64 // the last position of the log that was heard of

	// writing is held while files are written or removed. It is taken before mu.
	writing sync.Mutex
}

// keySize is that of the secret under which texts are hashed: nobody can make one
// that has the hash of another.
const keySize = 16

// ErrElsewhere says that records do not follow what the store knows: see Applied.
var ErrElsewhere = errors.New("history: the records do not follow")

// Open opens the store in dir for the log of an incarnation that ends at last. What
// is of another log, knows more than the log holds, or cannot be read is removed: the
// log has all of it.
func Open(dir string, inc event.Incarnation, last uint64, logger *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	s := &Store{dir: dir, incarnation: inc, logger: logger, span: span, moved: make(chan struct{})}
	if err := s.loadKey(); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if err := s.load(last); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	return s, nil
}

// loadKey reads the secret, or makes one, with which what there was is of no use.
func (s *Store) loadKey() error {
	path := filepath.Join(s.dir, "key")
	if b, err := os.ReadFile(path); err == nil && len(b) == keySize {
		copy(s.key[:], b)
		return nil
	}
	if err := s.removeAll(); err != nil {
		return err
	}
	_, _ = rand.Read(s.key[:]) // it never fails
	return os.WriteFile(path, s.key[:], 0o600)
}

// hash stands for a text. It is never 0.
func (s *Store) hash(text string) uint64 {
	h := sha256.New()
	_, _ = h.Write(s.key[:])
	_, _ = h.Write([]byte(text))
	var room [sha256.Size]byte
	return max(1, binary.BigEndian.Uint64(h.Sum(room[:0])))
}

// Applied is the position up to which the log is known.
func (s *Store) Applied() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.applied
}

// Await waits until the log is known up to a position, but not for longer than a time,
// and not where much is missing. It answers how many are.
func (s *Store) Await(ctx context.Context, seq uint64, atMost time.Duration) uint64 {
	over := time.NewTimer(atMost)
	defer over.Stop()
	for {
		s.mu.RLock()
		applied, moved := s.applied, s.moved
		s.mu.RUnlock()
		missing := seq - min(seq, applied)
		if missing == 0 || missing > worthScan {
			return missing
		}
		select {
		case <-moved:
		case <-over.C:
			return missing
		case <-ctx.Done():
			return missing
		}
	}
}

// Apply adds records of the log from a position on, which must follow what is known, up
// to and with through: what is not among them is not there. ErrElsewhere: they do not
// follow. Another error is of the disk; what was given is known all the same, unless
// maxUnwritten segments wait for the disk.
func (s *Store) Apply(from uint64, recs []event.Record, through uint64) error {
	if len(s.unwritten()) >= maxUnwritten {
		if err := s.write(); err != nil {
			return err
		}
	}
	type hashed struct {
		Row
		entity, id uint64
	}
	rows := make([]hashed, 0, len(recs))
	for _, rec := range recs {
		row, ok := RowOf(rec)
		if !ok {
			continue
		}
		h := hashed{Row: row}
		if id := idOf(row.Entity); id != "" {
			h.entity = s.hash(id)
		}
		if row.ID != "" {
			h.id = s.hash(row.ID)
		}
		rows = append(rows, h)
	}
	s.mu.Lock()
	if from > s.applied+1 {
		s.mu.Unlock()
		return ErrElsewhere
	}
	for _, row := range rows {
		if row.Seq <= s.applied {
			continue
		}
		s.add(row.Row, row.entity, row.id)
		s.applied = row.Seq
	}
	s.applied = max(s.applied, through)
	close(s.moved)
	s.moved = make(chan struct{})
	s.mu.Unlock()
	return s.write()
}

// add adds a row. The caller holds mu.
func (s *Store) add(row Row, entity, id uint64) {
	g := s.last()
	if g == nil || row.Seq-g.first >= s.span || s.numbers == nil || s.numbers[row.Route] == 0 && len(s.numbers) == maxRoutes {
		g = s.begin(row.Seq)
	}
	c := g.columns.Load()
	nanos := row.Time.UnixNano()
	for g.next < row.Seq {
		c.append(c.times[len(c.times)-1], 0, 0, 0, 0)
		g.next++
	}
	number := s.numbers[row.Route]
	if number == 0 {
		c.known = append(c.known, row.Route)
		number = uint16(len(c.known))
		s.numbers[row.Route] = number
	}
	state := uint8(min(max(row.State, 0), maxStates-1))
	c.append(nanos, number, state, entity, id)
	g.note(nanos, state)
	g.next++
}

func (c *columns) append(nanos int64, route uint16, state uint8, entity, id uint64) {
	c.times = append(c.times, nanos)
	c.routes = append(c.routes, route)
	c.states = append(c.states, state)
	c.entities = append(c.entities, entity)
	c.ids = append(c.ids, id)
}

// last answers the segment that is added to, nil if the next row begins one.
func (s *Store) last() *segment {
	if len(s.segments) == 0 {
		return nil
	}
	return s.segments[len(s.segments)-1]
}

// begin begins a segment, and with that seals the one before.
func (s *Store) begin(seq uint64) *segment {
	g := &segment{first: seq, sealed: sealed{next: seq}}
	if before := s.last(); before != nil {
		g.before = before.next
	}
	g.columns.Store(new(columns))
	s.segments = append(slices.Clip(s.segments), g)
	s.numbers = make(map[Route]uint16)
	return g
}

// view is a segment as it was at one moment.
type view struct {
	*segment
	sealed
	columns *columns // nil: in the file
}

// views answers all segments, and where the log begins.
func (s *Store) views() ([]view, uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]view, 0, len(s.segments))
	for i, g := range s.segments {
		v := viewNow(g)
		if i == len(s.segments)-1 {
			v.hours = slices.Clone(v.hours)
		}
		out = append(out, v)
	}
	return out, s.first
}

// viewNow answers a segment as it is; its hours are those of the segment. The caller
// holds mu.
func viewNow(g *segment) view {
	v := view{segment: g, sealed: g.sealed}
	if c := g.columns.Load(); c != nil {
		copied := *c // what is added later lies behind
		v.columns = &copied
	}
	return v
}

// Drop forgets what the log no longer holds: all before first, of which nothing more
// has to be known.
func (s *Store) Drop(first uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	n := 0
	for n < len(s.segments) && s.segments[n].next <= first {
		n++
	}
	gone := s.segments[:n]
	if s.segments = s.segments[n:]; len(s.segments) == 0 {
		s.numbers = nil
	}
	s.first, s.applied = max(s.first, first), max(s.applied, first-1)
	s.mu.Unlock()
	return s.remove(gone)
}

// damaged forgets a segment that cannot be read and all that follow it, so that they
// are made anew: see ErrElsewhere.
func (s *Store) damaged(g *segment, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	i := slices.Index(s.segments, g)
	if i < 0 {
		s.mu.Unlock()
		return // dropped, or noticed before
	}
	gone := s.segments[i:]
	s.segments, s.applied, s.numbers = slices.Clip(s.segments[:i]), max(g.before, 1)-1, nil
	s.mu.Unlock()
	s.logger.Error("a part of the history cannot be read; it is made anew from the log", "from", g.first, "err", err)
	if err := s.remove(gone); err != nil {
		s.logger.Warn("a part of the history cannot be removed", "err", err)
	}
}

// maxUnwritten bounds the sealed segments in memory, of some 2 MB each: with as many,
// nothing more is known until the disk has taken them.
const maxUnwritten = 4

// unwritten are the sealed segments that are not on the disk.
func (s *Store) unwritten() (due []*segment) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, g := range s.segments[:max(len(s.segments), 1)-1] {
		if g.columns.Load() != nil {
			due = append(due, g)
		}
	}
	return due
}

// write takes sealed segments to the disk. One that is refused stays in memory until
// it is tried again.
func (s *Store) write() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	for _, g := range s.unwritten() {
		if err := s.writeSegment(g); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
		g.columns.Store(nil)
	}
	return nil
}

// Close writes what is sealed. What is not, or cannot be written, is read from the log
// at the next start.
func (s *Store) Close() {
	if err := s.write(); err != nil {
		s.logger.Warn("the newest of the history is dropped; it is read from the log at the next start", "err", err)
	}
}
