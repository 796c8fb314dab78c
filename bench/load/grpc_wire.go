package load

import (
	"errors"

	"google.golang.org/grpc/mem"
)

// errWire says that a message is not what it should be.
var errWire = errors.New("load: the message is not valid Protobuf")

// wire reads a message where it lies, in the buffers that gRPC received: joining
// them would cost the load as much as the server needs to send them.
type wire struct {
	rest mem.BufferSlice
	cur  []byte
	left int // bytes after what was read
}

func newWire(data mem.BufferSlice) wire { return wire{rest: data, left: data.Len()} }

// fill makes the next buffer that is not empty the current one.
func (w *wire) fill() bool {
	for len(w.cur) == 0 {
		if len(w.rest) == 0 {
			return false
		}
		w.cur, w.rest = w.rest[0].ReadOnlyData(), w.rest[1:]
	}
	return true
}

func (w *wire) varint() (v uint64, err error) {
	for shift := 0; shift < 64; shift += 7 {
		if !w.fill() {
			return 0, errWire
		}
		b := w.cur[0]
		w.cur, w.left = w.cur[1:], w.left-1
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v, nil
		}
	}
	return 0, errWire
}

// size reads a length, which the message must have room for.
func (w *wire) size() (int, error) {
	n, err := w.varint()
	if err != nil || n > uint64(w.left) {
		return 0, errWire
	}
	return int(n), nil
}

// skip passes over n bytes. The caller knows that they are there.
func (w *wire) skip(n int) {
	w.left -= n
	for n > len(w.cur) {
		n -= len(w.cur)
		w.cur = nil
		w.fill()
	}
	w.cur = w.cur[n:]
}

// copy fills into. The caller knows that the bytes are there.
func (w *wire) copy(into []byte) {
	w.left -= len(into)
	for len(into) > 0 && w.fill() {
		n := copy(into, w.cur)
		into, w.cur = into[n:], w.cur[n:]
	}
}

// Tags of fields that hold bytes, as they stand on the wire.
const (
	tagResponseBatch    = 3<<3 | 2
	tagBatchDelivery    = 1<<3 | 2
	tagDeliveryCursor   = 1<<3 | 2
	wireTypeBytes       = 2
	wireTypeMask        = 7
	wireTypeVarint      = 0
	cursorSeqFirst      = 6  // the character of a cursor in which its sequence begins
	cursorSeqCharacters = 12 // and those it spans
)

// field reads a tag and, when the field holds bytes, its length. Nothing that is
// read here has fields of fixed size.
func (w *wire) field() (tag uint64, n int, err error) {
	if tag, err = w.varint(); err != nil {
		return 0, 0, err
	}
	switch tag & wireTypeMask {
	case wireTypeBytes:
		n, err = w.size()
	case wireTypeVarint:
		_, err = w.varint()
	default:
		err = errWire
	}
	return tag, n, err
}

// eachDelivery calls f with the size and the sequence of every delivery of a
// SubscribeResponse.
func eachDelivery(data mem.BufferSlice, f func(bytes int, seq uint64)) error {
	w := newWire(data)
	for w.left > 0 {
		tag, n, err := w.field()
		if err != nil {
			return err
		}
		if tag != tagResponseBatch {
			w.skip(n)
			continue
		}
		for end := w.left - n; w.left > end; {
			tag, n, err := w.field()
			if err != nil || tag != tagBatchDelivery {
				return errWire
			}
			seq, err := w.delivery(n)
			if err != nil {
				return err
			}
			f(n, seq)
		}
	}
	return nil
}

// delivery passes over a Delivery of n bytes and answers the sequence in its
// cursor.
func (w *wire) delivery(n int) (seq uint64, err error) {
	for end := w.left - n; w.left > end; {
		tag, n, err := w.field()
		if err != nil {
			return 0, err
		}
		if tag != tagDeliveryCursor {
			w.skip(n)
			continue
		}
		if n < cursorSeqFirst+cursorSeqCharacters {
			return 0, errWire
		}
		var text [cursorSeqCharacters]byte
		w.skip(cursorSeqFirst)
		w.copy(text[:])
		w.skip(n - cursorSeqFirst - cursorSeqCharacters)
		seq = cursorSeq(text)
	}
	return seq, nil
}

// cursorSeq reads the sequence out of a cursor without decoding the rest: it is
// bytes 5 to 12 of what the base64 stands for, and the characters given are
// those from the one in which byte 5 begins. A test holds it against
// event.ParseCursor.
func cursorSeq(text [cursorSeqCharacters]byte) uint64 {
	var bits uint64
	// The first character holds four bits of the byte before, the last one four
	// of the byte after.
	bits = uint64(base64Bits[text[0]] & 0x03)
	for _, c := range text[1 : cursorSeqCharacters-1] {
		bits = bits<<6 | uint64(base64Bits[c])
	}
	return bits<<2 | uint64(base64Bits[text[cursorSeqCharacters-1]]>>4)
}

// base64Bits are the six bits that a character of URL-safe base64 stands for.
var base64Bits = func() (bits [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range len(alphabet) {
		bits[alphabet[i]] = byte(i)
	}
	return bits
}()
