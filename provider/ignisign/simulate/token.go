package simulate

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/hookstream/hookstream/simulator"
)

// tokenLength is the length of the tokens that were seen.
const tokenLength = 46

// A token is what proves a webhook's origin, once.
type token struct {
	appID, appEnv string
	otherPurpose  bool
	minted        time.Time
	context       json.RawMessage // what it was made for, nil when not told
	spent         bool
	checks        int
}

// tokens are those minted and not forgotten yet.
type tokens struct {
	mu       sync.Mutex
	known    map[string]*token
	order    []string // a ring of names, oldest at next once it is full
	next     int
	max      int
	lifetime time.Duration
}

func (t *tokens) init(opts Options) {
	t.known = make(map[string]*token)
	t.max, t.lifetime = opts.MaxTokens, opts.TokenLifetime
}

// mint remembers a token under a new name, and forgets the oldest if there are
// too many.
func (t *tokens) mint(tok *token) string {
	name := simulator.RandomText(tokenLength)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known[name] = tok
	if len(t.order) < t.max {
		t.order = append(t.order, name)
		return name
	}
	delete(t.known, t.order[t.next])
	t.order[t.next] = name
	t.next = (t.next + 1) % t.max
	return name
}

// check gives the verdict on a token for an application, and spends it if it is
// good.
func (t *tokens) check(name string, by App, now time.Time, expired bool) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	tok, ok := t.known[name]
	if !ok {
		return verdict{NotFound: true}
	}
	tok.checks++
	switch {
	case tok.otherPurpose:
		return verdict{BadTarget: true}
	case !by.same(tok.appID, tok.appEnv):
		return verdict{BadRelatedID: true}
	case tok.spent:
		return verdict{AlreadyConsumed: true}
	case expired || t.lifetime > 0 && now.Sub(tok.minted) >= t.lifetime:
		return verdict{IsExpired: true}
	}
	tok.spent = true
	return verdict{IsValid: true, HaveBeenConsumed: true, Context: tok.context}
}

func (t *tokens) checksOf(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tok := t.known[name]; tok != nil {
		return tok.checks
	}
	return 0
}

// A verdict is the answer to a check, field for field.
type verdict struct {
	IsValid          bool            `json:"isValid"`
	Context          json.RawMessage `json:"context"`
	NotFound         bool            `json:"notFound"`
	AlreadyConsumed  bool            `json:"alreadyConsumed"`
	BadTarget        bool            `json:"badTarget"`
	IsExpired        bool            `json:"isExpired"`
	BadRelatedID     bool            `json:"badRelatedId"`
	HaveBeenConsumed bool            `json:"haveBeenConsumed"`
}

// code is the error that amounts to a negative verdict.
func (v verdict) code() string {
	switch {
	case v.NotFound:
		return "TOKEN_NOT_FOUND"
	case v.AlreadyConsumed:
		return "TOKEN_ALREADY_CONSUMED"
	case v.IsExpired:
		return "TOKEN_EXPIRED"
	}
	return "TOKEN_INVALID"
}

// MintToken makes a verification token for an application: 46 letters and digits,
// good for one check.
func (s *API) MintToken(appID, appEnv string) string {
	return s.tokens.mint(&token{appID: appID, appEnv: appEnv, minted: s.opts.Now()})
}

// MintOtherToken makes a token that exists but serves another purpose than
// webhooks.
func (s *API) MintOtherToken(appID, appEnv string) string {
	return s.tokens.mint(&token{appID: appID, appEnv: appEnv, minted: s.opts.Now(), otherPurpose: true})
}

// Checks answers how many questions about a token were read, whatever the answer
// was and whether or not it was lost. 0 for a token that is not known.
func (s *API) Checks(token string) int { return s.tokens.checksOf(token) }

// checkToken answers a check, which is also the consumption.
func (s *API) checkToken(by App, r *http.Request, expired bool) reply {
	var asked struct{ Token, AppID, AppEnv string }
	if no := read(r, &asked); no != nil {
		return *no
	}
	if asked.Token == "" || asked.AppID == "" || asked.AppEnv == "" {
		return failure(http.StatusBadRequest, "BODY_VALIDATION_FAILED", "token, appId and appEnv are required")
	}
	if !by.same(asked.AppID, asked.AppEnv) {
		return failure(http.StatusForbidden, "UNAUTHORIZED_ERROR", "The bearer is of another application or environment")
	}
	s.counters.checks.Add(1)
	v := s.tokens.check(asked.Token, by, s.opts.Now(), expired)
	return s.pronounce(v)
}

func (s *API) pronounce(v verdict) reply {
	switch {
	case v.IsValid:
		s.counters.spent.Add(1)
		return reply{status: http.StatusOK, body: v}
	case s.opts.RefusalStatus >= 400:
		return failure(s.opts.RefusalStatus, v.code(), "The token is not good")
	}
	return reply{status: s.opts.RefusalStatus, body: v}
}
