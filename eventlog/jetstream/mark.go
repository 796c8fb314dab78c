package jetstream

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Our own files beside those of the server: they say how things stood, so that
// what is gone can be told from what never was.
const (
	// fileStopped is written at the end of an orderly stop, and renamed to fileBefore
	// at the next start: without it everything is looked through.
	fileStopped = "stopped.json"
	fileBefore  = "stopped-before.json"
	// fileBounds holds the first and the highest sequence of the log.
	fileBounds = "bounds"
	// fileMissing holds what the log has lost.
	fileMissing = "missing.json"
	// dirDamaged takes copies of damaged files before they are written anew.
	dirDamaged = "damaged"
)

// stopped is how the streams stood after an orderly stop.
type stopped struct {
	Streams map[string]stoppedStream `json:"streams"`
}

// stoppedStream is one of them.
type stoppedStream struct {
	First  uint64        `json:"first"`
	Last   uint64        `json:"last"`
	Blocks map[int]int64 `json:"blocks"` // their sizes
	// Checked is the block at which the background check was last: it goes on after
	// that.
	Checked int `json:"checked,omitempty"`
}

func readStopped(path string) (*stopped, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := new(stopped)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// markStopped says that the streams lie on the disk as they are now. The server
// must have stopped. Checked says of each how far the background check came.
func markStopped(dir string, checked map[string]int) error {
	names, err := listStreams(dir)
	if err != nil {
		return err
	}
	s := stopped{Streams: make(map[string]stoppedStream)}
	for _, name := range names {
		one, err := stoppedAs(name, blocksDir(dir, name))
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		one.Checked = checked[name]
		s.Streams[name] = one
	}
	if err := syncFiles(dir); err != nil {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, fileStopped), data)
}

func stoppedAs(stream, msgs string) (s stoppedStream, err error) {
	if s.First, s.Last, err = stateBounds(stream, msgs); err != nil {
		return s, err
	}
	numbers, err := listBlocks(msgs)
	if err != nil {
		return s, err
	}
	sizes, _, err := blockSizes(msgs, numbers)
	s.Blocks = make(map[int]int64, len(sizes))
	for i, size := range sizes {
		s.Blocks[numbers[i]] = size
	}
	return s, err
}

// markRunning takes back what markStopped said.
func markRunning(dir string) error {
	err := os.Rename(filepath.Join(dir, fileStopped), filepath.Join(dir, fileBefore))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(dir))
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// bounds are those of the log, as far as they are known.
type bounds struct {
	// last is the highest sequence that was acknowledged.
	last uint64
	// first is the first of the log, and keeps the time until which retention does not
	// drop it, in nanoseconds; 0: that cannot be said.
	first uint64
	keeps int64
}

// mark keeps the bounds of the log for who starts next: they are in the file at
// once, and on the disk when the system pleases.
type mark struct {
	// mu guards the bounds and what is written to the file.
	mu sync.Mutex
	f  *os.File
	bounds
}

const markSize = 8 + 8 + 8 + 4

func openMark(dir string) (*mark, error) {
	f, err := os.OpenFile(filepath.Join(dir, fileBounds), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return &mark{f: f, bounds: readMark(dir)}, nil
}

// begin is told where the log ends, at its start.
func (m *mark) begin(last uint64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = last
	m.write()
}

// setLast never fails: it is a help.
func (m *mark) setLast(seq uint64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq > m.last {
		m.last = seq
		m.write()
	}
}

// setFirst is told where the log begins, and until when it keeps that.
func (m *mark) setFirst(seq uint64, keeps int64) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if seq != m.first {
		m.first, m.keeps = seq, keeps
		m.write()
	}
}

// write is called with mu.
func (m *mark) write() {
	b := make([]byte, 0, markSize)
	for _, v := range []uint64{m.last, m.first, uint64(m.keeps)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	_, _ = m.f.WriteAt(binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)), 0)
}

func (m *mark) close() error {
	if m == nil {
		return nil
	}
	return m.f.Close()
}

// readMark answers nothing when that is not known.
func readMark(dir string) bounds {
	b, err := os.ReadFile(filepath.Join(dir, fileBounds))
	const sum = markSize - 4
	if err != nil || len(b) != markSize || crc32.ChecksumIEEE(b[:sum]) != binary.LittleEndian.Uint32(b[sum:]) {
		return bounds{}
	}
	return bounds{
		last:  binary.LittleEndian.Uint64(b),
		first: binary.LittleEndian.Uint64(b[8:]),
		keeps: int64(binary.LittleEndian.Uint64(b[16:])),
	}
}

// removeFile removes a file that need not be there.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
