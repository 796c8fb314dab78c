package ignisign

import (
	"testing"

	"github.com/hookstream/hookstream/provider"
)

// What is kept of a verdict says the same when it is read again: of the answers that
// the API's examples are, and of answers that are not whole.
func TestRecheck(t *testing.T) {
	for _, c := range []struct {
		why    string
		body   string
		status int
		spent  bool
		want   provider.Outcome
		reason string
	}{
		{"valid", "verification.response.valid", 200, false, provider.Genuine, ""},
		{"valid, with a context", "verification.response.valid-with-context", 201, false, provider.Genuine, ""},
		{"not found", "verification.response.not-found", 404, false, provider.Rejected, ReasonTokenNotFound},
		{"spent by somebody", "verification.response.already-consumed", 200, false, provider.Rejected, ReasonTokenAlreadyConsumed},
		{"spent by us", "verification.response.already-consumed", 200, true, provider.Genuine, ""},
	} {
		f := newFakeAPI(t, "v4")
		f.check = reply(c.status, apiExample(t, c.body))
		p := f.provider(newKey)
		req := request(t, "SIGNATURE_REQUEST.COMPLETED")
		v := p.Verify(t.Context(), req, provider.Info{})
		if v.Answer == nil || v.KeyFingerprint != provider.KeyFingerprint(newKey) {
			t.Fatalf("%s: %+v", c.why, v)
		}
		kept := provider.Kept{KeyFingerprint: v.KeyFingerprint, Answer: v.Answer, SpentByUs: c.spent}
		if got := p.Recheck(req, kept); got.Outcome != c.want || got.Reason != c.reason {
			t.Errorf("%s: %+v", c.why, got)
		}
		if checks, _ := f.asked(); checks != 1 {
			t.Errorf("%s: asked %d times", c.why, checks)
		}
		kept.Answer = &provider.Answer{Status: v.Answer.Status, Body: v.Answer.Body, Cut: true}
		if got := p.Recheck(req, kept); got.Outcome != provider.Undecided || got.Reason != provider.ReasonAnswerCut {
			t.Errorf("%s, cut: %+v", c.why, got)
		}
		if got := p.Recheck(req, provider.Kept{}); got.Outcome != provider.Undecided || got.Reason != provider.ReasonProofNotKept {
			t.Errorf("%s, not kept: %+v", c.why, got)
		}
	}
}
