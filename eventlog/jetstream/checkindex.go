package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// openIndex answers what holds the index of a data directory against the events of
// its log while these are looked at; nil when there is nothing to hold, and then
// found says why.
func openIndex(dir string) (_ *indexChecker, found *IndexCheck, err error) {
	if _, err := os.Stat(filepath.Join(streamsDir(dir), StreamEvents)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	found = new(IndexCheck)
	incarnation, err := incarnationIn(dir)
	if err != nil {
		found.Anew = "the description of the log cannot be read" // which is told as damage
		return nil, found, nil                                   //nolint:nilerr // found says it
	}
	r, err := index.Read(filepath.Join(dir, indexDir), uint32(incarnation))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found.Anew = "there is none"
		return nil, found, nil
	case errors.Is(err, index.ErrOther), errors.Is(err, index.ErrDamaged):
		found.Anew = err.Error()
		return nil, found, nil
	case err != nil:
		return nil, nil, err
	}
	found.Applied = r.Applied
	return &indexChecker{IndexCheck: found, index: r, later: make(map[uint64]index.Hash)}, found, nil
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

// add looks at the events of a block; the blocks come in order.
func (c *indexChecker) add(data []byte, found blockCheck) error {
	if c == nil {
		return nil
	}
	for _, r := range found.good {
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
			return fmt.Errorf("check the index: %w", err)
		}
	}
	return nil
}

// end says whether the index knows more than there is.
func (c *indexChecker) end() error {
	if c == nil {
		return nil
	}
	if c.Applied > c.last && c.last > 0 && c.Anew == "" {
		c.Anew = fmt.Sprintf("it knows the log up to number %d, which ends at %d", c.Applied, c.last)
	}
	return c.index.Close()
}

// remove removes an index that differs.
func (c *IndexCheck) remove(dir string) error {
	if c == nil || c.Differ == 0 {
		return nil
	}
	if err := os.RemoveAll(filepath.Join(dir, indexDir)); err != nil {
		return fmt.Errorf("remove the index: %w", err)
	}
	c.Anew = "it was removed"
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
