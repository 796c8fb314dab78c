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
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"
)

// All that is known here of the inner ways of nats-server: where an embedded one
// keeps what, how that is written, and how it fails. None of it is an API of the
// server. docs/adr/0012 says what leans on it; TestNatsFiles holds it against the
// version that is built in.

// Files of a stream, in its directory, and of a consumer in its.
const (
	natsConsumer = "o.dat"
	natsBlocks   = "msgs"
	natsBlock    = ".blk"     // behind a number, in msgs
	natsState    = "index.db" // in msgs: what is in the blocks; made anew when it is not there
	natsMeta     = "meta.inf"
	natsMetaSum  = "meta.sum"
)

// natsWriteFailed is in what the server logs when a stream could not be written,
// which it leaves at that.
const natsWriteFailed = "critical write error"

const (
	// codeStoreFailed: a stream could not be written, now or at any time since the
	// server has started.
	codeStoreFailed = 10077
	// codeConsumerCreate: the consumer's store could not be made, or not be read.
	codeConsumerCreate = 10012
)

// streamsDir is where an embedded server keeps its streams, in the data directory.
func streamsDir(dir string) string { return filepath.Join(dir, "jetstream", "$G", "streams") }

// blocksDir is where the blocks of a stream lie. They are appended to, and one that
// has a successor is appended to no more.
func blocksDir(dir, stream string) string { return filepath.Join(streamsDir(dir), stream, natsBlocks) }

// consumerDir is where an embedded server keeps what it knows of a consumer.
func consumerDir(dir, stream, name string) string {
	return filepath.Join(streamsDir(dir), stream, "obs", name)
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

// bucketStream begins the name of a stream that is a bucket.
const bucketStream = "KV_" + bucketPrefix

// loosePrefix begins the name of a bucket of what can be done without.
const loosePrefix = "LOOSE_"

// isLoose tells streams that nobody looks after: JetStream drops what it cannot read.
func isLoose(stream string) bool { return strings.HasPrefix(stream, bucketStream+loosePrefix) }

func isBucket(stream string) bool { return strings.HasPrefix(stream, bucketStream) }

// listBlocks answers the numbers of the blocks there are. Block 1 may be long gone.
func listBlocks(msgs string) ([]int, error) {
	entries, err := os.ReadDir(msgs)
	if err != nil {
		return nil, err
	}
	var blocks []int
	for _, e := range entries {
		s, ok := strings.CutSuffix(e.Name(), natsBlock)
		if n, err := strconv.Atoi(s); ok && err == nil {
			blocks = append(blocks, n)
		}
	}
	return blocks, nil
}

func blockPath(msgs string, number int) string {
	return filepath.Join(msgs, strconv.Itoa(number)+natsBlock)
}

// blockHash makes the hash of the records of a block.
func blockHash(stream string, number int) (*highwayhash.Digest64, error) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, number))
	return highwayhash.NewDigest64(key[:])
}

// natsRecord is a record of a block:
//
//	length (4 bytes), sequence (8), time (8), length of subject (2), subject,
//	message, checksum (8)
//
// A message with headers begins with their length (4 bytes) and them. The checksum
// is over all but the lengths.
type natsRecord struct {
	seq     uint64
	nanos   int64
	erased  bool
	removal bool // of the record seq, which retention took

	head, subject, headers, message, sum []byte // where they lie
}

const (
	recordHead    = 4 + 8 + 8 + 2
	recordMin     = recordHead + highwayhash.Size64
	recordMax     = 32 << 20
	recordHeaders = 1 << 31 // in length: headers are there
	recordErased  = 1 << 63 // in sequence
	recordRemoval = 1 << 62 // in sequence
)

// natsNoTime is the time of a removal in a stream that has had no message, as one that
// is restored has for all before its first.
var natsNoTime = time.Time{}.UnixNano()

// recordSize answers how long the record is that begins here; more than there is
// when that does not even say so.
func recordSize(b []byte) int {
	if len(b) < recordHead {
		return recordHead + recordMin
	}
	return int(binary.LittleEndian.Uint32(b) &^ recordHeaders)
}

// setRecordSize writes how long a record is, keeping what else is said there.
func setRecordSize(b []byte, size int) {
	flags := binary.LittleEndian.Uint32(b) & recordHeaders
	binary.LittleEndian.PutUint32(b, uint32(size)|flags)
}

