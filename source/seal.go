package source

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A stored value is a header, a random nonce and the ciphertext of a Source:
//
//	"hs1" | 8 bytes that name the key | nonce (12) | AES-256-GCM
//
// The header and the bucket's key are authenticated with it: a value can neither
// be moved to another source nor be read as another version. Random nonces are
// sound for 2^32 writes with one key, and these are an operator's.
const (
	sealVersion = "hs1"
	keyIDSize   = 8
	headerSize  = len(sealVersion) + keyIDSize
)

// sealer encrypts and decrypts with one key.
type sealer struct {
	aead   cipher.AEAD
	header []byte
}

func newSealer(key Key) (*sealer, error) {
	block, err := aes.NewCipher(key.bytes[:])
	if err != nil {
		return nil, fmt.Errorf("source key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("source key: %w", err)
	}
	id := sha256.Sum256(append([]byte("hookstream source key id\x00"), key.bytes[:]...))
	return &sealer{aead: aead, header: append([]byte(sealVersion), id[:keyIDSize]...)}, nil
}

// close encrypts src for the given key of the bucket.
func (s *sealer) close(bucketKey string, src *hookstreamv1.Source) ([]byte, error) {
	plain, err := proto.Marshal(src)
	if err != nil {
		return nil, fmt.Errorf("encode source: %w", err)
	}
	return s.aead.Seal(bytes.Clone(s.header), nil, plain, s.additional(bucketKey)), nil
}

// open decrypts what close made. The error wraps ErrWrongKey when the value
// names another key.
func (s *sealer) open(bucketKey string, value []byte) (*hookstreamv1.Source, error) {
	if err := s.checkHeader(value); err != nil {
		return nil, fmt.Errorf("source %q: %w", bucketKey, err)
	}
	plain, err := s.aead.Open(nil, nil, value[headerSize:], s.additional(bucketKey))
	if err != nil {
		return nil, fmt.Errorf("source %q: the stored value was damaged or altered", bucketKey)
	}
	src := new(hookstreamv1.Source)
	if err := proto.Unmarshal(plain, src); err != nil {
		return nil, fmt.Errorf("source %q: decode: %w", bucketKey, err)
	}
	return src, nil
}

// CheckStored says why what a bucket holds under a key would not be read as a source
// by a gateway that has the key, nil when it would.
func CheckStored(key Key, bucketKey string, value []byte) error {
	s, err := newSealer(key)
	if err != nil {
		return err
	}
	_, err = s.open(bucketKey, value)
	return err
}

func (s *sealer) checkHeader(value []byte) error {
	switch {
	case len(value) < headerSize || !bytes.HasPrefix(value, []byte("hs")):
		return errors.New("the stored value is not a source")
	case !bytes.HasPrefix(value, []byte(sealVersion)):
		return errors.New("stored by a newer version of this software")
	case !bytes.Equal(value[:headerSize], s.header):
		return fmt.Errorf("%w: it needs key %x, this gateway was given key %x",
			ErrWrongKey, value[len(sealVersion):headerSize], s.header[len(sealVersion):])
	}
	return nil
}

func (s *sealer) additional(bucketKey string) []byte {
	return append(bytes.Clone(s.header), bucketKey...)
}
