package providertest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/tidwall/gjson"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// A tampering is a genuine request with something in it that the sender did not
// send.
type tampering struct {
	what    string
	request *provider.Request
}

// bodyTamperings is how many bytes of a body are flipped, each in a request of its
// own: the first, the last and some between.
const bodyTamperings = 32

// forgeable answers what of a genuine request could be changed although the verdict on it
// says otherwise: anything of the body when that is what it covers, and always what
// the proof is.
func forgeable(v provider.Verifier, req *provider.Request, coverage hookstreamv1.Verification_Coverage) (complaints []string) {
	proofs := changedHeaders(req, v.Headers())
	if coverage == hookstreamv1.Verification_COVERAGE_BODY {
		for _, tampered := range flippedBodies(req) {
			if genuine(v, tampered.request) {
				complaints = append(complaints, "genuine with "+tampered.what+", though the body is vouched for")
			}
		}
	} else {
		proofs = append(proofs, changedValues(req)...)
	}
	if !slices.ContainsFunc(proofs, func(p tampering) bool { return !genuine(v, p.request) }) {
		complaints = append(complaints, "genuine whichever header or value is changed: where is the proof?")
	}
	return complaints
}

func genuine(v provider.Verifier, req *provider.Request) bool {
	info, _ := v.Inspect(req) // Verify is asked whether or not it is content
	return v.Verify(context.Background(), req, info).Outcome == provider.Genuine
}

func flippedBodies(req *provider.Request) (out []tampering) {
	n := len(req.Body)
	step := max(1, n/bodyTamperings)
	for at := 0; at < n; at += step {
		out = append(out, flippedAt(req, at))
	}
	if n > 0 {
		out = append(out, flippedAt(req, n-1))
	}
	return append(out, tampering{"a byte more", with(req, append(slices.Clone(req.Body), '\n'))})
}

func flippedAt(req *provider.Request, at int) tampering {
	body := slices.Clone(req.Body)
	body[at] ^= 1
	return tampering{fmt.Sprintf("byte %d of its body flipped", at), with(req, body)}
}

// changedHeaders changes the last character of each header in turn: it stays a
// letter or digit where it was one.
func changedHeaders(req *provider.Request, names []string) (out []tampering) {
	for _, name := range names {
		if value := req.Header.Get(name); value != "" {
			header := req.Header.Clone()
			header.Set(name, value[:len(value)-1]+another(value[len(value)-1]))
			out = append(out, tampering{name + " changed", &provider.Request{Header: header, Body: req.Body, ReceiveTime: req.ReceiveTime}})
		}
	}
	return out
}

// changedValues changes the last character of each text of the body's object in
// turn: a token that the sender is asked about may be among them.
func changedValues(req *provider.Request) (out []tampering) {
	begin := max(0, bytes.IndexByte(req.Body, '{')) // behind a byte order mark
	gjson.ParseBytes(req.Body[begin:]).ForEach(func(key, value gjson.Result) bool {
		if end := begin + value.Index + len(value.Raw) - 2; value.Type == gjson.String && value.Str != "" {
			body := slices.Concat(req.Body[:end], []byte(another(req.Body[end])), req.Body[end+1:])
			out = append(out, tampering{key.Str + " changed", with(req, body)})
		}
		return true
	})
	return out
}

func another(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

func with(req *provider.Request, body []byte) *provider.Request {
	return &provider.Request{Header: req.Header, Body: body, ReceiveTime: req.ReceiveTime}
}
