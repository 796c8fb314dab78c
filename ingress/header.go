package ingress

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// checkHeader refuses by the headers what need not be read. A request without
// Content-Type is let through: every sender documents JSON, none promises the
// header, and what is not JSON is found out soon enough.
func checkHeader(h http.Header, contentLength, maxBody int) Result {
	switch {
	case !allAre(h["Content-Type"], "application/json"), !allAre(h["Content-Encoding"], "identity"):
		return WrongContentType
	case contentLength > maxBody:
		return TooLarge
	}
	return resultNone
}

// read are the headers that any request is looked at for, besides those that are
// kept and those that its provider reads.
var read = []string{"Content-Type", "Content-Encoding"}

// readBy lists the headers that requests of a provider are to have.
func readBy(p provider.Verifier) []string {
	names := slices.Concat(read, keptHeaders(p), p.Headers(), proofHeaders(p))
	slices.Sort(names)
	return slices.Compact(names)
}

// headers holds those of one request's headers that its provider and we look at.
// Most others are of no use, and some are credentials. It is used again.
type headers struct {
	values http.Header
	lines  []string
	text   []byte // of all lines, one after the other
	ends   []lineEnd
}

// lineEnd is where the text of a line of that name ends.
type lineEnd struct {
	name string
	end  int
}

// read copies the headers that are named, and no other.
func (h *headers) read(from *fasthttp.RequestHeader, names []string) http.Header {
	for name, value := range from.All() {
		if i := indexOf(names, name); i >= 0 {
			h.text = append(h.text, value...)
			h.ends = append(h.ends, lineEnd{names[i], len(h.text)})
		}
	}
	if h.values == nil {
		h.values = make(http.Header, len(names))
	}
	text, start := string(h.text), 0 // one string for all
	for _, l := range h.ends {
		h.add(l.name, text[start:l.end])
		start = l.end
	}
	return h.values
}

func indexOf(names []string, name []byte) int {
	for i, n := range names {
		if n == string(name) {
			return i
		}
	}
	return -1
}

func (h *headers) add(name, line string) {
	before := h.values[name]
	if len(before) > 0 { // rare
		h.values[name] = append(before, line)
		return
	}
	n := len(h.lines)
	h.lines = append(h.lines, line)
	h.values[name] = h.lines[n : n+1 : n+1]
}

func (h *headers) reset() {
	clear(h.values)
	clear(h.lines)
	h.lines, h.text, h.ends = h.lines[:0], h.text[:0], h.ends[:0]
}

// allAre reports whether every value is want, parameters aside.
func allAre(values []string, want string) bool {
	for _, v := range values {
		v, _, _ = strings.Cut(v, ";")
		if v = strings.TrimSpace(v); v != "" && !strings.EqualFold(v, want) {
			return false
		}
	}
	return true
}

// kept are the headers that are stored with any request, besides those that say
// something about a sender's protocol. Credentials and cookies are never among them:
// a header is listed here, or by a provider, or is the sender's proof, or is
// forgotten.
var kept = []string{
	"Content-Type",
	"User-Agent",
	"Traceparent",
	"Tracestate",
}

// maxHeaderValue bounds a stored header value, in bytes; what is longer is cut.
const maxHeaderValue = 1024

// keepHeaders takes the first line of each header that is named, in that order.
func (d *draft) keepHeaders(h http.Header, names []string) {
	for i, name := range names {
		if values := h[name]; len(values) > 0 {
			line := new(hookstreamv1.RawRequest_Header)
			if i < len(d.headers) {
				line = &d.headers[i]
			}
			line.Name, line.Value = name, clip(values[0], maxHeaderValue)
			d.raw.Headers = append(d.raw.Headers, line)
		}
	}
}

// keepProofHeaders takes every line of the headers that hold the sender's proof,
// whole. How much that may be is bounded by the server.
func (d *draft) keepProofHeaders(h http.Header, names []string) {
	for _, name := range names {
		for _, value := range h[name] {
			line := new(hookstreamv1.Proof_Line)
			if n := len(d.proof.Headers); n < len(d.lines) {
				line = &d.lines[n]
			}
			line.Name, line.Value = name, value
			if !utf8.ValidString(value) {
				line.Value, line.BinaryValue = "", []byte(value)
			}
			d.proof.Headers = append(d.proof.Headers, line)
		}
	}
}

// proofHeader adds the lines of a proof to the headers that were kept cut.
func proofHeader(h http.Header, lines []*hookstreamv1.Proof_Line) {
	for _, l := range lines {
		h.Del(l.GetName())
	}
	for _, l := range lines {
		value := l.GetValue()
		if len(l.GetBinaryValue()) > 0 {
			value = string(l.GetBinaryValue())
		}
		h.Add(l.GetName(), value)
	}
}

// keepProof writes what a verdict rests on.
func (d *draft) keepProof(v *provider.Verdict) {
	d.proof.KeyFingerprint = v.KeyFingerprint
	if v.Answer != nil {
		d.proof.Answer = &hookstreamv1.Proof_Answer{Status: int32(v.Answer.Status), Body: v.Answer.Body, Cut: v.Answer.Cut}
	}
	_, _ = rand.Read(d.salt[:]) // never fails
	d.proof.Salt = d.salt[:]
}

// keptHeader is keepHeaders the other way round.
func keptHeader(lines []*hookstreamv1.RawRequest_Header) http.Header {
	h := make(http.Header, len(lines))
	for _, l := range lines {
		h.Add(l.GetName(), l.GetValue())
	}
	return h
}

// traceParent answers the request's W3C traceparent, if it carries one valid.
func traceParent(h http.Header) string {
	values := h["Traceparent"]
	if len(values) != 1 || !validTraceParent(values[0]) {
		return ""
	}
	return values[0]
}

// validTraceParent: version, trace id, parent id and flags, as
// https://www.w3.org/TR/trace-context/#traceparent-header has them. Of a later
// version, which may have more, nothing is taken.
func validTraceParent(s string) bool {
	if len(s) != 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	version, trace, parent, flags := s[:2], s[3:35], s[36:52], s[53:]
	return version == "00" && isHex(trace) && isHex(parent) && isHex(flags) &&
		strings.Trim(trace, "0") != "" && strings.Trim(parent, "0") != ""
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
