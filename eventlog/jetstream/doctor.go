package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/hookstream/hookstream/eventlog"
)

// CheckDir looks through a data directory that no gateway uses, unless it is of a later
// layout, which is refused: the description of
// each stream, each record of it, the numbers of the log, and the index, which is
// held against it. With repair, what is damaged is written anew without what cannot
// be read, buckets too, after a copy was put into the directory "damaged"; what is
// lost is kept in mind for the gateway; and an index that differs is removed, so that
// the next start makes it anew. The answer says how things stood before.
func CheckDir(dir string, repair bool) (_ *Check, err error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	format, err := checkFormat(dir)
	if err != nil {
		return nil, err
	}
	with, found, err := openIndex(dir)
	if err != nil {
		return nil, err
	}
	c, err := checkDir(dir, 0, with)
	if err := errors.Join(err, with.end()); err != nil {
		return nil, err
	}
	c.Index, c.Format = found, &format
	f := files{dir: dir}
	if f.missing, err = openMissing(dir); err != nil {
		return nil, err
	}
	if c.Missing = f.missing.news(c.Missing); !repair {
		return c, nil
	}
	if c.Damaged() {
		err = f.tellAndRepair(c, forgetMissing, slog.New(slog.DiscardHandler))
	}
	return c, errors.Join(err, c.Index.remove(dir))
}

// forgetMissing is how long the doctor keeps in mind what is missing; the gateway
// knows better and forgets sooner.
const forgetMissing = 10 * 365 * 24 * time.Hour

// Known answers what the log of a data directory had lost before.
func Known(dir string) ([]eventlog.Missing, error) {
	m, err := openMissing(dir)
	if err != nil {
		return nil, err
	}
	return m.all(), nil
}

// Copies answers where copies of damaged files lie.
func (c *Check) Copies() string { return filepath.Join(c.Dir, dirDamaged) }
