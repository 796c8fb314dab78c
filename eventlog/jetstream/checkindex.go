package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/index"
)

// IndexCheck is what was found of the index, by which repetitions are told, when it
// was held against the log.
type IndexCheck struct {
	// Applied is the number up to which the index knows the log. What comes after it
	// is looked at when the gateway starts.
	Applied uint64
	// Anew says why the index is made anew from the log at the next start; empty when
	// it is not.
	Anew string
	// Events of the log that it should know, and those of them that it does not know
	// or for which it has another: a repetition of these would be published again, or
	// taken for one of something else.
	Events, Differ int
	// First is the number of the first that differs; 0: none does.
	First uint64
}

// CheckIndex holds the index of a data directory that no gateway uses against its
// log. With repair, one that differs is removed: the next start makes it anew. It
// answers nil when the log is not in the directory.
func CheckIndex(dir string, repair bool) (_ *IndexCheck, err error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	if _, err := os.Stat(filepath.Join(streamsDir(dir), StreamEvents)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	at := filepath.Join(dir, indexDir)
	found := new(IndexCheck)
	incarnation, err := incarnationIn(dir)
	if err != nil {
		found.Anew = "the description of the log cannot be read" // which is told as damage
		return found, nil
	}
	r, err := index.Read(at, uint32(incarnation))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found.Anew = "there is none"
		return found, nil
	case errors.Is(err, index.ErrOther), errors.Is(err, index.ErrDamaged):
		found.Anew = err.Error()
		return found, nil
	case err != nil:
		return nil, err
	}
	c := &indexChecker{IndexCheck: found, index: r, later: make(map[uint64]index.Hash)}
	if err := errors.Join(c.walk(dir), r.Close()); err != nil {
		return nil, fmt.Errorf("check the index: %w", err)
	}
	if c.Differ > 0 && repair {
		if err := os.RemoveAll(at); err != nil {
			return nil, fmt.Errorf("remove the index: %w", err)
		}
		found.Anew = "it was removed"
	}
	return found, nil
}

// incarnationIn answers the incarnation of the log in a data directory.
func incarnationIn(dir string) (event.Incarnation, error) {
	meta, err := os.ReadFile(filepath.Join(streamsDir(dir), StreamEvents, natsMeta))
	if err != nil {
		return 0, err
	}
	var v struct {
		Metadata map[string]string `json:"metadata"`
	}
	if err := json.Unmarshal(meta, &v); err != nil {
		return 0, err
	}
	return event.ParseIncarnation(v.Metadata[incarnationKey])
}

// indexChecker asks the index about each event of the log.
type indexChecker struct {
	*IndexCheck
	index *index.Reader
	// later are the keys for which the index has a later event than that which was
	// looked at, by its number: it must have the same key, unless it is lost.
	later map[uint64]index.Hash
	last  uint64
}

func (c *indexChecker) walk(dir string) error {
	c.Applied = c.index.Applied
	msgs := blocksDir(dir, StreamEvents)
	numbers, err := listBlocks(msgs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if err := c.block(blockPath(msgs, n), n); err != nil {
			return err
		}
	}
	if c.Applied > c.last && c.last > 0 && c.Anew == "" {
		c.Anew = fmt.Sprintf("it knows the log up to number %d, which ends at %d", c.Applied, c.last)
	}
	return nil
}

func (c *indexChecker) block(path string, number int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	hash, err := blockHash(StreamEvents, number)
	if err != nil {
		return err
	}
	for _, r := range checkBlock(data, hash).good {
		c.last = max(c.last, r.seq)
		if r.removal || r.erased {
			continue
		}
		one, _ := parseRecord(data[r.from:r.to])
		_, e, err := unkeep(event.Record{Seq: r.seq, Time: time.Unix(0, r.nanos).UTC(), Data: one.message})
		if err != nil || e.Key == (index.Hash{}) {
			continue // passed over, or where something was lost
		}
		if err := c.entry(e); err != nil {
			return err
		}
	}
	return nil
}

// entry looks at one event: the index must have it, or a later one of its key.
func (c *indexChecker) entry(e index.Entry) error {
	if want, ok := c.later[e.Seq]; ok {
		delete(c.later, e.Seq)
		if want != e.Key {
			c.differs(e.Seq)
		}
	}
	if e.Seq > c.Applied || c.index.Oldest.IsZero() || e.Time.Before(c.index.Oldest) {
		return nil
	}
	c.Events++
	seq, ok, err := c.index.Key(e.Key)
	switch {
	case err != nil:
		return err
	case !ok || seq < e.Seq:
		c.differs(e.Seq)
	case seq > e.Seq:
		c.later[seq] = e.Key
	}
	return nil
}

func (c *indexChecker) differs(seq uint64) {
	c.Differ++
	if c.First == 0 || seq < c.First {
		c.First = seq
	}
}
