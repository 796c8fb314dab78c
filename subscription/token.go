package subscription

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"strings"
	"sync"
	"time"
)

// token says which delivery is meant, and since it is signed, that it was made
// by a gateway of ours.
type token struct {
	uid        string
	generation int
	replay     bool
	seq        uint64 // of the event, or of the replayed entry
	turn       uint64 // of the queue
	attempt    int    // as the queue counts
	hand       uint64 // number of the delivery at its home
	home       string
	deadline   time.Time // by the clock that all gateways have
}

// signer makes tokens, and reads those that were made with the same key. It keeps
// HMAC states: setting one up costs as much again as using it.
type signer struct{ states sync.Pool }

func newSigner(key []byte) *signer {
	return &signer{states: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

const (
	tokenVersion = 1
	tokenMAC     = 16
)

var errToken = errors.New("not a token of ours")

func (s *signer) sign(t token) string {
	b := make([]byte, 0, 96)
	b = append(b, tokenVersion)
	if t.replay {
		b[0] |= 0x80
	}
	for _, text := range [...]string{t.uid, t.home} {
		b = append(b, byte(len(text)))
		b = append(b, text...)
	}
	for _, n := range [...]uint64{uint64(t.generation), t.seq, t.turn, uint64(t.attempt), t.hand, uint64(t.deadline.UnixMilli())} {
		b = binary.AppendUvarint(b, n)
	}
	mac := s.mac(b)
	return base64.RawURLEncoding.EncodeToString(append(b, mac[:]...))
}

func (s *signer) mac(b []byte) [tokenMAC]byte {
	h := s.states.Get().(hash.Hash)
	defer s.states.Put(h)
	h.Reset()
	h.Write(b)
	var sum [sha256.Size]byte
	return [tokenMAC]byte(h.Sum(sum[:0]))
}

// maxToken is more than any token of ours has.
const maxToken = 512

func (s *signer) parse(text string) (t token, err error) {
	if len(text) > maxToken {
		return t, errToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < tokenMAC+1 || strings.ContainsAny(text, "\r\n") { // which base64 passes over
		return t, errToken
	}
	b, mac := b[:len(b)-tokenMAC], b[len(b)-tokenMAC:]
	if want := s.mac(b); !hmac.Equal(mac, want[:]) || b[0]&0x7f != tokenVersion {
		return t, errToken
	}
	t.replay = b[0]&0x80 != 0
	// Signed by us: what follows is as we wrote it.
	b = b[1:]
	text1 := func() string {
		n := int(b[0])
		out := string(b[1 : 1+n])
		b = b[1+n:]
		return out
	}
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	t.uid, t.home = text1(), text1()
	t.generation, t.seq, t.turn = int(number()), number(), number()
	t.attempt, t.hand = int(number()), number()
	t.deadline = time.UnixMilli(int64(number()))
	return t, nil
}
