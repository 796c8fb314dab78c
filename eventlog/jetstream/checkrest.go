package jetstream

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// unread is a block that was not read before the start.
type unread struct {
	stream *StreamCheck
	number int
	newest bool // it is being written to
}

// restRate is how many bytes a second are read of what was not before the start:
// a few in a hundred of what a disk gives.
var restRate int64 = 32 << 20 // a test has less

// checkRest reads, while the log is used, the blocks that the start left out. What
// is damaged is told as at the start; the server, which has the files, is not in
// the way of a copy. The next start reads everything and writes it anew.
func (e *Engine) checkRest() {
	began := time.Now()
	for _, u := range e.files.unread {
		size, err := e.checkLater(u)
		switch {
		case errors.Is(err, fs.ErrNotExist): // retention took it
		case err != nil:
			e.logger.Error("a block of the log cannot be looked at", "stream", u.stream.Name, "block", u.number, "err", err)
			e.files.distrust.Store(true)
		}
		e.files.checkedMu.Lock()
		e.files.checked[u.stream.Name] = u.number
		e.files.checkedMu.Unlock()
		if !waitFor(e.ctx, time.Duration(size)*time.Second/time.Duration(restRate)) {
			return
		}
	}
	e.logger.Debug("the rest of the data directory was checked", "blocks", len(e.files.unread), "took", time.Since(began))
}

// waitFor waits, and reports whether it did to the end.
func waitFor(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// checkLater looks at one block and answers its size. One of the log that is gone,
// though the log begins before it ended, was not retention's to take.
func (e *Engine) checkLater(u unread) (int64, error) {
	s := &StreamCheck{Name: u.stream.Name, dir: u.stream.dir}
	c := &Check{Dir: e.opts.Dir, Clean: !u.newest, before: &stopped{}, Streams: []*StreamCheck{s}}
	path := blockPath(filepath.Join(s.dir, natsBlocks), u.number)
	err := s.checkBlock(c, u.number, u.newest)
	gone := errors.Is(err, fs.ErrNotExist) && s.Name == StreamEvents
	if err != nil && !gone {
		return 0, err
	}
	size := int64(0)
	if info, err := os.Stat(path); err == nil {
		size = info.Size()
	}
	if !gone && len(s.Damage) == 0 {
		return size, nil
	}
	if s.Name == StreamEvents {
		if err := e.missingIn(c, s, u.number); err != nil {
			return size, err
		}
	}
	switch {
	case !gone && !e.files.knows(s.Damage):
		if err := c.keepDamaged(s.Name, path); err != nil {
			return size, err
		}
	case gone && len(c.Missing) == 0:
		return 0, nil // retention took it
	case gone:
		s.damage(c, blockFile(u.number), Damage{What: "the file is gone"})
	}
	e.files.distrust.Store(true)
	return size, e.files.tell(c, e.opts.DedupWindow, e.logger)
}

// missingIn finds which events of a block are not there: between its records, and
// between them and those of the blocks around it that there are.
func (e *Engine) missingIn(c *Check, s *StreamCheck, number int) error {
	before, after, err := s.around(c, number)
	if err != nil {
		return err
	}
	// Asked afterwards: retention may have taken what was before.
	b, err := e.events.ends(e.ctx)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	next := max(before+1, b.First)
	runs := s.known()
	if after != 0 {
		runs = append(runs, run{after, after})
	}
	for _, r := range runs {
		if r.first > next {
			c.Missing = append(c.Missing, eventlog.Missing{From: next, To: r.first - 1, Noticed: now})
		}
		next = max(next, r.last+1)
	}
	return nil
}

// around answers the last sequence that can be read before a block, and the first
// after it; 0: there is none.
func (s *StreamCheck) around(c *Check, number int) (before, after uint64, err error) {
	numbers, err := listBlocks(filepath.Join(s.dir, natsBlocks))
	if err != nil {
		return 0, 0, err
	}
	slices.Sort(numbers)
	i, there := slices.BinarySearch(numbers, number)
	lower, higher := numbers[:i], numbers[i:]
	if there {
		higher = higher[1:]
	}
	for ; len(lower) > 0 && before == 0 && err == nil; lower = lower[:len(lower)-1] {
		_, before, err = s.inBlock(c, lower[len(lower)-1])
	}
	for ; len(higher) > 0 && after == 0 && err == nil; higher = higher[1:] {
		after, _, err = s.inBlock(c, higher[0])
	}
	return before, after, err
}

// inBlock answers the first and the last sequence that can be read in another block;
// 0 when there is none, or retention has just taken it.
func (s *StreamCheck) inBlock(c *Check, number int) (first, last uint64, err error) {
	other := &StreamCheck{Name: s.Name, dir: s.dir}
	if err = other.checkBlock(c, number, true); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return other.First, other.Last, err
}
