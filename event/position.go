package event

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"
)

// An Incarnation tells one log from another: a log that was emptied and made
// anew has another one, so that positions in the old are not taken for
// positions in the new.
type Incarnation uint32

// String is five bits a character, as it stands in event names.
func (i Incarnation) String() string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(i))
	return nameEncoding.EncodeToString(b[:])
}

var nameEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ParseIncarnation reads what String wrote.
func ParseIncarnation(s string) (Incarnation, error) {
	b, err := nameEncoding.DecodeString(s)
	if err != nil || len(b) != 4 {
		return 0, errors.New("incarnation is not valid")
	}
	return Incarnation(binary.BigEndian.Uint32(b)), nil
}

const namePrefix = "events/"

// Name answers the resource name of the event at seq.
func Name(inc Incarnation, seq uint64) string {
	return namePrefix + inc.String() + "-" + strconv.FormatUint(seq, 10)
}

// NameOf answers the name of the event at seq: the one that is kept with it, when it
// was imported, else its position's.
func NameOf[T string | []byte](inc Incarnation, seq uint64, kept T) string {
	if len(kept) > 0 {
		return string(kept)
	}
	return Name(inc, seq)
}

// ErrNameInvalid says that a string is not the name of an event.
var ErrNameInvalid = errors.New("not the name of an event")

// ParseName reads what Name wrote.
func ParseName(name string) (Incarnation, uint64, error) {
	id, ok := strings.CutPrefix(name, namePrefix)
	if !ok {
		return 0, 0, ErrNameInvalid
	}
	i, n, ok := strings.Cut(id, "-")
	if !ok {
		return 0, 0, ErrNameInvalid
	}
	inc, err := ParseIncarnation(i)
	if err != nil {
		return 0, 0, ErrNameInvalid
	}
	seq, err := strconv.ParseUint(n, 10, 64)
	if err != nil || seq == 0 || strconv.FormatUint(seq, 10) != n {
		return 0, 0, ErrNameInvalid
	}
	return inc, seq, nil
}

// A Cursor is a position between two events of a log: after Seq. It carries
// what is needed to notice that the log is not the one it was made from.
type Cursor struct {
	// Incarnation of the log.
	Incarnation Incarnation
	// Seq is the sequence of the last event that was looked at, 0 before the
	// first.
	Seq uint64
	// Time is when the event at Seq was stored, to the nanosecond; zero when no
	// event stands there (yet, or any more).
	Time time.Time
}

// cursorVersion is the first byte of an encoded cursor. Another layout gets
// another version; old ones stay readable.
const cursorVersion = 1

const cursorLen = 1 + 4 + 8 + 8 + 1

// ErrCursorInvalid says that a string is not a cursor.
var ErrCursorInvalid = errors.New("not a cursor")

// String is the opaque form that clients keep. It is URL-safe.
func (c Cursor) String() string {
	var out [(cursorLen*8 + 5) / 6]byte
	c.encode(out[:])
	return string(out[:])
}

// AppendTo appends the opaque form to b.
func (c Cursor) AppendTo(b []byte) []byte {
	n := len(b)
	b = append(b, make([]byte, EncodedCursorLen)...)
	c.encode(b[n:])
	return b
}

// EncodedCursorLen is the length of every encoded cursor of this version.
const EncodedCursorLen = (cursorLen*8 + 5) / 6

func (c Cursor) encode(out []byte) {
	var b [cursorLen]byte
	b[0] = cursorVersion
	binary.BigEndian.PutUint32(b[1:], uint32(c.Incarnation))
	binary.BigEndian.PutUint64(b[5:], c.Seq)
	if !c.Time.IsZero() {
		binary.BigEndian.PutUint64(b[13:], uint64(c.Time.UnixNano()))
	}
	b[cursorLen-1] = checksum(b[:cursorLen-1])
	base64.RawURLEncoding.Encode(out, b[:])
}

// ParseCursor reads what String wrote. Anything else is ErrCursorInvalid.
func ParseCursor(s string) (Cursor, error) {
	if len(s) != EncodedCursorLen {
		return Cursor{}, ErrCursorInvalid
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != cursorLen || b[0] != cursorVersion || b[cursorLen-1] != checksum(b[:cursorLen-1]) {
		return Cursor{}, ErrCursorInvalid
	}
	c := Cursor{Incarnation: Incarnation(binary.BigEndian.Uint32(b[1:])), Seq: binary.BigEndian.Uint64(b[5:])}
	if ns := binary.BigEndian.Uint64(b[13:]); ns != 0 {
		c.Time = time.Unix(0, int64(ns))
	}
	return c, nil
}

// checksum finds slips of the hand, such as a cut or mistyped cursor. It is no
// defence: a cursor gives no rights.
func checksum(b []byte) byte {
	var sum byte = 0x5a
	for _, x := range b {
		sum = sum<<1 | sum>>7
		sum ^= x
	}
	return sum
}
