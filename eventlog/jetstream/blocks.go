package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/minio/highwayhash"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// errLayout says that an embedded log's files are not what we take them for, or
// no longer there.
var errLayout = errors.New("the log's files do not lie as expected")

// scanBlocks is Scan for an embedded log: it reads the block files that JetStream
// writes, which costs a fraction of being served by a consumer. It answers the
// sequence that comes next; when the error is errLayout, JetStream has it.
func (s *stream) scanBlocks(ctx context.Context, seq uint64, fn func([]event.Record) error) (next uint64, err error) {
	r, err := openBlocks(s.local.blocks, StreamEvents, seq)
	if err != nil {
		return seq, err
	}
	defer r.close()
	for {
		if ctx.Err() != nil {
			return r.next, context.Cause(ctx)
		}
		if s.e.ctx.Err() != nil {
			return r.next, fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
		}
		recs, err := r.read(s.commit.watermark.Load())
		if err != nil || len(recs) == 0 {
			return r.next, err
		}
		if recs, err = s.shown(recs); err == nil {
			err = fn(recs)
		}
		if err != nil {
			return r.next, err
		}
	}
}

// A blockReader reads the blocks of a stream, one after the other.
//
// Their layout is not an API of the server, and they are written to meanwhile. So
// nothing in them is believed for lying there: a record is taken when its checksum
// is right, whose key is made of the names of stream and block, its sequence is
// the next, and the caller knows that it is complete. Everything else is
// errLayout.
//
//	block:  record...
//	record: length (4 bytes), sequence (8), time (8), length of subject (2), subject,
//	        message, checksum (8)
type blockReader struct {
	dir, stream string
	next        uint64 // the sequence that comes next

	number int
	file   *os.File
	hash   *highwayhash.Digest64
	at     int64  // where in the file
	buf    []byte // room that no record lies in
	mean   int    // of the sizes of records
}

const (
	recordHead    = 4 + 8 + 8 + 2
	recordMin     = recordHead + highwayhash.Size64
	recordMax     = 32 << 20
	recordHeaders = 1 << 31 // in length: a header follows the subject
	recordErased  = 1 << 63 // in sequence
	recordRemoval = 1 << 62 // in sequence: of another record, which retention took
)

// blockRead is how much of a block is read at once at most, and a record more.
const blockRead = 512 << 10

// openBlocks finds the block that has the record of a sequence, which must be
// there. To be closed.
func openBlocks(dir, stream string, seq uint64) (*blockReader, error) {
	r := &blockReader{dir: dir, stream: stream, next: seq, mean: 1 << 10}
	numbers, err := listBlocks(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLayout, err)
	}
	slices.Sort(numbers)
	// Behind the last that does not begin after it.
	i := sort.Search(len(numbers), func(i int) bool {
		first, errFirst := firstInBlock(blockPath(dir, numbers[i]))
		err = errors.Join(err, errFirst)
		return first > seq
	})
	if err == nil && i == 0 {
		err = errors.New("no block has it")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: look for record %d: %w", errLayout, seq, err)
	}
	return r, r.open(numbers[i-1])
}

// listBlocks answers the numbers of the blocks there are. Block 1 may be long gone.
func listBlocks(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var blocks []int
	for _, e := range entries {
		s, ok := strings.CutSuffix(e.Name(), ".blk")
		if n, err := strconv.Atoi(s); ok && err == nil {
			blocks = append(blocks, n)
		}
	}
	return blocks, nil
}

func blockPath(dir string, number int) string {
	return filepath.Join(dir, strconv.Itoa(number)+".blk")
}

// firstInBlock answers the sequence of the first record; of a block that has none
// yet, one that never comes.
func firstInBlock(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // it is only read
	var head [recordHead]byte
	for at := int64(0); ; {
		if _, err := f.ReadAt(head[:], at); err != nil {
			if errors.Is(err, io.EOF) {
				return math.MaxUint64, nil
			}
			return 0, err
		}
		seq := binary.LittleEndian.Uint64(head[4:])
		if seq&recordRemoval == 0 {
			return seq &^ recordErased, nil
		}
		at += int64(max(binary.LittleEndian.Uint32(head[:])&^recordHeaders, recordMin))
	}
}

