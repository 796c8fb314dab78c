package jetstream

import (
	"bytes"
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
	if size == 0 {
		size = recordSize(b)
	}
	if size < recordMin || size > recordMax || size > len(b) {
		return r, false
	}
	one, fits := parseRecord(b[:size])
	r = checkedRecord{span: span{at, at + size}, seq: one.seq, nanos: one.nanos, erased: one.erased, removal: one.removal}
	// Cheap, before the hash: bytes by chance are looked at from every place.
	if !fits || w.last > 0 && r.seq > w.last+maxJump || r.nanos < 0 && r.nanos != natsNoTime || r.seq == 0 && !r.erased {
		return r, false
	}
	return r, plausible(&one) && one.sound(w.hash)
}

// maxJump is how far the next sequence in a block may be ahead of the last.
const maxJump = math.MaxUint32

// plausible looks at what no checksum covers: where the subject ends, and the
// headers.
func plausible(r *natsRecord) bool {
	for _, c := range r.subject {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return r.headers == nil || bytes.HasPrefix(r.headers, []byte("NATS/1.0")) && bytes.HasSuffix(r.headers, []byte("\r\n\r\n"))
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
	return recordSize(b) > len(b) || bytes.Equal(b[len(b)-highwayhash.Size64:], make([]byte, highwayhash.Size64))
}
