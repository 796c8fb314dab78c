package jetstream

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// ErrDamaged says that files of the data directory are damaged that must not be
// done without.
var ErrDamaged = errors.New("the data directory is damaged")

// Damage is one place in the data directory that is not what was written there.
type Damage struct {
	// Stream it belongs to.
	Stream string
	// File, from the data directory on.
	File string
	// Offset and Length of the bytes that are no record; of a whole file, 0.
	Offset, Length int64
	// After and Before are the sequences of the records around the bytes, 0 for none.
	After, Before uint64
	// What is wrong.
	What string
}

func (d Damage) String() string {
	s := fmt.Sprintf("%s: %s", d.File, d.What)
	if d.Length > 0 {
		s += fmt.Sprintf(", %d bytes at %d", d.Length, d.Offset)
	}
	switch {
	case d.After != 0 && d.Before != 0:
		s += fmt.Sprintf(", between records %d and %d", d.After, d.Before)
	case d.After != 0:
		s += fmt.Sprintf(", after record %d", d.After)
	case d.Before != 0:
		s += fmt.Sprintf(", before record %d", d.Before)
	}
	return s
}

// StreamCheck is what was found of one stream.
type StreamCheck struct {
	Name    string
	Blocks  int
	Bytes   int64
	Records int
	// First and Last sequence; 0 when there is none.
	First, Last uint64
	Damage      []Damage
	// Torn bytes lie at the end: a crash cut off what was never acknowledged.
	Torn int64

	dir      string
	given    uint64 // the highest sequence that is known to have been given
	repairs  []blockRepair
	metaLost bool
	present  []run // of sequences that are there or were removed on purpose, in order
	nanos    int64 // time of the last record
}

// blockRepair is a block that is to be written anew.
type blockRepair struct {
	number int
	data   []byte // what can be read of it; none: it goes
}

// Check is what was found in a data directory.
type Check struct {
	// Dir that was looked at.
	Dir string
	// Format of the directory; nil when it was not looked at.
	Format *Format `json:",omitempty"`
	// Clean: the gateway that used it had stopped in order.
	Clean bool
	// Streams in the order of their names.
	Streams []*StreamCheck
	// Missing is what the log has lost that was not noticed before.
	Missing []eventlog.Missing
	// Partial: blocks that are as large as they were at the orderly stop were not
	// read, of streams larger than asked for.
	Partial bool
	// Index held against the log; nil when it was not, or there is no log.
	Index *IndexCheck `json:",omitempty"`

	before *stopped
	unread []unread
	index  *indexChecker // of the events; nil: it is not looked at
}

