package source

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Key encrypts the stored sources. Whoever has it and the data directory has
// all credentials; without it they are lost.
type Key struct{ bytes [keySize]byte }

const keySize = 32

// Format says nothing of the key, so that no log line can.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(hidden)") }

// NewKey makes a random key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k.bytes[:]) // never fails: crypto/rand ends the process instead
	return k
}

// ParseKey reads a key of 32 bytes from text: 64 hexadecimal digits, or base64,
// standard or URL-safe, with or without padding. White space around it does not
// count. The error does not hold the text.
func ParseKey(text string) (Key, error) {
	text = strings.TrimSpace(text)
	if b, err := hex.DecodeString(text); err == nil && len(b) == keySize {
		return Key{[keySize]byte(b)}, nil
	}
	std := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if b, err := base64.RawStdEncoding.DecodeString(std); err == nil && len(b) == keySize {
		return Key{[keySize]byte(b)}, nil
	}
	return Key{}, errors.New("key: want 32 bytes as 64 hexadecimal digits or as base64")
}

// keyFileLimit is more than any spelling of a key takes.
const keyFileLimit = 1024

// LoadOrCreateKey reads the key in the file at path, and makes the file with a
// new key when there is none. The file is readable by its owner only; one that
// others may read is refused, and one that its group may read unless this process
// is of that group, as where Kubernetes or systemd hand out a secret. A new key is on the disk when the call
// returns. Two processes that create at the same time get the same key.
func LoadOrCreateKey(path string) (Key, error) {
	key, err := loadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := createKey(path, NewKey()); err != nil && !errors.Is(err, fs.ErrExist) {
		return Key{}, fmt.Errorf("create key file: %w", err)
	}
	return loadKey(path)
}

// LoadKey reads the key in the file at path, which must be there.
func LoadKey(path string) (Key, error) { return loadKey(path) }

func loadKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o037 != 0 || perm&0o040 != 0 && !ownGroup(info) {
		return Key{}, fmt.Errorf("key file %s may be read by others (mode %#o): chmod 600 it, or 640 when its group is that of the gateway", path, perm)
	}
	if !info.Mode().IsRegular() || info.Size() > keyFileLimit {
		return Key{}, fmt.Errorf("key file %s is not a key", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	key, err := ParseKey(string(bytes.TrimSpace(text)))
	if err != nil {
		return Key{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// createKey writes the key whole or not at all: a half-written key after a power
// cut would lock the sources up for good. Linking, unlike renaming, refuses when
// another process was first.
func createKey(path string, key Key) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if err := writeKey(tmp, key); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func writeKey(f *os.File, key Key) error {
	_, err := f.WriteString(hex.EncodeToString(key.bytes[:]) + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
