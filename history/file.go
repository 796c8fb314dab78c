package history

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unsafe"

	"github.com/hookstream/hookstream/event"
)

// layout is the form of the files. One of another form is made anew.
const layout = 1

// The parts of a file, in their order.
const (
	partTimes = iota
	partRoutes
	partStates
	partEntities
	partIDs
	partKnown
	partFences // of entities, then of ids
	parts
)

// header begins a file: its length and sum, then this as JSON. It is small, and read
// at each start.
type header struct {
	Layout      int               `json:"layout"`
	Incarnation event.Incarnation `json:"incarnation"`
	Before      uint64            `json:"before"`
	First       uint64            `json:"first"`
	Next        uint64            `json:"next"`
	Earliest    int64             `json:"earliest"`
	Latest      int64             `json:"latest"`
	Hours       []fileHour        `json:"hours"`
	Parts       [parts]part       `json:"parts"`
}

type fileHour struct {
	Start  int64             `json:"start"`
	Counts [maxStates]uint32 `json:"counts"`
}

// part is a run of bytes behind the header.
type part struct {
	At  int64  `json:"at"`
	Len int64  `json:"len"`
	Sum uint32 `json:"sum"`
}

// errDamaged says that a file is not what was written.
var errDamaged = errors.New("history: the file is damaged")

const suffix = ".segment"

func (s *Store) path(g *segment) string { return pathOf(s.dir, g.first) }

func pathOf(dir string, first uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, suffix))
}

// wire is the content of a column as it lies on the disk: little-endian.
func wire[T uint8 | uint16 | int64 | uint64](column []T) []byte {
	var b bytes.Buffer
	b.Grow(len(column) * int(unsafe.Sizeof(*new(T))))
	_ = binary.Write(&b, binary.LittleEndian, column) // to memory
	return b.Bytes()
}

func unwire[T uint8 | uint16 | int64 | uint64](b []byte) ([]T, error) {
	out := make([]T, len(b)/int(unsafe.Sizeof(*new(T))))
	if _, err := binary.Decode(b, binary.LittleEndian, out); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return out, nil
}

// writeSegment writes a file beside its place and moves it there: what is at its
// place is whole, unless the machine stopped, which its sums tell.
func (s *Store) writeSegment(g *segment) error {
	c := g.columns.Load()
	entities, entityFences := pages(c.sorted(ofEntity))
	ids, idFences := pages(c.sorted(ofID))
	known, err := json.Marshal(c.known)
	if err != nil {
		return err
	}
	pieces := [parts][]byte{
		partTimes: wire(c.times), partRoutes: wire(c.routes), partStates: wire(c.states),
		partEntities: entities, partIDs: ids, partKnown: known, partFences: append(wire(entityFences), wire(idFences)...),
	}
	h := header{
		Layout: layout, Incarnation: s.incarnation, Before: g.before, First: g.first, Next: g.next,
		Earliest: g.earliest, Latest: g.latest,
	}
	for _, hour := range g.hours {
		h.Hours = append(h.Hours, fileHour{hour.start, hour.counts})
	}
	var at int64
	for i, piece := range pieces {
		h.Parts[i] = part{At: at, Len: int64(len(piece)), Sum: crc32.Checksum(piece, castagnoli)}
		at += int64(len(piece))
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(text, castagnoli))
	g.place = &place{base: int64(len(head) + len(text)), parts: h.Parts, fences: [2][]uint64{entityFences, idFences}}
	if len(c.known) <= knownInMemory {
		g.place.known = c.known
	}
	temporary := s.path(g) + ".new"
	content := slices.Concat(append([][]byte{head, text}, pieces[:]...)...)
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return os.Rename(temporary, s.path(g))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// load reads the headers. What does not follow what is before it is removed, with
// all behind it.
func (s *Store) load(last uint64) error {
	names, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		return err
	}
	sort.Strings(names) // by position, for the numbers are of one length
	good := true
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			if strings.HasSuffix(name, ".new") {
				_ = os.Remove(name) // it is written over when the segment is
			}
			continue
		}
		g, err := s.loadSegment(name)
		if err == nil && good && g.follows(s.last()) && g.next-1 <= last {
			s.segments, s.applied = append(s.segments, g), g.next-1
			continue
		}
		if good {
			s.logger.Warn("a part of the history is made anew from the log", "file", name, "err", err)
		}
		good = false
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// follows reports whether nothing is missing between two segments.
func (g *segment) follows(before *segment) bool { return before == nil || before.next == g.before }

func (s *Store) loadSegment(path string) (*segment, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	h, base, err := readHeader(f)
	if err != nil {
		return nil, err
	}
	if h.Layout != layout || h.Incarnation != s.incarnation || path != pathOf(s.dir, h.First) || h.Next <= h.First || h.Next-h.First > span {
		return nil, errors.New("it is of another log or release")
	}
	g := &segment{
		first: h.First, before: h.Before, place: &place{base: base, parts: h.Parts},
		sealed: sealed{next: h.Next, earliest: h.Earliest, latest: h.Latest},
	}
	for _, hr := range h.Hours {
		g.hours = append(g.hours, hour{hr.Start, hr.Counts})
	}
	return g, g.place.load(&file{path, f, g.place})
}

