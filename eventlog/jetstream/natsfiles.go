package jetstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/minio/highwayhash"
)

// What we know of the files of nats-server, which is not an API of it, and rely on
// besides the form of a record, which blocks.go reads. docs/adr/0012 lists all of
// it; TestNatsFiles holds it against the version that is built in.

// streamsDir is where an embedded server keeps its streams, in the data directory.
func streamsDir(dir string) string { return filepath.Join(dir, "jetstream", "$G", "streams") }

// blocksDir is where the block files of a stream lie: the barrier checks at every
// sync that they grow as expected.
func blocksDir(dir, stream string) string { return filepath.Join(streamsDir(dir), stream, natsBlocks) }

// consumerDir is where an embedded server keeps what it knows of a consumer.
func consumerDir(dir, stream, name string) string {
	return filepath.Join(streamsDir(dir), stream, "obs", name)
}

// Files of a stream, in its directory, and of a consumer in its.
const (
	natsConsumer = "o.dat"
	natsBlocks   = "msgs"
	natsState    = "index.db" // in msgs: what is in the blocks; made anew when it is not there
	natsMeta     = "meta.inf"
	natsMetaSum  = "meta.sum"
)

// natsWriteFailed is in what the server logs when a stream could not be written,
// which it leaves at that.
const natsWriteFailed = "critical write error"

// bucketStream begins the name of a stream that is a bucket.
const bucketStream = "KV_" + bucketPrefix

func isBucket(stream string) bool { return strings.HasPrefix(stream, bucketStream) }

// blockHash makes the hash of the records of a block.
func blockHash(stream string, number int) (*highwayhash.Digest64, error) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, number))
	return highwayhash.NewDigest64(key[:])
}

// streamHash makes the hash of what is kept of a stream beside its blocks.
func streamHash(stream string) (*highwayhash.Digest64, error) {
	key := sha256.Sum256([]byte(stream))
	return highwayhash.NewDigest64(key[:])
}

var errNoState = errors.New("there is no state")

// stateBounds answers the first and the last sequence that a stream had when the
// server wrote its state down.
func stateBounds(stream, msgs string) (first, last uint64, err error) {
	b, err := os.ReadFile(filepath.Join(msgs, natsState))
	if err != nil {
		return 0, 0, err
	}
	hash, err := streamHash(stream)
	if err != nil || len(b) < 32 {
		return 0, 0, errNoState
	}
	b, sum := b[:len(b)-highwayhash.Size64], b[len(b)-highwayhash.Size64:]
	_, _ = hash.Write(b) // never fails
	if !bytes.Equal(hash.Sum(nil), sum) {
		return 0, 0, errNoState
	}
	// magic, version, messages, bytes, first sequence, its time, last sequence
	b = b[2:]
	var v [5]uint64
	for i := range v {
		number, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, 0, errNoState
		}
		v[i], b = number, b[n:]
	}
	return v[2], v[4], nil
}

// checkMeta looks at the description of a stream, without which the server passes
// over it.
func checkMeta(stream, dir string) error {
	meta, err := os.ReadFile(filepath.Join(dir, natsMeta))
	if err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(dir, natsMetaSum))
	if err != nil {
		return err
	}
	want, err := metaSum(stream, meta)
	if err == nil && string(sum) != want {
		err = errors.New("the checksum is wrong")
	}
	return err
}

func metaSum(stream string, meta []byte) (string, error) {
	hash, err := streamHash(stream)
	if err != nil {
		return "", err
	}
	_, _ = hash.Write(meta) // never fails
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// appendRecord adds a record of a message without headers to a block.
func appendRecord(b []byte, hash *highwayhash.Digest64, seq uint64, nanos int64, subject string, data []byte) []byte {
	from := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(recordMin+len(subject)+len(data)))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(nanos))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(subject)))
	b = append(append(b, subject...), data...)
	hash.Reset()
	_, _ = hash.Write(b[from+4 : from+20])
	_, _ = hash.Write(b[from+recordHead:])
	return hash.Sum(b)
}

// listStreams answers the names of the streams of a data directory.
func listStreams(dir string) ([]string, error) {
	entries, err := os.ReadDir(streamsDir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// readableMeta reports whether a description is of a stream, whatever its checksum
// says.
func readableMeta(meta []byte) bool {
	var v struct {
		Name string `json:"name"`
	}
	return json.Unmarshal(meta, &v) == nil && v.Name != ""
}
