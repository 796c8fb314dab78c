package providertest

import (
	"bytes"
	"context"
	"net/http"
	"testing"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

const (
	body      = hookstreamv1.Verification_COVERAGE_BODY
	tokenOnly = hookstreamv1.Verification_COVERAGE_TOKEN
)

// A lax verifier looks at what looks at.
type lax func(*provider.Request) bool

func (lax) Inspect(*provider.Request) (provider.Info, error) { return provider.Info{}, nil }
func (lax) Remote() bool                                     { return false }
func (lax) Headers() []string                                { return []string{"X-Attempt", "X-Signature"} }

func (accepts lax) Verify(_ context.Context, req *provider.Request, _ provider.Info) provider.Verdict {
	if accepts(req) {
		return provider.Verdict{Outcome: provider.Genuine}
	}
	return provider.Verdict{Outcome: provider.Rejected}
}

// Who accepts more than the sender vouches for is told, who does not is not.
func TestTaken(t *testing.T) {
	req := &provider.Request{
		Header: http.Header{"X-Attempt": {"1"}, "X-Signature": {"abc"}},
		Body:   []byte(`{"token":"t-1","appId":"a"}`),
	}
	signed := func(r *provider.Request) bool { return r.Header.Get("X-Signature") == "abc" }
	whole := func(r *provider.Request) bool { return bytes.Equal(r.Body, req.Body) }
	token := func(r *provider.Request) bool { return bytes.Contains(r.Body, []byte(`"t-1"`)) }
	for _, c := range []struct {
		why      string
		accepts  lax
		coverage hookstreamv1.Verification_Coverage
		told     bool
	}{
		{"everything, said to be of the body", func(*provider.Request) bool { return true }, body, true},
		{"everything, said to be of a token", func(*provider.Request) bool { return true }, tokenOnly, true},
		{"any body beside a signature", signed, body, true},
		{"this body beside any signature", whole, body, true},
		{"the beginning of the body", func(r *provider.Request) bool { return signed(r) && bytes.HasPrefix(r.Body, req.Body) }, body, true},
		{"this body beside its signature", func(r *provider.Request) bool { return signed(r) && whole(r) }, body, false},
		{"any body with the token", token, tokenOnly, false},
		{"any body beside a secret in a header", signed, hookstreamv1.Verification_COVERAGE_NONE, false},
	} {
		if got := forgeable(c.accepts, req, c.coverage); (len(got) > 0) != c.told {
			t.Errorf("accepts %s: told %q", c.why, got)
		}
	}
}
