package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

const barrierSupported = true

// blockBarrier fsyncs the message blocks of a JetStream file store through
// descriptors of its own: an fsync covers all dirty pages of the file, whoever
// wrote them.
//
// The layout of the blocks is not an API. So every sync checks that the files
// it knows have grown by what was acknowledged, and that the newest still is the
// file of that name; when not (another layout, a block rewritten), the whole
// file system is synced instead, which needs no knowledge, and after a few
// times in a row for good.
type blockBarrier struct {
	dir    string
	dirFD  int
	logger *slog.Logger

	last   int         // the newest block; all before it are sealed and synced
	open   map[int]int // block number to descriptor
	sizes  map[int]int64
	ahead  int64 // growth that was synced before it was acknowledged to us
	missed int   // syncs in a row that did not find the files as expected

	onSynced func(block int, size int64)    // for tests
	openFile func(path string) (int, error) // for tests that are without descriptors
}

// maxAhead bounds what the group that is being written may be ahead of the
// group that is being synced. Without a bound, the headers that JetStream adds
// would pile up until the check could not fail.
const maxAhead = 4 * maxGroupBytes

// maxMissed is how often in a row the layout may surprise us before we stop
// relying on it.
const maxMissed = 3

// newBlockBarrier makes durable all that earlier processes left, and starts
// from there.
func newBlockBarrier(dir string, logger *slog.Logger) (barrier, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the stream's directory: %w", err)
	}
	b := &blockBarrier{dir: dir, dirFD: fd, logger: logger, openFile: openRW}
	if err := b.restart(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return b, nil
}

// restart syncs the file system and takes the blocks as they are now.
func (b *blockBarrier) restart() error {
	b.closeBlocks()
	b.ahead = 0
	blocks, err := listBlocks(b.dir)
	if noDescriptor(err) {
		return b.syncAll() // and looked for again next time
	}
	if err != nil {
		return err
	}
	// Opened and measured before the sync: what is written while it runs must
	// not be taken for synced growth.
	if len(blocks) > 0 {
		b.last = slices.Max(blocks)
		if _, err := b.openBlock(b.last); err != nil && !noDescriptor(err) {
			return err
		}
	}
	return b.syncAll()
}

// noDescriptor reports an error that says nothing of the disk: there are too many
// open files, or too little memory, at this moment. The whole file system can be
// synced all the same, for which we hold a descriptor.
func noDescriptor(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

func (b *blockBarrier) syncAll() error {
	if err := unix.Syncfs(b.dirFD); err != nil {
		return fmt.Errorf("syncfs: %w", err)
	}
	return nil
}

// openBlock opens block n unless it is; false when there is none.
func (b *blockBarrier) openBlock(n int) (bool, error) {
	if _, ok := b.open[n]; ok {
		return true, nil
	}
	fd, err := b.openFile(blockPath(b.dir, n))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	size, err := fileSize(fd)
	if err != nil {
		unix.Close(fd)
		return false, err
	}
	b.open[n], b.sizes[n] = fd, size
	return true, nil
}

func openRW(path string) (int, error) { return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) }

func fileSize(fd int) (int64, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st.Size, err
}

// sync finds the last block first and syncs afterwards: a block that has a
// successor is sealed, so what is synced after the successor was seen is
// complete. The other way round loses the bytes that are appended to a block
// between its fsync and the look for the next.
func (b *blockBarrier) sync(wrote int64) error {
	if b.missed >= maxMissed {
		return b.syncAll()
	}
	last, err := b.findLast()
	if noDescriptor(err) {
		// Growth and what was acknowledged meet again in the next sync.
		b.ahead -= wrote
		return b.syncAll()
	}
	if err != nil {
		return err
	}
	grown, err := b.syncBlocks(last)
	if err != nil {
		return err
	}
	b.ahead = min(b.ahead+grown-wrote, maxAhead)
	if b.ahead < 0 || !b.inPlace(last) {
		return b.surprised()
	}
	b.missed = 0
	return nil
}

// findLast opens the blocks that came since the last sync.
func (b *blockBarrier) findLast() (int, error) {
	last := b.last
	for {
		ok, err := b.openBlock(last + 1)
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		last++
		b.sizes[last] = 0 // all that is in a new block was written since
	}
	if last > b.last { // new directory entries
		if err := unix.Fsync(b.dirFD); err != nil {
			return 0, fmt.Errorf("fsync of the stream's directory: %w", err)
		}
	}
	return last, nil
}

// syncBlocks syncs the blocks up to last and answers by how much they had grown
// when their sync began.
func (b *blockBarrier) syncBlocks(last int) (grown int64, err error) {
	for n := b.last; n <= last; n++ {
		fd, ok := b.open[n]
		if !ok {
			continue
		}
		size, err := fileSize(fd)
		if err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(fd); err != nil {
			return 0, fmt.Errorf("fdatasync of a block: %w", err)
		}
		if b.onSynced != nil {
			b.onSynced(n, size)
		}
		grown += size - b.sizes[n]
		b.sizes[n] = size
		if n < last {
			b.closeBlock(n)
		}
	}
	b.last = last
	return grown, nil
}

// inPlace reports whether our descriptor of block n is the file of that name:
// JetStream rewrites a block into a new file and renames it.
func (b *blockBarrier) inPlace(n int) bool {
	fd, ok := b.open[n]
	if !ok {
		return false
	}
	var ours, named unix.Stat_t
	return unix.Fstat(fd, &ours) == nil && unix.Stat(blockPath(b.dir, n), &named) == nil &&
		ours.Ino == named.Ino && ours.Dev == named.Dev
}

// surprised syncs everything, because the files are not what we took them for.
func (b *blockBarrier) surprised() error {
	b.missed++
	if b.missed >= maxMissed {
		b.logger.Warn("the log's files do not lie as expected; from now on the whole file system is synced, which is slower", "dir", b.dir)
	}
	return b.restart()
}

func (b *blockBarrier) closeBlock(n int) {
	unix.Close(b.open[n])
	delete(b.open, n)
	delete(b.sizes, n)
}

func (b *blockBarrier) closeBlocks() {
	for _, fd := range b.open {
		unix.Close(fd)
	}
	b.open, b.sizes = make(map[int]int), make(map[int]int64)
}

func (b *blockBarrier) close() {
	b.closeBlocks()
	unix.Close(b.dirFD)
}

// fsBarrier syncs the whole file system: for what is written rarely, and whose
// blocks JetStream rewrites.
type fsBarrier struct{ dirFD int }

func newFSBarrier(dir string, _ *slog.Logger) (barrier, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the stream's directory: %w", err)
	}
	return fsBarrier{fd}, nil
}

func (b fsBarrier) sync(int64) error { return unix.Syncfs(b.dirFD) }

func (b fsBarrier) close() { unix.Close(b.dirFD) }

// syncFiles has all that was written to the file system of a directory on the disk.
func syncFiles(dir string) error {
	b, err := newFSBarrier(dir, nil)
	if err != nil {
		return err
	}
	defer b.close()
	return b.sync(0)
}
