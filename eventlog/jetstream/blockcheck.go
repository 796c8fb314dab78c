package jetstream

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/minio/highwayhash"
)

// A blockCheck is what a walk over the bytes of one block found.
type blockCheck struct {
	// good are the records that can be read, in the order they lie in.
	good []checkedRecord
	// bad are the bytes between that are none.
	bad []span
	// torn: the last of bad may be what a crash left of a record that was being
	// written. Nothing can be read behind it.
	torn bool
}

// checkedRecord is a record whose checksum is right.
type checkedRecord struct {
	span
	seq     uint64
	nanos   int64
	erased  bool
	removal bool // of the record seq
	// mended: its length was wrong, and is known.
	mended bool
}

type span struct{ from, to int }

// checkBlock reads the bytes of a block record by record. Where there is none it
// goes on at the next place at which a whole one begins.
func checkBlock(data []byte, hash *highwayhash.Digest64) (c blockCheck) {
	w := blockWalk{data: data, hash: hash}
	for at := 0; at < len(data); {
		r, ok := w.record(at, 0)
		if !ok {
			end := w.nextRecord(at)
			if r, ok = w.record(at, end-at); ok {
				r.mended = true
			} else {
				c.bad = append(c.bad, span{at, end})
				c.torn = end == len(data) && w.maybeTorn(at)
				at = end
				continue
			}
		}
		w.last = max(w.last, r.seq)
		c.good = append(c.good, r)
		at = r.to
	}
	return c
}

type blockWalk struct {
	data []byte
	hash *highwayhash.Digest64
	last uint64 // the highest sequence so far
}

// record answers the record that begins at a place, with the length that it says
// itself, or another.
func (w *blockWalk) record(at, size int) (r checkedRecord, ok bool) {
	b := w.data[at:]
	if len(b) < recordMin {
		return r, false
	}
	length := binary.LittleEndian.Uint32(b)
	if size == 0 {
		size = int(length &^ recordHeaders)
	}
	if size < recordMin || size > recordMax || size > len(b) {
		return r, false
	}
	b = b[:size]
	seq := binary.LittleEndian.Uint64(b[4:])
	r = checkedRecord{
		span: span{at, at + size}, seq: seq &^ (recordErased | recordRemoval),
		nanos:  int64(binary.LittleEndian.Uint64(b[12:])),
		erased: seq&recordErased != 0, removal: seq&recordRemoval != 0,
	}
	// Cheap, before the hash: bytes by chance are looked at from every place.
	if w.last > 0 && r.seq > w.last+maxJump || r.nanos < 0 || r.seq == 0 && !r.erased {
		return r, false
	}
	return r, w.sound(b, length&recordHeaders != 0)
}

// maxJump is how far the next sequence in a block may be ahead of the last.
const maxJump = math.MaxUint32

// sound reports whether the checksum is right, and so is what it does not cover:
// where the subject ends, and the length of the headers.
func (w *blockWalk) sound(b []byte, headers bool) bool {
	subject := int(binary.LittleEndian.Uint16(b[20:]))
	body, sum := b[recordHead:len(b)-highwayhash.Size64], b[len(b)-highwayhash.Size64:]
	if subject > len(body) {
		return false
	}
	rest := body[subject:]
	if headers {
		if len(rest) < 4 {
			return false
		}
		size := int(binary.LittleEndian.Uint32(rest))
		if rest = rest[4:]; size > len(rest) || !bytes.HasPrefix(rest[:size], []byte("NATS/1.0")) || !bytes.HasSuffix(rest[:size], []byte("\r\n\r\n")) {
			return false
		}
	}
	for _, c := range body[:subject] {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	w.hash.Reset()
	// No write can fail.
	_, _ = w.hash.Write(b[4:20])
	_, _ = w.hash.Write(body[:subject])
	_, _ = w.hash.Write(rest)
	return w.hash.Sum64() == binary.LittleEndian.Uint64(sum)
}

// nextRecord answers where after a place the next record begins that can be read;
// the end when there is none.
func (w *blockWalk) nextRecord(at int) int {
	for at++; at+recordMin <= len(w.data); at++ {
		if _, ok := w.record(at, 0); ok {
			return at
		}
	}
	return len(w.data)
}

// maybeTorn reports whether what begins at a place, and after which nothing can be
// read, may be the first part of a record: it is shorter than it says, or ends
// with bytes that never came to the disk. A whole one that is wrong is not.
func (w *blockWalk) maybeTorn(at int) bool {
	b := w.data[at:]
	if len(b) < recordMin {
		return true
	}
	size := int(binary.LittleEndian.Uint32(b) &^ recordHeaders)
	return size > len(b) || bytes.Equal(b[len(b)-highwayhash.Size64:], make([]byte, highwayhash.Size64))
}
