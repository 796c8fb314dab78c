package load

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"hash"
	mathrand "math/rand/v2"

	"github.com/tidwall/gjson"
)

// Requests makes the requests of one connection, one after the other. The bytes
// of a request are good until the next is made.
type Requests interface {
	// Next answers a whole HTTP request and the sender's id of its event, nil
	// when there are no more.
	Next() (request, id []byte)
}

// Bodies as Yousign sends them, composed of its documented fields.
var (
	//go:embed bodies/yousign-1KB.json
	yousign1KB []byte
	//go:embed bodies/yousign-5KB.json
	yousign5KB []byte
)

// YousignBodies are bodies by the name of their size. Their event id is that of
// an example.
func YousignBodies() map[string][]byte {
	return map[string][]byte{"1KB": yousign1KB, "5KB": yousign5KB}
}

// yousignRequests edits one request in place: the event id and the signature have always
// the same place and length.
type yousignRequests struct {
	request, body, id, signature []byte

	mac hash.Hash
	sum [sha256.Size]byte
	ids *mathrand.ChaCha8
}

// SignatureHeader is where Yousign puts its signature.
const SignatureHeader = "X-Yousign-Signature-256"

// NewYousign makes requests to a path of a host that post a body, each under an
// event id of its own and signed with the secret. It fails for a body without an
// event id of 36 characters.
func NewYousign(host, path, secret string, body []byte) (Requests, error) {
	id := gjson.GetBytes(body, "event_id")
	if len(id.Str) != uuidLength {
		return nil, fmt.Errorf("load: the body's event id has %d characters instead of %d", len(id.Str), uuidLength)
	}
	head := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: hookstream-bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: sha256=",
		path, host, len(body), SignatureHeader)
	y := &yousignRequests{mac: hmac.New(sha256.New, []byte(secret)), ids: mathrand.NewChaCha8(seed())}
	y.request = bytes.Join([][]byte{head, make([]byte, 2*sha256.Size), []byte("\r\n\r\n"), body}, nil)
	y.signature = y.request[len(head) : len(head)+2*sha256.Size]
	y.body = y.request[len(y.request)-len(body):]
	y.id = y.body[id.Index+1 : id.Index+1+uuidLength]
	return y, nil
}

func (y *yousignRequests) Next() (request, id []byte) {
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
