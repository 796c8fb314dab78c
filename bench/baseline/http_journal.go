package baseline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"
)

// A journal is an append-only file with group commit: the least that a server
// must do that keeps what it acknowledges. A record is its length, a checksum and
// the body. It never reads what it wrote.
type journal struct {
	file *os.File

	mu      sync.Mutex
	pending []byte // records that no write has begun for
	spare   []byte
	group   *group // of whoever appended them
	wake    chan struct{}

	ended chan struct{}
}

// A group shares one write and one sync.
type group struct {
	done chan struct{}
	err  error
}

func newGroup() *group { return &group{done: make(chan struct{})} }

var errClosed = errors.New("baseline: the journal is closed")

func openJournal(name string) (*journal, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	j := &journal{file: f, group: newGroup(), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go j.commit(j.wake)
	return j, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append answers when the body is on the disk. Who comes while a sync runs
// shares the next.
func (j *journal) append(body []byte) error {
	j.mu.Lock()
	if j.wake == nil {
		j.mu.Unlock()
		return errClosed
	}
	j.pending = binary.LittleEndian.AppendUint32(j.pending, uint32(len(body)))
	j.pending = binary.LittleEndian.AppendUint32(j.pending, crc32.Checksum(body, castagnoli))
	j.pending = append(j.pending, body...)
	g := j.group
	select {
	case j.wake <- struct{}{}:
	default:
	}
	j.mu.Unlock()
	<-g.done
	return g.err
}

func (j *journal) commit(wake <-chan struct{}) {
	defer close(j.ended)
	for range wake {
		records, g := j.drain()
		if len(records) == 0 {
			continue
		}
		if _, g.err = j.file.Write(records); g.err == nil {
			g.err = datasync(j.file)
		}
		close(g.done)
	}
}

func (j *journal) drain() ([]byte, *group) {
	j.mu.Lock()
	defer j.mu.Unlock()
	records, g := j.pending, j.group
	j.pending, j.spare = j.spare[:0], records
	j.group = newGroup()
	return records, g
}

// close commits what was appended.
func (j *journal) close() error {
	j.mu.Lock()
	wake := j.wake
	j.wake = nil
	j.mu.Unlock()
	if wake == nil {
		return nil
	}
	close(wake)
	<-j.ended
	return j.file.Close()
}
