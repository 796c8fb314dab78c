package ignisign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

var _ provider.Examiner = Provider{}

// Evidence is the token in the body.
func (Provider) Evidence(*hookstreamv1.Source) provider.Evidence {
	return provider.Evidence{
		Asking: "Ask Ignisign's API whether the token is genuine. That SPENDS the token: a gateway that has not asked yet will take the request for a replay.",
	}
}

// Examine says what the body tells and, if it is to ask, what Ignisign says.
func (Provider) Examine(ctx context.Context, x provider.Examination) error {
	cfg := proto.CloneOf(x.Source.GetIgnisign())
	if !x.Ask {
		cfg.ApiKey = "unused" // it is needed only to ask
	}
	verifier, err := NewVerifier(cfg, nil)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(x.Request.Body)
	x.Step("body", "%d bytes, sha256 %s", len(x.Request.Body), hex.EncodeToString(sum[:]))
	info, err := verifier.Inspect(x.Request)
	switch {
	case errors.Is(err, provider.ErrNotForSource):
		x.Step("envelope", "ok")
		x.Step("target", "DIFFERS: the body names another application or environment")
		return provider.Advise(fmt.Errorf("%w: for another source", provider.ErrNotGenuine), "the gateway answers 401 without asking Ignisign; compare appId and appEnv with the source's")
	case err != nil:
		x.Step("envelope", "NOT THERE: %s", err)
		return provider.Advise(fmt.Errorf("%w: %w", provider.ErrNotGenuine, err), "the gateway answers 400: the body must be JSON with a verificationToken")
	}
	x.Step("envelope", "ok: %s", provider.Told(event.JoinType(info.Topic, info.Action), info.Entity))
	x.Step("target", "ok: %s, %s", cfg.GetAppId(), cfg.GetAppEnv())
	if !x.Ask {
		x.Step("token", "not asked: only Ignisign's API can tell whether the token is genuine, once")
		x.Step("verdict", "plausible; --ask --yes finds out, and spends the token")
		return nil
	}
	return tellVerdict(x, verifier.Verify(ctx, x.Request, info))
}

// tellVerdict says what Ignisign answered.
func tellVerdict(x provider.Examination, verdict provider.Verdict) error {
	switch {
	case verdict.Outcome == provider.Genuine:
		x.Step("token", "ok: Ignisign vouches for it; it is spent now")
		x.Step("verdict", "genuine")
		return nil
	case verdict.Outcome == provider.Undecided:
		x.Step("token", "NO ANSWER: %s", verdict.Reason)
		err := fmt.Errorf("undecided: %s", verdict.Reason)
		if verdict.OurFault {
			return provider.Advise(err, "Ignisign refuses the API key: is it the one of this application and environment?")
		}
		if verdict.MaybeSpent {
			return provider.Advise(err, "the token may be spent now: ask again, and take \"already used\" for yes")
		}
		return provider.Advise(err, "the question did not reach Ignisign: ask again later")
	case verdict.AlreadySpent:
		x.Step("token", "USED BEFORE")
		return provider.Advise(fmt.Errorf("%w, or asked about before: %s", provider.ErrNotGenuine, verdict.Reason), "a token is good for one question: did a gateway ask, or this command? The event's entry in Ignisign's console tells")
	}
	x.Step("token", "REFUSED: %s", verdict.Reason)
	return fmt.Errorf("%w: %s", provider.ErrNotGenuine, verdict.Reason)
}
