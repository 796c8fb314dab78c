package source

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/eventlog/store"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// The stored form of a source is the message itself, sealed.

func encode(_ string, src *hookstreamv1.Source) ([]byte, error) {
	src = proto.CloneOf(src)
	src.Etag = "" // the bucket's revision is the etag
	plain, err := proto.Marshal(src)
	if err != nil {
		return nil, fmt.Errorf("encode source: %w", err)
	}
	return plain, nil
}

func decode(id string, plain []byte, revision uint64) (*hookstreamv1.Source, error) {
	src := new(hookstreamv1.Source)
	if err := proto.Unmarshal(plain, src); err != nil {
		return nil, fmt.Errorf("source %q: decode: %w", id, err)
	}
	Table.Fill(src)
	src.Name, src.Etag = Name(id), store.Etag(revision)
	if src.GetUid() == "" {
		src.Uid = uidOf(src)
	}
	return src, nil
}

// CheckStored says why what a bucket holds under a key would not be read as a source
// by a gateway that has the key, nil when it would.
func CheckStored(key Key, bucketKey string, value []byte) error {
	seal, err := store.NewSealer(kind, key.bytes)
	if err != nil {
		return err
	}
	plain, err := seal.Open(bucketKey, value)
	if err != nil {
		return err
	}
	_, err = decode(bucketKey, plain, 0)
	return err
}
