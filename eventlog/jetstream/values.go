package jetstream

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Values answers what a bucket of a data directory holds that no gateway uses, by
// key, as far as it can be read: CheckDir says what cannot. It is empty when there is
// no such bucket.
func Values(dir, bucket string) (map[string][]byte, error) {
	stream := bucketStream + bucket
	msgs := blocksDir(dir, stream)
	numbers, err := listBlocks(msgs)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("bucket %s: %w", bucket, err)
	}
	values, newest := make(map[string][]byte), make(map[string]uint64)
	for _, n := range numbers {
		data, err := os.ReadFile(blockPath(msgs, n))
		if err != nil {
			return nil, fmt.Errorf("bucket %s: %w", bucket, err)
		}
		hash, err := blockHash(stream, n)
		if err != nil {
			return nil, fmt.Errorf("bucket %s: %w", bucket, err)
		}
		for _, r := range checkBlock(data, hash).good {
			key, value, deleted := bucketRecord(data[r.from:r.to], "$KV."+bucketPrefix+bucket+".")
			if key == "" || r.removal || r.erased || newest[key] > r.seq {
				continue
			}
			newest[key], values[key] = r.seq, value
			if deleted {
				delete(values, key)
			}
		}
	}
	return values, nil
}

// bucketRecord takes a sound record of a bucket apart. The key is empty for what is
// none of it.
func bucketRecord(b []byte, prefix string) (key string, value []byte, deleted bool) {
	r, _ := parseRecord(b)
	key, ok := strings.CutPrefix(string(r.subject), prefix)
	if !ok {
		return "", nil, false
	}
	return key, r.message, bytes.Contains(r.headers, []byte("KV-Operation:"))
}
