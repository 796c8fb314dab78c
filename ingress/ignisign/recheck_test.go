package ignisign

import (
	"testing"

	"github.com/hookstream/hookstream/ingress"
)

// What is kept of a verdict says the same when it is read again: of the answers that
// the API's examples are, and of answers that are not whole.
func TestRecheck(t *testing.T) {
	for _, c := range []struct {
		why    string
		body   string
		status int
		spent  bool
		want   ingress.Outcome
		reason string
	}{
		{"valid", "verification.response.valid", 200, false, ingress.Genuine, ""},
		{"valid, with a context", "verification.response.valid-with-context", 201, false, ingress.Genuine, ""},
		{"not found", "verification.response.not-found", 404, false, ingress.Rejected, ReasonTokenNotFound},
		{"spent by somebody", "verification.response.already-consumed", 200, false, ingress.Rejected, ReasonTokenAlreadyConsumed},
		{"spent by us", "verification.response.already-consumed", 200, true, ingress.Genuine, ""},
	} {
		f := newFakeAPI(t, "v4")
		f.check = reply(c.status, apiExample(t, c.body))
		p := f.provider(newKey)
		req := request(t, "SIGNATURE_REQUEST.COMPLETED")
		v := p.Verify(t.Context(), req, ingress.Info{})
		if v.Answer == nil || v.KeyFingerprint != ingress.KeyFingerprint(newKey) {
			t.Fatalf("%s: %+v", c.why, v)
		}
		kept := ingress.Kept{KeyFingerprint: v.KeyFingerprint, Answer: v.Answer, SpentByUs: c.spent}
		if got := p.Recheck(req, kept); got.Outcome != c.want || got.Reason != c.reason {
			t.Errorf("%s: %+v", c.why, got)
		}
		if checks, _ := f.asked(); checks != 1 {
			t.Errorf("%s: asked %d times", c.why, checks)
		}
		kept.Answer = &ingress.Answer{Status: v.Answer.Status, Body: v.Answer.Body, Cut: true}
		if got := p.Recheck(req, kept); got.Outcome != ingress.Undecided || got.Reason != ingress.ReasonAnswerCut {
			t.Errorf("%s, cut: %+v", c.why, got)
		}
		if got := p.Recheck(req, ingress.Kept{}); got.Outcome != ingress.Undecided || got.Reason != ingress.ReasonProofNotKept {
			t.Errorf("%s, not kept: %+v", c.why, got)
		}
	}
}