// checkDir looks at all streams of a data directory that nobody uses. After an
// orderly stop, of streams larger than large bytes only the newest block is read;
// 0: all of all. The index, when there is one, is held against the events that are read.
func checkDir(dir string, large int64, index *indexChecker) (*Check, error) {
	c := &Check{Dir: dir, index: index}
	var err error
	if c.before, err = readStopped(filepath.Join(dir, fileStopped)); err == nil {
		c.Clean = true
	} else if c.before, err = readStopped(filepath.Join(dir, fileBefore)); err != nil {
		c.before = &stopped{}
	}
	names, err := listStreams(dir)
	if err != nil {
		return nil, fmt.Errorf("check the data directory: %w", err)
	}
	for name := range c.before.Streams {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	names = slices.DeleteFunc(names, isLoose)
	slices.Sort(names)
	for _, name := range names {
		s, err := c.checkStream(name, large)
		if err != nil {
			return nil, fmt.Errorf("check stream %s: %w", name, err)
		}
		c.Streams = append(c.Streams, s)
	}
	return c, c.findMissing()
}

func (c *Check) checkStream(name string, large int64) (*StreamCheck, error) {
	s := &StreamCheck{Name: name, dir: filepath.Join(streamsDir(c.Dir), name)}
	_, gone := os.Stat(s.dir)
	if err := checkMeta(name, s.dir); err != nil {
		// Without all of it there is nothing to be kept from.
		s.metaLost = isBucket(name) || gone == nil
		s.damage(c, natsMeta, Damage{What: "the description of the stream cannot be read: " + plain(err)})
	}
	msgs := filepath.Join(s.dir, natsBlocks)
	numbers, err := listBlocks(msgs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	slices.Sort(numbers)
	s.Blocks = len(numbers)
	before, known := c.before.Streams[name]
	s.given = before.Last
	if _, last, err := stateBounds(name, msgs); err == nil {
		s.given = max(s.given, last)
	}
	if c.Clean && known {
		s.compare(c, before, numbers)
	}
	sizes, total, err := blockSizes(msgs, numbers)
	if err != nil {
		return nil, err
	}
	s.Bytes = total
	for i, n := range numbers {
		newest := i == len(numbers)-1
		if size, ok := before.Blocks[n]; c.Clean && ok && size == sizes[i] && large > 0 && total > large && !newest && !isBucket(name) {
			c.Partial, c.unread = true, append(c.unread, unread{stream: s, number: n})
			continue
		}
		if err := s.checkBlock(c, n, newest); err != nil {
			return nil, err
		}
	}
	if isBucket(name) && s.Last < s.given && len(s.Damage) == 0 {
		s.damage(c, natsBlocks, Damage{What: fmt.Sprintf("the files end earlier than they did, at %d of %d", s.Last, s.given)})
	}
	return s, nil
}

// plain is an error without the path, which is said already.
func plain(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func blockSizes(msgs string, numbers []int) (sizes []int64, total int64, err error) {
	for _, n := range numbers {
		info, err := os.Stat(blockPath(msgs, n))
		if err != nil {
			return nil, 0, err
		}
		sizes, total = append(sizes, info.Size()), total+info.Size()
	}
	return sizes, total, nil
}

func (s *StreamCheck) damage(c *Check, file string, d Damage) {
	d.Stream = s.Name
	d.File = filepath.Join(s.dir, file)
	if rel, err := filepath.Rel(c.Dir, d.File); err == nil {
		d.File = rel
	}
	s.Damage = append(s.Damage, d)
}

func blockFile(number int) string { return blockPath(natsBlocks, number) }

// compare holds the blocks against those that an orderly stop left.
func (s *StreamCheck) compare(c *Check, before stoppedStream, numbers []int) {
	for _, n := range slices.Sorted(maps.Keys(before.Blocks)) {
		info, err := os.Stat(filepath.Join(s.dir, blockFile(n)))
		switch {
		case !slices.Contains(numbers, n):
			s.damage(c, blockFile(n), Damage{What: "the file is gone"})
		case err == nil && info.Size() < before.Blocks[n]:
			s.damage(c, blockFile(n), Damage{What: fmt.Sprintf("the file was cut: %d of %d bytes", info.Size(), before.Blocks[n])})
		}
	}
}

func (s *StreamCheck) checkBlock(c *Check, number int, newest bool) error {
	path := filepath.Join(s.dir, blockFile(number))
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	hash, err := blockHash(s.Name, number)
	if err != nil {
		return err
	}
	found := checkBlock(data, hash)
	if s.Name == StreamEvents {
		if err := c.index.add(data, found); err != nil {
			return err
		}
	}
	whole := s.add(found)
	bad := found.bad
	if found.torn && newest && !c.Clean {
		// The server's to cut off: it was never acknowledged.
		s.Torn = int64(bad[len(bad)-1].to - bad[len(bad)-1].from)
		bad = bad[:len(bad)-1]
	}
	if len(bad) == 0 && whole {
		return nil
	}
	for _, b := range bad {
		s.damage(c, blockFile(number), around(found, b))
	}
	if !whole {
		s.damage(c, blockFile(number), Damage{What: "the length of a record was wrong and is known"})
	}
	s.repairs = append(s.repairs, blockRepair{number, found.readable(data)})
	return nil
}

// add counts the records of a block; false when one is not as it should lie.
func (s *StreamCheck) add(found blockCheck) (whole bool) {
	whole = true
	s.Records += len(found.good)
	for _, r := range found.good {
		whole = whole && !r.mended
		s.nanos = max(s.nanos, r.nanos)
		if r.seq == 0 {
			continue
		}
		s.Last = max(s.Last, r.seq)
		if !r.removal && !r.erased && (s.First == 0 || r.seq < s.First) {
			s.First = r.seq
		}
		s.note(r.seq)
	}
	return whole
}

// note adds a sequence to those that are known.
func (s *StreamCheck) note(seq uint64) {
	if n := len(s.present); n > 0 && s.present[n-1].last+1 == seq {
		s.present[n-1].last = seq
		return
	}
	s.present = append(s.present, run{seq, seq})
}

func around(found blockCheck, bad span) Damage {
	d := Damage{What: "no record can be read", Offset: int64(bad.from), Length: int64(bad.to - bad.from)}
	for _, r := range found.good {
		switch {
		case r.removal:
		case r.to <= bad.from:
			d.After = r.seq
		case d.Before == 0:
			d.Before = r.seq
		}
	}
	return d
}

// readable is the block with what can be read of it.
func (c blockCheck) readable(data []byte) []byte {
	var out []byte
	for _, r := range c.good {
		from := len(out)
		out = append(out, data[r.from:r.to]...)
		if r.mended {
			setRecordSize(out[from:], r.to-r.from)
		}
	}
	return out
}

// events answers the check of the log; nil when there is none.
func (c *Check) events() *StreamCheck {
	for _, s := range c.Streams {
		if s.Name == StreamEvents {
			return s
		}
	}
	return nil
}

// findMissing finds the events that are neither there nor dropped by retention.
func (c *Check) findMissing() error {
	s := c.events()
	if s == nil || c.Partial && len(s.Damage) == 0 {
		return nil
	}
	if c.Partial { // what was not read is needed to tell what is gone
		full, err := checkDir(c.Dir, 0, nil)
		if err == nil {
			*c = *full
		}
		return err
	}
	mark, now := readMark(c.Dir), time.Now().UTC()
	s.given = max(s.given, mark.last)
	add := func(from, to uint64) {
		if from <= to {
			c.Missing = append(c.Missing, eventlog.Missing{From: from, To: to, Noticed: now})
		}
	}
	runs := s.known()
	if first := c.began(mark, now); first != 0 && (len(runs) == 0 || runs[0].first > first) {
		runs = append([]run{{first - 1, first - 1}}, runs...)
	}
	for i := 1; i < len(runs); i++ {
		add(runs[i-1].last+1, runs[i].first-1)
	}
	last := s.Last
	if len(runs) > 0 {
		last = max(last, runs[len(runs)-1].last)
	}
	add(last+1, s.given)
	return nil
}

// began answers the first sequence that the log had and that retention did not drop,
// 0 when that is not known.
func (c *Check) began(m bounds, now time.Time) uint64 {
	before, ok := c.before.Streams[StreamEvents]
	switch {
	case ok && c.Clean && before.First != 0 && before.First <= before.Last:
		return before.First
	case !c.Clean && m.first <= m.last && m.keeps > now.UnixNano():
		return m.first
	}
	return 0
}

// known answers the runs of sequences that are there, or were removed one by one
// on purpose, from the first that is there: what a removal says of others was
// retention.
// run is a range of sequences, both ends included.
type run struct{ first, last uint64 }

func (s *StreamCheck) known() []run {
	var runs []run
	for _, r := range s.present {
		if r.first = max(r.first, s.First); s.First != 0 && r.first <= r.last {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
	var out []run
	for _, r := range runs {
		if n := len(out); n > 0 && r.first <= out[n-1].last+1 {
			out[n-1].last = max(out[n-1].last, r.last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Damaged reports whether anything is damaged or missing.
func (c *Check) Damaged() bool {
	return len(c.Missing) > 0 || slices.ContainsFunc(c.Streams, func(s *StreamCheck) bool { return len(s.Damage) > 0 })
}

// refusal answers why the gateway must not start as things are.
func (c *Check) refusal() error {
	var lines []string
	for _, s := range c.Streams {
		if !isBucket(s.Name) && !s.metaLost {
			continue
		}
		for _, d := range s.Damage {
			lines = append(lines, d.String())
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%w, and the gateway would forget what it was told: %s; restore the data directory from a backup, "+
		"or run \"hookstream doctor --repair --data-dir %s\", which keeps what can be read and says what is lost",
		ErrDamaged, strings.Join(lines, "; "), c.Dir)
}