// recordSeq reads the sequence of the record that begins here, and what is marked
// in it.
func recordSeq(b []byte) (seq uint64, erased, removal bool) {
	seq = binary.LittleEndian.Uint64(b[4:])
	return seq &^ (recordErased | recordRemoval), seq&recordErased != 0, seq&recordRemoval != 0
}

// parseRecord takes the bytes of one record apart, recordMin at least; false when
// its parts do not fit in.
func parseRecord(b []byte) (r natsRecord, ok bool) {
	r.seq, r.erased, r.removal = recordSeq(b)
	r.nanos = int64(binary.LittleEndian.Uint64(b[12:]))
	subject := int(binary.LittleEndian.Uint16(b[20:]))
	end := len(b) - highwayhash.Size64
	body := b[recordHead:end]
	if subject > len(body) {
		return r, false
	}
	r.head, r.sum = b[4:20], b[end:]
	r.subject, r.message = body[:subject], body[subject:len(body):len(body)]
	if binary.LittleEndian.Uint32(b)&recordHeaders == 0 {
		return r, true
	}
	if len(r.message) < 4 {
		return r, false
	}
	headers := int(binary.LittleEndian.Uint32(r.message))
	if headers > len(r.message)-4 {
		return r, false
	}
	r.headers, r.message = r.message[4:4+headers], r.message[4+headers:]
	return r, true
}

// sound reports whether the checksum is right.
func (r *natsRecord) sound(hash *highwayhash.Digest64) bool {
	return r.sumBy(hash) == binary.LittleEndian.Uint64(r.sum)
}

func (r *natsRecord) sumBy(hash *highwayhash.Digest64) uint64 {
	hash.Reset()
	for _, part := range [...][]byte{r.head, r.subject, r.headers, r.message} {
		_, _ = hash.Write(part) // never fails
	}
	return hash.Sum64()
}

// appendRecord adds a record of a message without headers to a block.
func appendRecord(b []byte, hash *highwayhash.Digest64, seq uint64, nanos int64, subject string, data []byte) []byte {
	from := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(recordMin+len(subject)+len(data)))
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = binary.LittleEndian.AppendUint64(b, uint64(nanos))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(subject)))
	b = append(append(b, subject...), data...)
	r := natsRecord{head: b[from+4 : from+20], message: b[from+recordHead:]}
	return binary.LittleEndian.AppendUint64(b, r.sumBy(hash))
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

// usableMeta reports whether the server takes this for the description of the stream,
// once its checksum is right: it keeps one offline in which it does not know a word.
func usableMeta(stream string, meta []byte) bool {
	var v server.FileStreamInfo
	d := json.NewDecoder(bytes.NewReader(meta))
	d.DisallowUnknownFields()
	return d.Decode(&v) == nil && v.Name == stream
}

// bareMeta describes a stream as far as it cannot be changed later, and keeps of the
// old description which stream it is: cursors name that.
func bareMeta(stream string, old []byte) ([]byte, error) {
	v := server.FileStreamInfo{Created: time.Now().UTC(), StreamConfig: server.StreamConfig{
		Name: stream, Subjects: subjectsOf(stream),
		Storage: server.FileStorage, Retention: server.LimitsPolicy, Replicas: 1,
		MaxConsumers: -1, MaxMsgs: -1, MaxBytes: -1, MaxMsgsPer: -1, MaxMsgSize: -1,
	}}
	if m := incarnationKept.FindSubmatch(old); m != nil {
		v.Metadata = map[string]string{incarnationKey: string(m[1])}
	}
	return json.Marshal(v)
}

var incarnationKept = regexp.MustCompile(`"` + incarnationKey + `":"([a-z2-7]{7})"`)

// subjectsOf answers what is published to a stream.
func subjectsOf(stream string) []string {
	switch stream {
	case StreamEvents:
		return []string{SubjectEvents + ".>"}
	case StreamInbox:
		return []string{SubjectRows + ".>", SubjectAsked + ".>"}
	case StreamParked:
		return []string{SubjectParked + ".>", SubjectReplays + ".>"}
	case StreamAcks:
		return []string{SubjectAcks, SubjectSettled}
	case StreamAttempts:
		return []string{SubjectAttempts + ".>"}
	}
	if bucket, ok := strings.CutPrefix(stream, "KV_"); ok {
		return []string{"$KV." + bucket + ".>"}
	}
	return nil
}
