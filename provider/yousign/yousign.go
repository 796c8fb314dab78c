// Package yousign understands the webhooks of Yousign, renamed Youtrust in 2026:
// a JSON body about a signature request, one of its signers or approvers, a
// verification or a workflow, signed by an HMAC over its bytes.
//
// See https://developers.youtrust.com/docs/webhooks, and docs/providers/yousign.md
// for what of this is documented and what is assumed.
package yousign

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
)

// DefaultSignatureHeader is the header that carries the signature when a source
// does not name another.
const DefaultSignatureHeader = "X-Yousign-Signature-256"

// method names in verdicts and in the catalog what Verify checks.
const method = "hmac-sha256"

// Verifier is one source of Yousign's webhooks. It keeps no connection and needs
// no closing.
type Verifier struct {
	header string
	keys   []key
	all    []*key // and those that are no longer accepted
}

var (
	_ provider.Verifier     = (*Verifier)(nil)
	_ provider.Prover       = (*Verifier)(nil)
	_ provider.HeaderKeeper = (*Verifier)(nil)
)

// NewVerifier makes a Verifier. It refuses a configuration without a secret or with an
// empty one: a signature under an empty key can be made by anybody.
func NewVerifier(cfg *yousignv1.SourceConfig) (*Verifier, error) {
	if len(cfg.GetSecrets()) == 0 {
		return nil, errors.New("yousign: no secret")
	}
	p := &Verifier{header: DefaultSignatureHeader, keys: make([]key, len(cfg.GetSecrets()))}
	if name := cfg.GetSignatureHeader(); name != "" {
		p.header = http.CanonicalHeaderKey(name)
	}
	for i, secret := range cfg.GetSecrets() {
		if secret == "" {
			return nil, errors.New("yousign: empty secret")
		}
		k := &p.keys[i]
		k.set(secret)
		if i < len(cfg.GetSecretStates()) && cfg.GetSecretStates()[i].GetExpireTime() != nil {
			k.expire = cfg.GetSecretStates()[i].GetExpireTime().AsTime()
			if !k.expire.After(time.Now()) {
				k.retired = k.expire
			}
		}
		p.all = append(p.all, k)
	}
	for _, retired := range cfg.GetRetiredSecrets() {
		k := new(key)
		k.set(retired.GetSecret())
		k.retired = retired.GetRetireTime().AsTime()
		p.all = append(p.all, k)
	}
	return p, nil
}

// Remote answers false: the signature is checked here.
func (p *Verifier) Remote() bool { return false }

// Headers names those with the signature and with the count of attempts.
func (p *Verifier) Headers() []string { return append([]string{p.header}, attemptHeaders...) }

// issuedAtHeader says when a request was sent. It is not signed.
const issuedAtHeader = "X-Yousign-Issued-At"

// KeptHeaders names those that count attempts, and that with the time.
func (p *Verifier) KeptHeaders() []string {
	return append(slices.Clone(attemptHeaders), issuedAtHeader)
}

// ProofHeaders names the header with the signature, and that with the time.
func (p *Verifier) ProofHeaders() []string { return []string{p.header, issuedAtHeader} }

// Verify checks the signature of the body with each secret that had not expired
// when the request arrived.
func (p *Verifier) Verify(_ context.Context, req *provider.Request, _ provider.Info) provider.Verdict {
	want, reason := readSignature(req.Header[p.header])
	if reason != "" {
		return rejected(reason)
	}
	for i := range p.keys {
		if k := &p.keys[i]; k.validAt(req.ReceiveTime) && k.signed(req.Body, want) {
			v := genuine(k)
			v.SecretIndex = i + 1
			return v
		}
	}
	return rejected(signatureMismatch)
}

// Recheck checks the signature with every secret that the source has, those no
// longer accepted included: which were accepted when the request arrived is no
// question any more.
func (p *Verifier) Recheck(req *provider.Request, kept provider.Kept) provider.Verdict {
	want, reason := readSignature(req.Header[p.signedBy(kept)])
	switch {
	case reason == signatureMissing && kept.KeyFingerprint != "":
		return unknown(provider.ReasonProofNotKept)
	case reason != "":
		return rejected(reason)
	}
	for _, k := range p.all {
		if k.signed(req.Body, want) {
			v := genuine(k)
			v.Retired = k.retired
			return v
		}
	}
	known := func(k *key) bool { return k.fingerprint == kept.KeyFingerprint }
	if kept.KeyFingerprint != "" && !slices.ContainsFunc(p.all, known) {
		return unknown(provider.ReasonSecretGone)
	}
	return rejected(signatureMismatch)
}

// signedBy names the header that a kept request has its signature in: the source may
// have called it otherwise then.
func (p *Verifier) signedBy(kept provider.Kept) string {
	for _, name := range kept.ProofHeaders {
		if name != issuedAtHeader {
			return name
		}
	}
	return p.header
}

func genuine(k *key) provider.Verdict {
	return provider.Verdict{
		Outcome: provider.Genuine, Method: method, KeyFingerprint: k.fingerprint,
		Coverage: hookstreamv1.Verification_COVERAGE_BODY,
	}
}

func unknown(reason string) provider.Verdict {
	return provider.Verdict{Outcome: provider.Undecided, Method: method, Reason: reason}
}

func rejected(reason string) provider.Verdict {
	return provider.Verdict{Outcome: provider.Rejected, Method: method, Reason: reason}
}
