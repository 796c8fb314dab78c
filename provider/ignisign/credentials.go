package ignisign

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/gjson"
	"golang.org/x/sync/singleflight"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/lenient"
)

// directPrefix begins the keys that are sent as they are. Older ones are
// exchanged for a JWT.
const directPrefix = "skv2_"

// renewMargin is how long before its end a JWT is renewed: longer than a
// question takes.
const renewMargin = 30 * time.Second

// credentials hold an API key and what it was exchanged for.
type credentials struct {
	question  authQuestion
	api       *api
	now       func() time.Time
	exchanges singleflight.Group

	// mu guards current, and is not held while a key is exchanged.
	mu      sync.Mutex
	current jwt
}

// A jwt is a bearer for a time.
type jwt struct {
	text    string
	renewAt time.Time // zero: use it until it is refused
}

func newCredentials(cfg *ignisignv1.SourceConfig, a *api, now func() time.Time) *credentials {
	return &credentials{
		question: authQuestion{AppID: cfg.GetAppId(), AppEnv: cfg.GetAppEnv(), Secret: cfg.GetApiKey()},
		api:      a, now: now,
	}
}

// renewable reports whether a refused bearer may be replaced by another.
func (c *credentials) renewable() bool { return !strings.HasPrefix(c.question.Secret, directPrefix) }

// bearer answers what to send, or the verdict when there is nothing to send.
func (c *credentials) bearer(ctx context.Context) (string, *provider.Verdict) {
	if !c.renewable() {
		return c.question.Secret, nil
	}
	t := c.cached()
	if t.fresh(c.now()) {
		return t.text, nil
	}
	return c.renew(ctx, t.text)
}

func (c *credentials) cached() jwt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

func (c *credentials) store(t jwt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = t
}

func (t jwt) fresh(now time.Time) bool {
	return t.text != "" && (t.renewAt.IsZero() || now.Before(t.renewAt))
}

// An exchange is what came of asking for a JWT.
type exchange struct {
	bearer string
	failed *provider.Verdict
}

// renew answers another bearer than the one that was used, or the verdict when
// none is to be had. Callers at the same time share one exchange, which does not
// end with the context of any of them.
func (c *credentials) renew(ctx context.Context, used string) (string, *provider.Verdict) {
	done := c.exchanges.DoChan("", func() (any, error) { return c.exchange(used), nil })
	select {
	case r := <-done:
		got := r.Val.(exchange)
		return got.bearer, got.failed
	case <-ctx.Done():
		failed := undecided(ReasonAPIUnavailable)
		return "", &failed
	}
}

func (c *credentials) exchange(used string) exchange {
	// Whoever was late for the last exchange finds its result here.
	if t := c.cached(); t.text != used && t.fresh(c.now()) {
		return exchange{bearer: t.text}
	}
	got := c.api.post(context.Background(), pathAuth, "", c.question)
	text := readJWT(got)
	if text == "" {
		failed := judgeAuth(got)
		return exchange{failed: &failed}
	}
	c.store(jwt{text: text, renewAt: renewTime(text, c.now())})
	return exchange{bearer: text}
}

// readJWT reads a JWT from the answer to an exchange, empty when it holds none.
func readJWT(got answer) string {
	if got.status/100 != 2 || lenient.Check(got.body) != nil {
		return ""
	}
	text := member(gjson.ParseBytes(got.body), "jwtToken").Str
	if strings.ContainsFunc(text, notInKeys) {
		return ""
	}
	return strings.Clone(text)
}

// judgeAuth says what a failed exchange means for the request that needed it.
// Its own question was never asked, so nothing is spent.
func judgeAuth(got answer) provider.Verdict {
	v := unanswered(got)
	if v.Reason == ReasonQuestionRefused {
		// All that was asked comes from our own configuration.
		v.Reason, v.OurFault = ReasonCredentialsRefused, true
	}
	v.MaybeSpent = false
	return v
}

// renewTime answers when to replace a JWT, zero when it does not say how long it
// holds, or when by our clock it has ended before it came: a clock is wrong then,
// and renewing all the time would not help.
func renewTime(text string, now time.Time) time.Time {
	end, ok := expiry(text)
	if !ok || !end.After(now) {
		return time.Time{}
	}
	// A token that holds for less than two minutes is used for three quarters of
	// its time.
	return end.Add(-min(renewMargin, end.Sub(now)/4))
}

// maxExpiry is the end of year 9999: far below where seconds overflow.
const maxExpiry = 253402300799

// expiry reads a JWT's exp. The signature is for Ignisign to check.
func expiry(text string) (time.Time, bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil || lenient.Check(claims) != nil {
		return time.Time{}, false
	}
	exp := member(gjson.ParseBytes(claims), "exp")
	if exp.Type != gjson.Number || exp.Num <= 0 || exp.Num > maxExpiry {
		return time.Time{}, false
	}
	return time.Unix(int64(exp.Num), 0), true
}
