package request

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Cause is why a request was refused: the word for it that the ingress counts by.
type Cause string

// The causes that there are.
const (
	Forged           Cause = "forged"
	NotForSource     Cause = "not_for_source"
	Malformed        Cause = "malformed"
	TooLarge         Cause = "too_large"
	WrongContentType Cause = "wrong_content_type"
	DisabledType     Cause = "disabled_type"
	BrokenBody       Cause = "broken_body"
	TooSlow          Cause = "too_slow"
	// NotFound is of no source: see Nowhere.
	NotFound Cause = "not_found"
)

// Causes answers all of them.
func Causes() []Cause {
	return []Cause{Forged, NotForSource, Malformed, TooLarge, WrongContentType, DisabledType, BrokenBody, TooSlow, NotFound}
}

// Nowhere is the source of what came for none, or with a wrong key. No source has this id.
const Nowhere = "_"

// MaxBody is how much of a body is kept.
const MaxBody = 64 << 10

// A Request is one that was refused, or several that were equal.
type Request struct {
	// ID is 16 random hex digits.
	ID     string `json:"id"`
	Source string `json:"source"` // its id
	Cause  Cause  `json:"cause"`
	// Reason is the word of the verdict, Evidence what was found, in sentences.
	Reason   string   `json:"reason,omitempty"`
	Evidence []string `json:"evidence,omitempty"`

	// FirstTime and LastTime are when it came, Count how often it did and was kept.
	FirstTime time.Time `json:"first"`
	LastTime  time.Time `json:"last"`
	Count     int64     `json:"count"`

	Remote netip.Addr `json:"remote"` // not valid: not known
	Method string     `json:"method,omitempty"`
	// Path is that of the request without its key.
	Path string `json:"path,omitempty"`
	// Header holds no credential and no signature.
	Header []Line `json:"header,omitempty"`
	// Proof is what the check of the provider needs to be repeated. It is never shown.
	Proof       []Line `json:"proof,omitempty"`
	ContentType string `json:"content_type,omitempty"`

	// Body is the first MaxBody bytes, of Size; Cut says that there were more. Size is
	// what was announced of one that was not read.
	Body []byte `json:"-"`
	Size int64  `json:"size,omitempty"`
	Cut  bool   `json:"cut,omitempty"`
	// SHA256 of the whole body in hex digits; empty when not all of it was read.
	SHA256 string `json:"sha256,omitempty"`

	Status  int           `json:"status,omitempty"` // answered
	Latency time.Duration `json:"latency,omitempty"`
	// Spent says that the sender was asked and that asking spent the proof: nobody can
	// ask again.
	Spent bool `json:"spent,omitempty"`

	// Event is the name of the event that it became, let in at PromoteTime: see
	// Store.Promoted.
	Event       string    `json:"event,omitempty"`
	PromoteTime time.Time `json:"promoted,omitzero"`

	// Ordinal counts the requests of one sender among those of one source and cause.
	Ordinal int64 `json:"ordinal,omitempty"`
	// Class is equal for equal requests.
	Class string `json:"class"`
}

// A Line is one of a header. Values are bytes as they came.
type Line struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// sender answers whose share of a budget a request is charged to.
func (r *Request) sender() string { return Sender(r.Remote) }

// Sender names whom an address belongs to; empty when it is not known.
func Sender(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		return addr.String()
	}
	p, _ := addr.Prefix(64) // 64 fits
	return p.String()
}

// classOf tells a request by its sender, its body and its proof.
func classOf(r *Request) string {
	h := sha256.New()
	part := func(b []byte) {
		h.Write(strconv.AppendInt(nil, int64(len(b)), 10))
		h.Write([]byte{':'})
		h.Write(b)
	}
	part([]byte(r.sender()))
	part([]byte(r.SHA256))
	part(strconv.AppendInt(nil, r.Size, 10))
	part(r.Body)
	for _, l := range r.Proof {
		part([]byte(l.Name))
		part(l.Value)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// encode answers the form in which a request is kept: what is said of it, on a line, and
// its body.
func encode(r *Request) ([]byte, error) {
	head, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode a request: %w", err)
	}
	return append(append(head, '\n'), r.Body...), nil
}

var errForm = errors.New("it is not kept in a known form")

// decode reads what encode wrote. The body is not copied.
func decode(value []byte) (*Request, error) {
	head, body, ok := bytes.Cut(value, []byte{'\n'})
	r := new(Request)
	if !ok || json.Unmarshal(head, r) != nil || r.ID == "" || r.Class == "" {
		return nil, errForm
	}
	r.Body = body
	return r, nil
}

// groupKey names what has a budget.
type groupKey struct {
	source string
	cause  Cause
}

// key of a slot in the bucket.
func (g groupKey) key(slot int) string {
	return g.source + "." + string(g.cause) + "." + strconv.Itoa(slot)
}

// parseKey is key the other way round.
func parseKey(key string) (g groupKey, slot int, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return g, 0, false
	}
	slot, err := strconv.Atoi(parts[2])
	return groupKey{parts[0], Cause(parts[1])}, slot, err == nil && slot >= 0
}
