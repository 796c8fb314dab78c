package jetstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Repair writes what is damaged anew, without what cannot be read, after copying
// it to the directory "damaged"; and has the log go on after the highest number
// that was ever given. It must be the only one who uses the directory.
func (c *Check) repair() error {
	for _, s := range c.Streams {
		if err := c.repairStream(s); err != nil {
			return fmt.Errorf("repair stream %s: %w", s.Name, err)
		}
	}
	if !c.Damaged() {
		return nil
	}
	return errors.Join(removeFile(filepath.Join(c.Dir, fileStopped)), removeFile(filepath.Join(c.Dir, fileBefore)))
}

func (c *Check) repairStream(s *StreamCheck) error {
	if s.metaLost {
		if err := c.repairMeta(s); err != nil {
			return err
		}
	}
	short := s.given > s.Last && !isBucket(s.Name)
	if len(s.repairs) == 0 && len(s.Damage) == 0 && !short {
		return nil
	}
	msgs := filepath.Join(s.dir, natsBlocks)
	if err := os.MkdirAll(msgs, 0o700); err != nil {
		return err
	}
	for _, r := range s.repairs {
		if err := c.keepDamaged(s.Name, blockPath(msgs, r.number)); err != nil {
			return err
		}
		if err := r.write(msgs); err != nil {
			return err
		}
	}
	// Last: until then the server would believe it.
	if short {
		if err := s.goOn(msgs); err != nil {
			return err
		}
	}
	if err := removeFile(filepath.Join(msgs, natsState)); err != nil {
		return err
	}
	return syncDir(msgs)
}

// repairMeta makes the checksum of a description that can be used still, and in the
// place of one that cannot a bare one, for the blocks that are there: the gateway
// brings it up to date.
func (c *Check) repairMeta(s *StreamCheck) error {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) || checkMeta(s.Name, s.dir) == nil {
		return nil // there is nothing to describe, or nothing wrong
	}
	path := filepath.Join(s.dir, natsMeta)
	meta, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !usableMeta(s.Name, meta) {
		if err == nil {
			if err := c.keepDamaged(s.Name, path); err != nil {
				return err
			}
		}
		if meta, err = bareMeta(s.Name, meta); err != nil {
			return err
		}
		if err := replaceFile(path, meta); err != nil {
			return err
		}
	}
	sum, err := metaSum(s.Name, meta)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(s.dir, natsMetaSum), []byte(sum))
}

// keepDamaged copies a file to where nobody writes.
func (c *Check) keepDamaged(stream, path string) error {
	dir := filepath.Join(c.Dir, dirDamaged)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	name := stream + "-" + strconv.FormatInt(time.Now().UnixNano(), 10) + "-" + filepath.Base(path)
	if err := replaceFile(filepath.Join(dir, name), data); err != nil {
		return fmt.Errorf("keep a copy of what is damaged: %w", err)
	}
	return nil
}

// write puts the block in place. One that nothing is left of goes: the server
// takes it for the end of the stream.
func (r blockRepair) write(msgs string) error {
	if len(r.data) == 0 {
		return removeFile(blockPath(msgs, r.number))
	}
	return replaceFile(blockPath(msgs, r.number), r.data)
}

// goOn adds a block that says up to where numbers were given: of the log a record
// that stands for what was lost, elsewhere the removal of the last, as the server
// writes itself.
func (s *StreamCheck) goOn(msgs string) error {
	numbers, err := listBlocks(msgs)
	if err != nil {
		return err
	}
	number := 1
	if len(numbers) > 0 {
		number = slices.Max(numbers) + 1
	}
	hash, err := blockHash(s.Name, number)
	if err != nil {
		return err
	}
	nanos := max(s.nanos, time.Now().UnixNano())
	var data []byte
	if s.Name == StreamEvents {
		tail := make([]byte, keptTail)
		tail[keptTail-1] = keptLost
		data = appendRecord(nil, hash, s.given, nanos, EventSubject("", "", ""), tail)
	} else {
		data = appendRecord(nil, hash, s.given|recordRemoval, nanos, "", nil)
	}
	return replaceFile(blockPath(msgs, number), data)
}
