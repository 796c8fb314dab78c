// Package ignisign receives the webhooks of Ignisign, https://ignisign.io.
//
// A delivery is one JSON object: an envelope of application, environment, topic,
// action and nature, a content whose form follows from the topic, and a
// verification token. There is no signature, no event id and no time. Origin is
// proved by handing the token back to Ignisign's API, which answers once: asking
// spends the token. Hence requests are stored before Verify, and a verdict says
// whether the question may have been taken.
//
// docs/providers/ignisign.md tells operators what is known of all this, and how
// surely.
package ignisign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	"github.com/hookstream/hookstream/provider"
)

// Method is what a verdict of this provider says was checked.
const Method = "token"

// DefaultBaseURL is where Ignisign's API is.
const DefaultBaseURL = "https://api.ignisign.io"

// Verifier receives for one application and environment of Ignisign. It is safe
// for concurrent use.
type Verifier struct {
	appID, appEnv string
	api           *api
	credentials   *credentials
	fingerprint   string // of the API key
}

var (
	_ provider.Verifier = (*Verifier)(nil)
	_ provider.Prover   = (*Verifier)(nil)
)

// NewVerifier makes a Verifier. It refuses a configuration without application,
// environment or API key, and a base URL that is not plain http or https.
//
// The client may be shared between sources and may be nil, for NewClient; it
// follows no redirects, whatever its CheckRedirect says.
func NewVerifier(cfg *ignisignv1.SourceConfig, client *http.Client) (*Verifier, error) {
	switch {
	case cfg.GetAppId() == "":
		return nil, errors.New("ignisign: no app id")
	case cfg.GetAppEnv() == "":
		return nil, errors.New("ignisign: no app environment")
	case cfg.GetApiKey() == "":
		return nil, errors.New("ignisign: no API key")
	case strings.ContainsFunc(cfg.GetApiKey(), notInKeys):
		return nil, errors.New("ignisign: API key holds white space or other characters that no key has")
	}
	base, err := baseURL(cfg)
	if err != nil {
		return nil, err
	}
	a := newAPI(base, client)
	return &Verifier{
		appID: cfg.GetAppId(), appEnv: cfg.GetAppEnv(),
		api:         a,
		credentials: newCredentials(cfg, a, time.Now),
		fingerprint: provider.KeyFingerprint(cfg.GetApiKey()),
	}, nil
}

// Remote reports that Verify asks Ignisign.
func (p *Verifier) Remote() bool { return true }

// Headers answers none: all that counts is in the body.
func (p *Verifier) Headers() []string { return nil }

// ProofHeaders answers none, for the same reason.
func (p *Verifier) ProofHeaders() []string { return nil }

// Recheck reads Ignisign's answer again, and holds it against the body. That the
// answer came from Ignisign is the gateway's word.
func (p *Verifier) Recheck(req *provider.Request, kept provider.Kept) provider.Verdict {
	switch {
	case kept.Answer == nil:
		return undecided(provider.ReasonProofNotKept)
	case kept.Answer.Cut:
		return undecided(provider.ReasonAnswerCut)
	}
	e, err := readEnvelope(req.Body)
	if err != nil {
		return rejected(ReasonTokenMissing)
	}
	v := judge(answer{taken: true, status: kept.Answer.Status, body: kept.Answer.Body}, e)
	if v.Outcome == provider.Rejected && v.AlreadySpent && kept.SpentByUs {
		v = vouchedFor()
	}
	v.KeyFingerprint = kept.KeyFingerprint
	return v
}

// Verify asks Ignisign whether it made the request's token for this application,
// and thereby spends the token.
func (p *Verifier) Verify(ctx context.Context, req *provider.Request, _ provider.Info) provider.Verdict {
	e, err := readEnvelope(req.Body)
	if err != nil {
		return rejected(ReasonTokenMissing)
	}
	bearer, failed := p.credentials.bearer(ctx)
	if failed != nil {
		return *failed
	}
	got := p.ask(ctx, e.token, bearer)
	verdict := p.judge(got, e)
	if got.status != http.StatusUnauthorized || !verdict.OurFault || !p.credentials.renewable() {
		return verdict
	}
	// The short-lived token may have been withdrawn before its time: once more,
	// with a new one. The question was refused, so this spends nothing twice.
	if bearer, failed = p.credentials.renew(ctx, bearer); failed != nil {
		return *failed
	}
	return p.judge(p.ask(ctx, e.token, bearer), e)
}

// judge says what an answer is worth, and keeps it with that.
func (p *Verifier) judge(got answer, asked envelope) provider.Verdict {
	v := judge(got, asked)
	if got.status != 0 {
		v.Answer, v.KeyFingerprint = provider.NewAnswer(got.status, got.body), p.fingerprint
	}
	return v
}

func (p *Verifier) ask(ctx context.Context, token, bearer string) answer {
	return p.api.post(ctx, pathCheck, bearer, checkQuestion{Token: token, AppID: p.appID, AppEnv: p.appEnv})
}

// notInKeys reports what cannot be part of a key. An HTTP header could not hold
// it either.
func notInKeys(r rune) bool { return r <= ' ' || r > '~' }

// baseURL answers the address of the configured version of the API.
func baseURL(cfg *ignisignv1.SourceConfig) (string, error) {
	base := strings.TrimRight(cfg.GetApiBaseUrl(), "/")
	if base == "" {
		base = DefaultBaseURL
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", errors.New("ignisign: API base URL is not an http or https URL")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("ignisign: API base URL holds more than host and path")
	}
	switch v := cfg.GetApiVersion(); v {
	case ignisignv1.ApiVersion_API_VERSION_UNSPECIFIED, ignisignv1.ApiVersion_API_VERSION_V4:
		return base + "/v4", nil
	case ignisignv1.ApiVersion_API_VERSION_V3:
		return base + "/v3", nil
	default:
		return "", fmt.Errorf("ignisign: unknown API version %d", v)
	}
}
