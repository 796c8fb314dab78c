package simulate

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"hash"
	mathrand "math/rand/v2"

	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/simulator"
)

// Bodies as Yousign sends them, composed of its documented fields. Their event id is
// that of an example, their type usualType.
//
//go:embed bodies/*.json
var bodies embed.FS

const usualType = "signature_request.done"

var _ simulator.Benchmarked = Provider{}

// Benchmark implements simulator.Benchmarked.
func (Provider) Benchmark() simulator.Benchmark {
	return simulator.Benchmark{
		Types:    [3]string{usualType, "signature_request.activated", "signature_request.expired"},
		Body:     benchmarkBody,
		Requests: newRequests,
	}
}

func benchmarkBody(typ, size string) ([]byte, error) {
	body, err := bodies.ReadFile("bodies/" + size + ".json")
	if err != nil {
		return nil, fmt.Errorf("simulator: no body of this size: %w", err)
	}
	return bytes.Replace(body, []byte(usualType), []byte(typ), 1), nil
}

// requests edits one request in place: the event id and the signature have always
// the same place and length.
type requests struct {
	request, body, id, signature []byte

	mac hash.Hash
	sum [sha256.Size]byte
	ids *mathrand.ChaCha8
}

// newRequests makes requests to a path of a host that post a body, each under an
// event id of its own and signed with the secret. It fails for a body without an
// event id of 36 characters.
func newRequests(host, path, secret string, body []byte) (simulator.Requests, error) {
	id := gjson.GetBytes(body, "event_id")
	if len(id.Str) != uuidLength {
		return nil, fmt.Errorf("simulator: the body's event id has %d characters instead of %d", len(id.Str), uuidLength)
	}
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: hookstream-bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: sha256=",
		path, host, len(body), yousign.DefaultSignatureHeader)
	y := &requests{mac: hmac.New(sha256.New, []byte(secret)), ids: mathrand.NewChaCha8(seed())}
	y.request = bytes.Join([][]byte{head, make([]byte, 2*sha256.Size), []byte("\r\n\r\n"), body}, nil)
	y.signature = y.request[len(head) : len(head)+2*sha256.Size]
	y.body = y.request[len(y.request)-len(body):]
	y.id = y.body[id.Index+1 : id.Index+1+uuidLength]
	return y, nil
}

func (y *requests) Next() (request, id []byte) {
	writeUUID(y.id, y.ids)
	y.mac.Reset()
	y.mac.Write(y.body)
	hex.Encode(y.signature, y.mac.Sum(y.sum[:0]))
	return y.request, y.id
}

const uuidLength = 36

// writeUUID writes a random UUID, version 4: an index meets ids as random as
// those of the sender.
func writeUUID(dst []byte, random *mathrand.ChaCha8) {
	var b [16]byte
	_, _ = random.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	at := 0
	for _, part := range [][]byte{b[:4], b[4:6], b[6:8], b[8:10], b[10:]} {
		at += hex.Encode(dst[at:], part)
		if at < uuidLength {
			dst[at] = '-'
			at++
		}
	}
}

func seed() (s [32]byte) {
	_, _ = rand.Read(s[:]) // never fails, see crypto/rand
	return s
}
