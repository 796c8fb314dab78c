package simulator

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strconv"

	"github.com/google/uuid"
)

// A Placeholder is a text of the examples that becomes another one in every
// webhook, or in every story: what a sender would make anew.
type Placeholder struct {
	Text string
	// Fresh makes another text of the kind; nil for what is known only when it is
	// sent.
	Fresh func(*rand.Rand) string
}

// Pick picks one.
func Pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// NewUUID makes a UUID of version 4 that is the same again for the same seed.
func NewUUID(r *rand.Rand) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	id, _ := uuid.NewRandomFromReader(bytes.NewReader(b[:])) // there are enough bytes
	return id.String()
}

// HexDigits makes n of them.
func HexDigits(r *rand.Rand, n int) string {
	digits := make([]byte, n)
	for i := range digits {
		digits[i] = "0123456789abcdef"[r.IntN(16)]
	}
	return string(digits)
}

// Numbered makes references of an integrator, as they count them.
func Numbered(prefix string) func(*rand.Rand) string {
	return func(r *rand.Rand) string { return prefix + strconv.Itoa(10_000+r.IntN(9_990_000)) }
}
