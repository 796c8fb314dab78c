package store

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
)

// A sealed value is a header, a random nonce and the ciphertext:
//
//	"hs1" | 8 bytes that name the key | nonce (12) | AES-256-GCM
//
// The header and the bucket's key are authenticated with it: a value can neither
// be moved to another key nor be read as another version. Random nonces are
// sound for 2^32 writes with one key, and these are an operator's.
const (
	sealVersion = "hs1"
	keyIDSize   = 8
	headerSize  = len(sealVersion) + keyIDSize
)

// ErrWrongKey says that values were encrypted with another key.
var ErrWrongKey = errors.New("store: encrypted with another key")

// A Sealer encrypts and decrypts what is stored, with one key.
type Sealer struct {
	kind   string
	aead   cipher.AEAD
	header []byte
}

// NewSealer makes the sealer of a kind of resource, which errors name.
func NewSealer(kind string, key [32]byte) (*Sealer, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("%s key: %w", kind, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("%s key: %w", kind, err)
	}
	id := sha256.Sum256(append([]byte("hookstream source key id\x00"), key[:]...))
	return &Sealer{kind: kind, aead: aead, header: append([]byte(sealVersion), id[:keyIDSize]...)}, nil
}

// Seal encrypts what is stored under a key of the bucket.
func (s *Sealer) Seal(bucketKey string, plain []byte) []byte {
	return s.aead.Seal(bytes.Clone(s.header), nil, plain, s.additional(bucketKey))
}

// Open decrypts what Seal made. The error wraps ErrWrongKey when the value names
// another key.
func (s *Sealer) Open(bucketKey string, value []byte) ([]byte, error) {
	if err := s.checkHeader(value); err != nil {
		return nil, fmt.Errorf("%s %q: %w", s.kind, bucketKey, err)
	}
	plain, err := s.aead.Open(nil, nil, value[headerSize:], s.additional(bucketKey))
	if err != nil {
		return nil, fmt.Errorf("%s %q: the stored value was damaged or altered", s.kind, bucketKey)
	}
	return plain, nil
}

func (s *Sealer) checkHeader(value []byte) error {
	switch {
	case len(value) < headerSize || !bytes.HasPrefix(value, []byte("hs")):
		return errors.New("the stored value is not a " + s.kind)
	case !bytes.HasPrefix(value, []byte(sealVersion)):
		return errors.New("stored by a newer version of this software")
	case !bytes.Equal(value[:headerSize], s.header):
		return fmt.Errorf("%w: it needs key %x, this gateway was given key %x",
			ErrWrongKey, value[len(sealVersion):headerSize], s.header[len(sealVersion):])
	}
	return nil
}

func (s *Sealer) additional(bucketKey string) []byte {
	return append(bytes.Clone(s.header), bucketKey...)
}
