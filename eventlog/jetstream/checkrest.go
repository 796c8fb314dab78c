package jetstream

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// unread is a block that was not read before the start.
type unread struct {
	stream *StreamCheck
	number int
}

// restRate is how many bytes a second are read of what was not before the start:
// a few in a hundred of what a disk gives.
const restRate = 32 << 20

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
			e.files.distrust = true
		}
		if !waitFor(e.ctx, time.Duration(size)*time.Second/restRate) {
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

// checkLater looks at one block and answers its size.
func (e *Engine) checkLater(u unread) (int64, error) {
	s := &StreamCheck{Name: u.stream.Name, dir: u.stream.dir}
	c := &Check{Dir: e.opts.Dir, Clean: true, before: &stopped{}, Streams: []*StreamCheck{s}}
	if err := s.checkBlock(c, u.number, false); err != nil {
		return 0, err
	}
	_, size, err := blockSizes(filepath.Join(s.dir, natsBlocks), []int{u.number})
	if err != nil || len(s.Damage) == 0 {
		return size, err
	}
	e.files.distrust = true
	if err := c.keepDamaged(s.Name, blockPath(filepath.Join(s.dir, natsBlocks), u.number)); err != nil {
		return size, err
	}
	if s.Name == StreamEvents {
		if err := e.missingIn(c, s, u.number); err != nil {
			return size, err
		}
	}
	return size, e.files.tell(c, e.opts.DedupWindow, e.logger)
}

// missingIn finds which events of a block are not there: between its records, and
// between them and its neighbours'.
func (e *Engine) missingIn(c *Check, s *StreamCheck, number int) error {
	_, before, err := s.inBlock(c, number-1)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // else it is the first of the log
		return err
	}
	b, err := e.events.Bounds(e.ctx)
	if err != nil {
		return err
	}
	to, _, err := s.inBlock(c, number+1)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	next := max(before+1, b.First)
	for _, r := range append(s.known(), run{max(to, 1), to}) {
		if r.first > next {
			c.Missing = append(c.Missing, eventlog.Missing{From: next, To: r.first - 1, Noticed: now})
		}
		next = max(next, r.last+1)
	}
	return nil
}

// inBlock answers the first and the last sequence that can be read in another block.
func (s *StreamCheck) inBlock(c *Check, number int) (first, last uint64, err error) {
	other := &StreamCheck{Name: s.Name, dir: s.dir}
	err = other.checkBlock(c, number, true)
	return other.First, other.Last, err
}
