package yousign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

var _ provider.Examiner = Provider{}

// Evidence is the signature.
func (Provider) Evidence(src *hookstreamv1.Source) provider.Evidence {
	return provider.Evidence{Header: headerOf(src.GetYousign()), Form: signaturePrefix + " and 64 digits", Example: signaturePrefix + "52a1e209"}
}

// Examine says whether the request is genuine, by the very code of the gateway, and
// if it is not, why.
func (Provider) Examine(ctx context.Context, given provider.Examination) error {
	cfg := given.Source.GetYousign()
	verifier, err := NewVerifier(cfg)
	if err != nil {
		return err
	}
	x := examination{
		Examination: given, secrets: cfg.GetSecrets(), body: given.Request.Body,
		signature: given.Request.Header.Get(headerOf(cfg)),
	}
	return x.run(ctx, verifier)
}

// An examination is a request, a signature and the secrets of which one should fit.
type examination struct {
	provider.Examination
	secrets   []string
	body      []byte
	signature string
}

func (x examination) run(ctx context.Context, verifier *Verifier) error {
	x.Step("body", "%d bytes, sha256 %s", len(x.body), hexSum(x.body))
	for _, secret := range x.secrets {
		x.Tell("secret", "%d characters, fingerprint %s", len(secret), hexSum([]byte(secret))[:8])
	}
	info, inspectErr := verifier.Inspect(x.Request)
	if inspectErr != nil {
		x.Step("envelope", "NOT THERE: %s", inspectErr)
	} else {
		x.Step("envelope", "ok: %s", provider.Told(event.JoinType(info.Topic, info.Action), info.EventID, info.Environment, info.Entity))
	}
	if err := x.form(); err != nil {
		return err
	}
	verdict := verifier.Verify(ctx, x.Request, info)
	if verdict.Outcome != provider.Genuine {
		x.Step("digest", "DIFFERS")
		x.Tell("  given", "%s", x.signature)
		for _, secret := range x.secrets {
			x.Tell("  computed", "%s", Sign(secret, x.body))
		}
		return provider.Advise(fmt.Errorf("%w: %s", provider.ErrNotGenuine, verdict.Reason), "%s", x.suspect())
	}
	if x.Detail == nil {
		x.Step("digest", "ok")
	}
	x.Tell("digest", "ok: %s", Sign(x.secrets[verdict.SecretIndex-1], x.body))
	if inspectErr != nil {
		return provider.Advise(errors.New("signed with this secret, but not an event: the gateway keeps it without a type"), "is this the body of a webhook?")
	}
	x.Step("verdict", "genuine")
	return nil
}

// form checks what a signature looks like.
func (x examination) form() error {
	digits, ok := strings.CutPrefix(x.signature, signaturePrefix)
	if !ok {
		x.Step("prefix", "MISSING: the signature does not begin with %s", signaturePrefix)
		x.Tell("  given", "%q", start(x.signature, 16))
		return provider.Advise(fmt.Errorf("%w: signature_malformed", provider.ErrNotGenuine), "give the header's value as it arrived, %s included", signaturePrefix)
	}
	x.Step("prefix", "ok: %s", signaturePrefix)
	if sum, err := hex.DecodeString(digits); err != nil || len(sum) != sha256.Size {
		x.Step("digits", "WRONG: %d characters instead of 64 hexadecimal digits", len(digits))
		return provider.Advise(fmt.Errorf("%w: signature_malformed", provider.ErrNotGenuine), "was the header cut or re-encoded on its way into the file?")
	}
	x.Step("digits", "ok: 64 hexadecimal digits")
	return nil
}

func start(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "…"
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
