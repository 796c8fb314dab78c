package yousign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/provider"
)

// Reasons of a refusal.
const (
	signatureMissing   = "signature_missing"
	signatureMalformed = "signature_malformed"
	signatureMismatch  = "signature_mismatch"
)

// signaturePrefix stands before the hexadecimal digits. Some receivers take bare
// digits too; no document says that Yousign sends them.
const signaturePrefix = "sha256="

type digest [sha256.Size]byte

// readSignature reads the values of the signature header. The reason is empty
// when there is one well-formed signature.
func readSignature(values []string) (sum digest, reason string) {
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return sum, signatureMissing
	}
	digits, prefixed := strings.CutPrefix(values[0], signaturePrefix)
	if len(values) > 1 || !prefixed || len(digits) != hex.EncodedLen(len(sum)) {
		return sum, signatureMalformed
	}
	// The sender writes lower case; both are read, as hexadecimal is.
	if _, err := hex.Decode(sum[:], []byte(digits)); err != nil {
		return sum, signatureMalformed
	}
	return sum, ""
}

// Sign answers the header value that Yousign sends with a body. The key is the
// characters of the secret, not what they may encode.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return signaturePrefix + hex.EncodeToString(mac.Sum(nil))
}

// A key is one secret. It keeps idle HMAC states: setting one up costs two
// blocks of SHA-256 and half a dozen allocations, for every request. There are as
// many as were ever in use at once; a sync.Pool of each key would lose them with
// every garbage collection, when there are thousands of keys.
type key struct {
	secret      []byte
	fingerprint string
	expire      time.Time // zero: never
	retired     time.Time // zero: it is not

	mu   sync.Mutex // guards idle
	idle []*state
}

type state struct {
	mac hash.Hash
	sum digest
}

func (k *key) set(secret string) {
	k.secret, k.fingerprint = []byte(secret), provider.KeyFingerprint(secret)
}

func (k *key) acquire() *state {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.idle) - 1
	if n < 0 {
		return &state{mac: hmac.New(sha256.New, k.secret)}
	}
	s := k.idle[n]
	k.idle = k.idle[:n]
	return s
}

func (k *key) give(s *state) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.idle = append(k.idle, s)
}

func (k *key) validAt(t time.Time) bool { return k.expire.IsZero() || t.Before(k.expire) }

// signed compares in constant time.
func (k *key) signed(body []byte, want digest) bool {
	s := k.acquire()
	defer k.give(s)
	s.mac.Reset()
	s.mac.Write(body)
	s.mac.Sum(s.sum[:0])
	return hmac.Equal(s.sum[:], want[:])
}