// maxHeader bounds what is read of a damaged file.
const maxHeader = 64 << 20

// readHeader answers the header and where the parts begin.
func readHeader(f *os.File) (h header, base int64, err error) {
	var head [8]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return h, 0, fmt.Errorf("%w: %w", errDamaged, err)
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > maxHeader {
		return h, 0, errDamaged
	}
	text := make([]byte, size)
	if _, err := f.ReadAt(text, 8); err != nil || crc32.Checksum(text, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return h, 0, fmt.Errorf("%w: the header: %w", errDamaged, err)
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return h, 0, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return h, 8 + int64(size), nil
}

// removeAll removes all that is known.
func (s *Store) removeAll() error {
	names, err := filepath.Glob(filepath.Join(s.dir, "*"+suffix+"*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// remove removes the files of segments that are no longer in the store.
func (s *Store) remove(gone []*segment) (err error) {
	for _, g := range gone {
		if e := os.Remove(s.path(g)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// place is where the columns of a sealed segment lie, and what of them stays in memory.
type place struct {
	base   int64
	parts  [parts]part
	fences [2][]uint64 // the first hash of each page
	known  []Route     // nil: too many
}

// knownInMemory is how many routes of a segment stay in memory.
const knownInMemory = 256

// load reads what stays in memory.
func (p *place) load(f *file) error {
	fences, err := column[uint64](f, partFences)
	if err != nil {
		return err
	}
	n := int(p.parts[partEntities].Len) / pageSize
	if n > len(fences) {
		return errDamaged
	}
	p.fences = [2][]uint64{fences[:n], fences[n:]}
	known, err := f.routesKnown()
	if len(known) <= knownInMemory {
		p.known = known
	}
	return err
}

// Sorted hashes lie in pages, each with its sum, so that one is looked for in one of
// them: rows of a hash and an offset.
const (
	pageSize = 4096
	rowSize  = 8 + 2
	pageRows = (pageSize - 4) / rowSize
	pageData = pageRows * rowSize
)

// pages answers sorted hashes with their offsets as pages, and the first hash of each.
func pages(hashes []uint64, offsets []uint16) (out []byte, fences []uint64) {
	for at := 0; at < len(hashes); at += pageRows {
		page := make([]byte, 0, pageSize)
		fences = append(fences, hashes[at])
		for i := at; i < min(at+pageRows, len(hashes)); i++ {
			page = binary.LittleEndian.AppendUint64(page, hashes[i])
			page = binary.LittleEndian.AppendUint16(page, offsets[i])
		}
		page = page[:pageData] // a hash of 0 is none
		page = binary.LittleEndian.AppendUint32(page, crc32.Checksum(page, castagnoli))
		out = append(out, page[:pageSize]...)
	}
	return out, fences
}

// file reads the columns of a sealed segment. It is opened when something is read that
// does not lie in memory: a look-up goes through hundreds of segments that say nothing.
type file struct {
	path string
	f    *os.File // nil: not opened
	*place
}

func (f *file) readAt(b []byte, at int64) (err error) {
	if f.f == nil {
		if f.f, err = os.Open(f.path); err != nil {
			return err
		}
	}
	if _, err := f.f.ReadAt(b, f.base+at); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

func (f *file) close() {
	if f.f != nil {
		_ = f.f.Close() // only read
	}
}

func (f *file) read(n int) ([]byte, error) {
	p := f.parts[n]
	if p.Len < 0 || p.Len > maxHeader {
		return nil, errDamaged
	}
	b := make([]byte, p.Len)
	if err := f.readAt(b, p.At); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != p.Sum {
		return nil, errDamaged
	}
	return b, nil
}

func column[T uint8 | uint16 | int64 | uint64](f *file, n int) ([]T, error) {
	b, err := f.read(n)
	if err != nil {
		return nil, err
	}
	return unwire[T](b)
}

func (f *file) routesKnown() (out []Route, err error) {
	if f.known != nil {
		return f.known, nil
	}
	b, err := f.read(partKnown)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return out, nil
}

func (f *file) routeColumn() ([]uint16, error) { return column[uint16](f, partRoutes) }
func (f *file) stateColumn() ([]uint8, error)  { return column[uint8](f, partStates) }
func (f *file) timeColumn() ([]int64, error)   { return column[int64](f, partTimes) }

// find reads the pages that may hold a hash: mostly one.
func (f *file) find(kind hashKind, hash uint64, to *set) error {
	fences := f.fences[kind]
	at, _ := slices.BinarySearch(fences, hash) // the first that begins with it, or behind it
	for n := max(at, 1) - 1; n < len(fences) && fences[n] <= hash; n++ {
		page := make([]byte, pageSize)
		if err := f.readAt(page, f.parts[partEntities+int(kind)].At+int64(n)*pageSize); err != nil {
			return err
		}
		if binary.LittleEndian.Uint32(page[pageData:]) != crc32.Checksum(page[:pageData], castagnoli) {
			return errDamaged
		}
		for row := page[:pageData]; len(row) > 0; row = row[rowSize:] {
			if binary.LittleEndian.Uint64(row) == hash {
				to.add(int(binary.LittleEndian.Uint16(row[8:])))
			}
		}
	}
	return nil
}
