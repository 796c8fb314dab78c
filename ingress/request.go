package ingress

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/lenient"
)

// request is a Request on its way into the log.
type request struct {
	provider.Request
	info      provider.Info
	typ       string // topic and action
	inspected bool
	seq       uint64    // where its event is, once it is published
	promoted  time.Time // zero: it was not refused before
}

// inspect fills info, once.
func (rq *request) inspect(ep *endpoint) error {
	if rq.inspected {
		return nil
	}
	info, err := ep.verifier.Inspect(&rq.Request)
	if err != nil {
		rq.info.Attempt = info.Attempt
		return err
	}
	if info.DedupKey == "" || len(info.DedupKey) > maxDedupKey {
		return fmt.Errorf("provider %s: a key of %d bytes", ep.kind, len(info.DedupKey))
	}
	info.Topic, info.Action = clip(info.Topic, maxName), clip(info.Action, maxName)
	info.Environment = clip(info.Environment, maxName)
	info.EventID, info.Entity = clip(info.EventID, maxName), clip(info.Entity, maxName)
	rq.info, rq.inspected = info, true
	rq.typ = event.JoinType(info.Topic, info.Action)
	return nil
}

// readable fills info of what its sender vouches for, whatever it is.
func (rq *request) readable(ep *endpoint) error {
	err := rq.inspect(ep)
	if errors.Is(err, provider.ErrMalformed) {
		rq.keepUnread()
		return nil
	}
	return err
}

// keepUnread is for what the sender vouches for and nobody can read: refused, it
// would be gone when the sender is tired of repeating it. It has no type, and is
// told by its bytes.
func (rq *request) keepUnread() {
	sum := sha256.Sum256(rq.Body)
	rq.info = provider.Info{DedupKey: "sha256:" + hex.EncodeToString(sum[:]), Attempt: rq.info.Attempt}
	rq.typ, rq.inspected = "", true
}

// maxName bounds every stored string that a sender chooses, in bytes: hostile
// but genuine content always has room.
const maxName = 256

const maxDedupKey = 128

// clip makes s valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
	if len(s) <= n && utf8.ValidString(s) {
		return s
	}
	// Cut first: there may be a megabyte of it.
	s = strings.ToValidUTF8(s[:min(len(s), n)], "\uFFFD")
	if len(s) <= n {
		return s
	}
	for s = s[:n]; !utf8.ValidString(s); {
		s = s[:len(s)-1]
	}
	return s
}

// questionKey names the question whether this very request is genuine. It holds
// the body: when a question was left without an answer, "spent already" is
// believed of the body it was asked for and of no other with the same proof.
func (rq *request) questionKey() string {
	sum := sha256.Sum256(rq.Body)
	return rq.info.DedupKey + "." + hex.EncodeToString(sum[:16])
}

// failedKey is the deduplication key of a request that failed its verification
// and is published by a source in shadow mode. Whatever a forged request
// claims, it must never take the place of a genuine one.
func (rq *request) failedKey() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(rq.info.DedupKey), rq.info.DedupKey)
	h.Write(rq.Body)
	return "failed:" + hex.EncodeToString(h.Sum(nil))
}

// otherKey is the deduplication key of an event whose own key another event has.
func (rq *request) otherKey() string {
	h := sha256.New()
	fmt.Fprintf(h, "%d:%s", len(rq.info.DedupKey), rq.info.DedupKey)
	if doc, err := lenient.View(rq.Body); err == nil {
		h.Write(lenient.AppendCanonical(nil, doc))
	} else {
		h.Write(rq.Body)
	}
	return "other:" + hex.EncodeToString(h.Sum(nil))
}

// draft is what one event is made of. Drafts are used again: they are most of the
// memory that a request takes, besides its body.
type draft struct {
	event              hookstreamv1.Event
	raw                hookstreamv1.RawRequest
	headers            [8]hookstreamv1.RawRequest_Header // the first that are kept
	occurred, received timestamppb.Timestamp
	verified, promoted timestamppb.Timestamp
	verification       hookstreamv1.Verification
	proof              hookstreamv1.Proof
	lines              [4]hookstreamv1.Proof_Line // the first of the proof
	salt               [16]byte
	attempt            int32
}

var drafts = sync.Pool{New: func() any { return new(draft) }}

