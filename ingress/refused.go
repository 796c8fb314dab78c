package ingress

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/hookstream/hookstream/provider"
)

// Refusals keeps what was refused, for those who have to see why. Its functions are
// called for every refusal of a flood, and must be quick.
type Refusals interface {
	// Wants reports whether a request that a source refused, of an address, would be kept:
	// nothing is copied of one that would not.
	Wants(source string, r Result, remote netip.Addr) bool
	// Note has it kept. It is called after the sender has its answer.
	Note(*Refused)
}

// Refused is a request that was refused for good. It is the receiver's.
type Refused struct {
	// Source is the id of the one whose key the sender had. Empty: of none; then there is
	// no more than a Method, a hash as Path, and Remote, Size and times.
	Source string
	Result Result
	// Reason is the word of the verdict, if there was one; Evidence what else is known, in
	// words without any of the body.
	Reason, Evidence string
	// Remote is not valid when it is not known.
	Remote netip.Addr
	Method string
	// Path is without the key.
	Path string
	// Header holds what may be shown, Proof what else the check of the provider reads:
	// signatures, and what may be a credential. Nothing else of the headers is here.
	Header, Proof http.Header
	// Body is the first MaxRefusedBody bytes of what came, Size how many came; of a body
	// that was not read, how many were announced.
	Body []byte
	Size int64
	// SHA256 of the body when all of it came.
	SHA256 string

	ReceiveTime time.Time
	// Status that was answered, after Latency; 0 when it is not known what was.
	Status  int
	Latency time.Duration
	// Spent says that asking the sender has spent the proof: it cannot be asked again.
	Spent bool
}

// MaxRefusedBody is how much of a refused body is kept.
const MaxRefusedBody = 64 << 10

// RefusedForGood answers the results of requests of a source that its sender need not
// send again, because they would be refused again.
func RefusedForGood() []Result {
	return []Result{Forged, NotForSource, Malformed, TooLarge, WrongContentType, DisabledType, BrokenBody, TooSlow}
}

var refusedForGood = func() (is [resultEnd]bool) {
	for _, r := range RefusedForGood() {
		is[r] = true
	}
	return is
}()

// sampleEvery is how often one that came for no source is told.
const sampleEvery = time.Minute

// refused answers what there is to keep of a request that was answered; nil: nothing.
func (x *exchange) refused(now time.Time) *Refused {
	g := x.g
	switch {
	case g.o.Refused == nil:
		return nil
	case x.ep == nil && x.result == NotFound:
		return x.sample(now)
	case x.ep == nil || !refusedForGood[x.result]:
		return nil
	case x.result == Forged && x.ep.remote:
		return nil // the verifier tells, which knows more
	}
	remote := x.remoteIP()
	if !g.o.Refused.Wants(x.ep.id, x.result, remote) {
		return nil
	}
	r := x.ep.refused(x.header.values)
	r.Result, r.Reason, r.Evidence, r.Remote = x.result, x.reason, x.evidence, remote
	r.Method, r.Status = string(x.ctx.Method()), x.result.Status()
	r.ReceiveTime, r.Latency = x.start, now.Sub(x.start)
	r.Size = int64(max(x.contentLength(), 0))
	if x.buf != nil {
		r.keepBody(x.buf.b, x.bodyRead)
	}
	return r
}

// sample tells of one now and then that came for no source: nothing of it but its size
// and where it came from. Its path may be a slip in a good key.
func (x *exchange) sample(now time.Time) *Refused {
	if _, ok := x.g.nowhere.openEvery(now, sampleEvery); !ok {
		return nil
	}
	sum := sha256.Sum256(x.ctx.URI().PathOriginal())
	return &Refused{
		Result: x.result, Remote: x.remoteIP(), Method: clip(string(x.ctx.Method()), maxName), Path: "sha256:" + hex.EncodeToString(sum[:8]),
		Size: int64(max(x.contentLength(), 0)), ReceiveTime: x.start, Status: x.result.Status(), Latency: now.Sub(x.start),
	}
}

func (x *exchange) remoteIP() netip.Addr {
	if tcp, ok := x.ctx.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// refused begins what is kept of a request with these headers.
func (ep *endpoint) refused(h http.Header) *Refused {
	r := &Refused{Source: ep.id, Path: pathPrefix + ep.id, Header: make(http.Header), Proof: make(http.Header)}
	for name, lines := range h {
		if len(lines) == 0 {
			continue
		}
		if slices.Contains(ep.keptHeaders, name) && !slices.Contains(ep.proofHeaders, name) {
			r.Header[name] = []string{clip(lines[0], maxHeaderValue)}
		} else {
			r.Proof[name] = slices.Clone(lines)
		}
	}
	return r
}

func (r *Refused) keepBody(body []byte, whole bool) {
	r.Body, r.Size = bytes.Clone(body[:min(len(body), MaxRefusedBody)]), int64(len(body))
	if whole {
		sum := sha256.Sum256(body)
		r.SHA256 = hex.EncodeToString(sum[:])
	}
}

// rejected tells of a request that its sender was asked about and does not vouch for. It
// is told again when its row could not be given up.
func (g *Gateway) rejected(ep *endpoint, rq *request, v provider.Verdict) {
	if g.o.Refused == nil || !ep.remote || !g.o.Refused.Wants(ep.id, Forged, netip.Addr{}) {
		return
	}
	r := ep.refused(rq.Header)
	r.Result, r.Reason, r.Method, r.Spent = Forged, v.Reason, http.MethodPost, true
	r.ReceiveTime, r.Latency = rq.ReceiveTime, time.Since(rq.ReceiveTime)
	r.keepBody(rq.Body, true)
	g.o.Refused.Note(r)
}

// tell has what was refused kept once its answer is written.
func (x *exchange) tell(r *Refused) {
	if r == nil {
		return
	}
	c, ok := x.ctx.Conn().(*conn)
	if !ok {
		x.g.o.Refused.Note(r)
		return
	}
	c.told()
	c.refused, c.keeper = r, x.g.o.Refused
}

// told is called after a write. Of requests that came one upon the other, whose
// answers are written together, only the last waits for that.
func (c *conn) told() {
	if r := c.refused; r != nil {
		c.refused = nil
		c.keeper.Note(r)
	}
}
