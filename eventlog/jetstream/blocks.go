package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sort"
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
		if seq, _, removal := recordSeq(head[:]); !removal {
			return seq, nil
		}
		at += int64(max(recordSize(head[:]), recordMin))
	}
}

// open goes to the beginning of a block.
func (r *blockReader) open(number int) error {
	r.close()
	var err error
	if r.file, err = os.Open(blockPath(r.dir, number)); err != nil {
		return fmt.Errorf("%w: %w", errLayout, err)
	}
	if r.hash, err = blockHash(r.stream, number); err != nil {
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
		one, fits := parseRecord(b[used : used+size])
		if !one.removal && (one.seq >= r.next || one.erased) {
			if !fits || one.erased || one.seq != r.next || !r.ours(&one) {
				return recs, used, r.surprise("has something else than the next record")
			}
			recs = append(recs, event.Record{Seq: one.seq, Time: time.Unix(0, one.nanos).UTC(), Data: one.message})
			r.next++
		}
		used += size
	}
	return recs, used, nil
}

func (r *blockReader) surprise(what string) error {
	return fmt.Errorf("%w: block %d %s, at %d and before record %d", errLayout, r.number, what, r.at, r.next)
}

// ours reports whether a record is sound and of the kind that we write: nothing of
// ours has headers in an embedded log.
func (r *blockReader) ours(one *natsRecord) bool { return one.headers == nil && one.sound(r.hash) }
