package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookstream/hookstream/event"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/yousign"
)

const (
	signatureHeader = "X-Yousign-Signature-256"
	signaturePrefix = "sha256="
)

type verifyYousignCommand struct {
	Body       string `required:"" help:"File that holds the body as it arrived, - for standard input." placeholder:"FILE"`
	Signature  string `required:"" help:"Value of the header X-Yousign-Signature-256: sha256= and 64 digits." placeholder:"HEADER"`
	SecretFile string `help:"File that holds the subscription's secret key, - for standard input; else $HOOKSTREAM_YOUSIGN_SECRET." placeholder:"FILE"`
}

// Run says whether the request is genuine, by the very code of the gateway, and
// if it is not, why.
func (c *verifyYousignCommand) Run(ctx context.Context, p *program) error {
	if c.Body == "-" && c.SecretFile == "-" {
		return misused("--body and --secret-file cannot both read standard input")
	}
	secret, err := p.secret(c.SecretFile, yousignSecretVariable)
	if err != nil {
		return err
	}
	body, err := p.readFile(c.Body, maxCapturedBytes)
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	check := yousignCheck{secret: secret, body: body, signature: headerValue(c.Signature)}
	return check.run(ctx, newReport(p.stdout))
}

// headerValue accepts a whole header line where its value was asked for.
func headerValue(header string) string {
	name, value, ok := strings.Cut(header, ":")
	if !ok || !strings.EqualFold(strings.TrimSpace(name), signatureHeader) {
		return header
	}
	return strings.TrimSpace(value)
}

// A yousignCheck is a request, a signature and the secret that should fit.
type yousignCheck struct {
	secret    string
	body      []byte
	signature string
}

func (c yousignCheck) run(ctx context.Context, r report) error {
	defer r.end()
	verifier, err := yousign.NewVerifier(&yousignv1.SourceConfig{Secrets: []string{c.secret}})
	if err != nil {
		return err
	}
	req := &provider.Request{
		Header: http.Header{signatureHeader: {c.signature}}, Body: c.body, ReceiveTime: time.Now(),
	}
	r.step("body", "%d bytes, sha256 %s", len(c.body), hexSum(c.body))
	r.step("secret", "%d characters, fingerprint %s", len(c.secret), hexSum([]byte(c.secret))[:8])
	info, inspectErr := verifier.Inspect(req)
	if inspectErr != nil {
		r.step("envelope", "NOT THERE: %s", inspectErr)
	} else {
		r.step("envelope", "ok: %s", told(event.JoinType(info.Topic, info.Action), info.EventID, info.Environment, info.Entity))
	}
	if err := c.form(r); err != nil {
		return err
	}
	verdict := verifier.Verify(ctx, req, info)
	computed := yousign.Sign(c.secret, c.body)
	if verdict.Outcome != provider.Genuine {
		r.step("digest", "DIFFERS")
		r.step("  given", "%s", c.signature)
		r.step("  computed", "%s", computed)
		return hinted(fmt.Errorf("%w: %s", errNotGenuine, verdict.Reason), "%s", c.suspect())
	}
	r.step("digest", "ok: %s", computed)
	if inspectErr != nil {
		return hinted(errors.New("signed with this secret, but not an event: the gateway keeps it without a type"), "is this the body of a webhook?")
	}
	r.step("verdict", "genuine")
	return nil
}

// form checks what a signature looks like.
func (c yousignCheck) form(r report) error {
	digits, ok := strings.CutPrefix(c.signature, signaturePrefix)
	if !ok {
		r.step("prefix", "MISSING: %q does not begin with %s", start(c.signature, 16), signaturePrefix)
		return hinted(fmt.Errorf("%w: signature_malformed", errNotGenuine), "give the header's value as it arrived, %s included", signaturePrefix)
	}
	r.step("prefix", "ok: %s", signaturePrefix)
	if sum, err := hex.DecodeString(digits); err != nil || len(sum) != sha256.Size {
		r.step("digits", "WRONG: %d characters instead of 64 hexadecimal digits", len(digits))
		return hinted(fmt.Errorf("%w: signature_malformed", errNotGenuine), "was the header cut or re-encoded on its way into the file?")
	}
	r.step("digits", "ok: 64 hexadecimal digits")
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