// free gives the draft back, without anything of its request.
func (d *draft) free() {
	raw := d.raw.Headers[:0]
	d.event.Reset()
	d.raw.Reset()
	d.verification.Reset()
	lines := d.proof.Headers[:0]
	d.proof.Reset()
	d.proof.Headers = lines
	for i := range d.lines {
		d.lines[i].Reset()
	}
	for i := range d.headers {
		d.headers[i].Reset()
	}
	d.raw.Headers = raw
	drafts.Put(d)
}

// encode answers the event in the form in which it is kept. v is nil for a row
// of the inbox, of which nobody knows yet; earlier is the name of an event with
// the same content, or empty.
func (rq *request) encode(ep *endpoint, v *proof, earlier string) ([]byte, error) {
	d := drafts.Get().(*draft)
	defer d.free()
	e := &d.event
	e.Source, e.Provider = ep.name, ep.kind
	e.Environment, e.Topic, e.Action, e.Type = rq.info.Environment, rq.info.Topic, rq.info.Action, rq.typ
	e.Entity, e.ProviderEventId = rq.info.Entity, rq.info.EventID
	e.OccurTime = stamp(&d.occurred, rq.info.OccurTime)
	e.ReceiveTime = stamp(&d.received, rq.ReceiveTime)
	e.TraceParent, e.PossibleDuplicateOf = traceParent(rq.Header), earlier
	if n := rq.info.Attempt; n >= 0 && n <= maxAttempt {
		d.attempt = int32(n)
		e.ProviderAttempt = &d.attempt
	}
	e.Proof = &d.proof
	d.keepProofHeaders(rq.Header, ep.proofHeaders)
	if v != nil {
		v.fill(d)
	}
	if !rq.promoted.IsZero() {
		d.verification.PromoteTime = stamp(&d.promoted, rq.promoted)
		e.Verification = &d.verification
	}
	d.keepHeaders(rq.Header, ep.keptHeaders)
	d.raw.Body = rq.Body
	if ct := rq.Header["Content-Type"]; len(ct) > 0 {
		d.raw.ContentType = clip(ct[0], maxHeaderValue)
	}
	return event.Encode(e, &d.raw)
}

const maxAttempt = 1<<31 - 1

// stamp fills ts; nil for no time, or one that no calendar has.
func stamp(ts *timestamppb.Timestamp, t time.Time) *timestamppb.Timestamp {
	ts.Seconds, ts.Nanos = t.Unix(), int32(t.Nanosecond())
	if t.IsZero() || !ts.IsValid() {
		return nil
	}
	return ts
}

// decodeRow reads a row of the inbox: the request, and the provider it was
// received for.
func decodeRow(data []byte) (*request, string, error) {
	e := new(hookstreamv1.Event)
	if err := proto.Unmarshal(data, e); err != nil {
		return nil, "", fmt.Errorf("row of the inbox: %w", err)
	}
	kept, _ := KeptRequest(e)
	rq := &request{Request: *kept}
	if at := e.GetVerification().GetPromoteTime(); at != nil {
		rq.promoted = at.AsTime()
	}
	return rq, e.GetProvider(), nil
}

// KeptRequest answers the request of an event as it is kept, with the headers that
// are kept, and what is kept of the verdict on it.
func KeptRequest(e *hookstreamv1.Event) (*provider.Request, provider.Kept) {
	header := keptHeader(e.GetRaw().GetHeaders())
	proofHeader(header, e.GetProof().GetHeaders())
	kept := provider.Kept{
		KeyFingerprint: e.GetProof().GetKeyFingerprint(),
		SpentByUs:      e.GetVerification().GetState() == hookstreamv1.Verification_STATE_VERIFIED_AFTER_AMBIGUOUS_ATTEMPT,
	}
	for _, l := range e.GetProof().GetHeaders() {
		kept.ProofHeaders = append(kept.ProofHeaders, l.GetName())
	}
	if a := e.GetProof().GetAnswer(); a != nil {
		kept.Answer = &provider.Answer{Status: int(a.GetStatus()), Body: a.GetBody(), Cut: a.GetCut()}
	}
	return &provider.Request{Header: header, Body: e.GetRaw().GetBody(), ReceiveTime: e.GetReceiveTime().AsTime()}, kept
}