// open goes to the beginning of a block.
func (r *blockReader) open(number int) error {
	r.close()
	var err error
	if r.file, err = os.Open(blockPath(r.dir, number)); err != nil {
		return fmt.Errorf("%w: %w", errLayout, err)
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", r.stream, number))
	if r.hash, err = highwayhash.NewDigest64(key[:]); err != nil {
		return fmt.Errorf("%w: %w", errLayout, err)
	}
	r.number, r.at = number, 0
	return nil
}

func (r *blockReader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// read answers some records from next on, up to last, all of which JetStream had
// written before the call; none when next is behind it.
func (r *blockReader) read(last uint64) ([]event.Record, error) {
	for need := 0; r.next <= last; {
		b, whole, err := r.fill(need)
		if err != nil {
			return nil, err
		}
		recs, used, err := r.records(b, last)
		switch r.at += int64(used); {
		case len(recs) > 0:
			r.buf, r.mean = nil, max(used/len(recs), recordMin)
			return recs, nil
		case err != nil:
			return nil, err
		case used > 0: // records before next
		case whole:
			need = recordSize(b)
		case len(b) > 0:
			return nil, r.surprise("ends within a record")
		default:
			if err := r.open(r.number + 1); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// fill reads on in the block, need bytes at least. Less than there was room for,
// whole is false then, is its end.
func (r *blockReader) fill(need int) (b []byte, whole bool, err error) {
	// Not more than the scan's batch: its records keep each other in memory.
	size := max(need, min(scanBatch*r.mean, blockRead))
	if len(r.buf) < size {
		r.buf = make([]byte, size)
	}
	n, err := r.file.ReadAt(r.buf, r.at)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, fmt.Errorf("%w: %w", errLayout, err)
	}
	return r.buf[:n], n == len(r.buf), nil
}

// records takes the records from next to last that are complete in b, and says how much
// of b is used with that. The error is about what comes after.
func (r *blockReader) records(b []byte, last uint64) (recs []event.Record, used int, err error) {
	recs = make([]event.Record, 0, len(b)/r.mean+1)
	for r.next <= last {
		size := recordSize(b[used:])
		if size < recordMin || size > recordMax {
			return recs, used, r.surprise("has no record where one should be")
		}
		if size > len(b)-used {
			break
		}
		one := b[used : used+size]
		seq := binary.LittleEndian.Uint64(one[4:])
		if seq&recordRemoval == 0 && seq >= r.next {
			data, ok := r.message(one)
			if !ok || seq != r.next {
				return recs, used, r.surprise("has something else than the next record")
			}
			nanos := int64(binary.LittleEndian.Uint64(one[12:]))
			recs = append(recs, event.Record{Seq: seq, Time: time.Unix(0, nanos).UTC(), Data: data})
			r.next++
		}
		used += size
	}
	return recs, used, nil
}

func (r *blockReader) surprise(what string) error {
	return fmt.Errorf("%w: block %d %s, at %d and before record %d", errLayout, r.number, what, r.at, r.next)
}

// recordSize answers how long the record is that begins here; more than there is
// when that does not even say so.
func recordSize(b []byte) int {
	if len(b) < recordHead {
		return recordHead + recordMin
	}
	return int(binary.LittleEndian.Uint32(b) &^ recordHeaders)
}

// message answers the message of a record, if its checksum is right. A header is
// not expected: nothing of ours has one in an embedded log.
func (r *blockReader) message(one []byte) ([]byte, bool) {
	subject := int(binary.LittleEndian.Uint16(one[20:]))
	body, sum := one[recordHead:len(one)-highwayhash.Size64], one[len(one)-highwayhash.Size64:]
	if subject > len(body) || binary.LittleEndian.Uint32(one)&recordHeaders != 0 {
		return nil, false
	}
	r.hash.Reset()
	// Neither write can fail.
	_, _ = r.hash.Write(one[4:20])
	_, _ = r.hash.Write(body)
	return body[subject:len(body):len(body)], r.hash.Sum64() == binary.LittleEndian.Uint64(sum)
}

// setRecordSize writes how long a record is, keeping what else is said there.
func setRecordSize(b []byte, size int) {
	flags := binary.LittleEndian.Uint32(b) & recordHeaders
	binary.LittleEndian.PutUint32(b, uint32(size)|flags)
}
