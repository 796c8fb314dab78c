package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hookstream/hookstream/event"
	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/ignisign"
)

type verifyIgnisignCommand struct {
	Body       string `required:"" help:"File that holds the body as it arrived, - for standard input." placeholder:"FILE"`
	AppID      string `name:"app-id" required:"" help:"The application that the source is for." placeholder:"ID"`
	AppEnv     string `required:"" help:"Its environment." placeholder:"ENV"`
	Ask        bool   `help:"Ask Ignisign's API whether the token is genuine. That SPENDS the token: a gateway that has not asked yet will take the request for a replay. Needs --yes."`
	Yes        bool   `help:"Do spend the token."`
	SecretFile string `help:"With --ask: file that holds the API key, - for standard input; else $HOOKSTREAM_IGNISIGN_API_KEY." placeholder:"FILE"`
	APIURL     string `name:"api-url" help:"With --ask: where Ignisign's API is, if not https://api.ignisign.io." placeholder:"URL"`
	APIVersion string `name:"api-version" help:"With --ask: which version of the API to ask." enum:"v4,v3" default:"v4" placeholder:"v4|v3"`
}

// Run says what the body tells and, if it is to ask, what Ignisign says.
func (c *verifyIgnisignCommand) Run(ctx context.Context, p *program) error {
	switch {
	case c.Ask && !c.Yes:
		return misused("--ask spends the token, which can be asked about once: say --yes to do so")
	case c.Body == "-" && c.SecretFile == "-":
		return misused("--body and --secret-file cannot both read standard input")
	}
	verifier, err := c.verifier(p)
	if err != nil {
		return err
	}
	body, err := p.readFile(c.Body, maxCapturedBytes)
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	req := &provider.Request{Header: http.Header{}, Body: body, ReceiveTime: time.Now()}
	return c.check(ctx, newReport(p.stdout), verifier, req)
}

// verifier needs the API key only to ask.
func (c *verifyIgnisignCommand) verifier(p *program) (provider.Verifier, error) {
	key := "unused"
	if c.Ask {
		var err error
		if key, err = p.secret(c.SecretFile, ignisignKeyVariable); err != nil {
			return nil, err
		}
	}
	return ignisign.NewVerifier(&ignisignv1.SourceConfig{
		AppId: c.AppID, AppEnv: c.AppEnv, ApiKey: key, ApiBaseUrl: c.APIURL, ApiVersion: apiVersions[c.APIVersion],
	}, nil)
}

func (c *verifyIgnisignCommand) check(ctx context.Context, r report, verifier provider.Verifier, req *provider.Request) error {
	defer r.end()
	r.step("body", "%d bytes, sha256 %s", len(req.Body), hexSum(req.Body))
	info, err := verifier.Inspect(req)
	switch {
	case errors.Is(err, provider.ErrNotForSource):
		r.step("envelope", "ok")
		r.step("target", "DIFFERS: the body names another application or environment")
		return hinted(fmt.Errorf("%w: for another source", errNotGenuine), "the gateway answers 401 without asking Ignisign; compare appId and appEnv with the source's")
	case err != nil:
		r.step("envelope", "NOT THERE: %s", err)
		return hinted(fmt.Errorf("%w: %w", errNotGenuine, err), "the gateway answers 400: the body must be JSON with a verificationToken")
	}
	r.step("envelope", "ok: %s", told(event.JoinType(info.Topic, info.Action), info.Entity))
	r.step("target", "ok: %s, %s", c.AppID, c.AppEnv)
	if !c.Ask {
		r.step("token", "not asked: only Ignisign's API can tell whether the token is genuine, once")
		r.step("verdict", "plausible; --ask --yes finds out, and spends the token")
		return nil
	}
	return tellVerdict(r, verifier.Verify(ctx, req, info))
}

// tellVerdict says what Ignisign answered.
func tellVerdict(r report, verdict provider.Verdict) error {
	switch {
	case verdict.Outcome == provider.Genuine:
		r.step("token", "ok: Ignisign vouches for it; it is spent now")
		r.step("verdict", "genuine")
		return nil
	case verdict.Outcome == provider.Undecided:
		r.step("token", "NO ANSWER: %s", verdict.Reason)
		err := fmt.Errorf("undecided: %s", verdict.Reason)
		if verdict.OurFault {
			return hinted(err, "Ignisign refuses the API key: is it the one of this application and environment?")
		}
		if verdict.MaybeSpent {
			return hinted(err, "the token may be spent now: ask again, and take \"already used\" for yes")
		}
		return hinted(err, "the question did not reach Ignisign: ask again later")
	case verdict.AlreadySpent:
		r.step("token", "USED BEFORE")
		return hinted(fmt.Errorf("%w, or asked about before: %s", errNotGenuine, verdict.Reason), "a token is good for one question: did a gateway ask, or this command? The event's entry in Ignisign's console tells")
	}
	r.step("token", "REFUSED: %s", verdict.Reason)
	return fmt.Errorf("%w: %s", errNotGenuine, verdict.Reason)
}
