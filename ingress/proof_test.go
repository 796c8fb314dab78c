package ingress_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
)

// ProofHeaders makes the test's remote provider a Prover: of a sender that is asked
// and signs too.
func (p *tokenProvider) ProofHeaders() []string { return []string{"X-Test-Proof"} }

func (p *tokenProvider) Recheck(req *provider.Request, kept provider.Kept) provider.Verdict {
	v := provider.Verdict{Method: "token", Outcome: provider.Rejected}
	if len(req.Header["X-Test-Proof"]) == 2 && kept.KeyFingerprint == "" {
		v.Outcome = provider.Genuine
	}
	return v
}

// What proves a request goes with it through the inbox: all lines, whole, in their
// order, and nothing else of its headers.
func TestTheInboxCarriesTheProof(t *testing.T) {
	f := setup(t)
	f.api.mint("t1")
	req, err := http.NewRequest(http.MethodPost, f.server.URL+remotePath, strings.NewReader(message("t1")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "X-Test-Proof": {"one", "two, three"}, "X-Other": {"hidden"}}
	if got := f.do(req); got.status != http.StatusOK {
		t.Fatalf("answered %d", got.status)
	}
	e := f.only()
	var lines []string
	for _, l := range e.GetProof().GetHeaders() {
		lines = append(lines, l.GetName()+": "+l.GetValue())
	}
	if want := []string{"X-Test-Proof: one", "X-Test-Proof: two, three"}; !slices.Equal(lines, want) {
		t.Errorf("kept are %q", lines)
	}
	if len(e.GetProof().GetSalt()) != 16 {
		t.Errorf("the salt is %x", e.GetProof().GetSalt())
	}
	rq, kept := ingress.KeptRequest(e)
	if v := new(tokenProvider).Recheck(rq, kept); v.Outcome != provider.Genuine {
		t.Errorf("from what is kept: %+v of %v", v, rq.Header)
	}
}

func TestAnswersAreKeptWithinBounds(t *testing.T) {
	long := make([]byte, provider.MaxAnswerBytes+1)
	if a := provider.NewAnswer(200, long); len(a.Body) != provider.MaxAnswerBytes || !a.Cut {
		t.Errorf("%d bytes, cut %v", len(a.Body), a.Cut)
	}
	if a := provider.NewAnswer(200, long[1:]); len(a.Body) != provider.MaxAnswerBytes || a.Cut {
		t.Errorf("%d bytes, cut %v", len(a.Body), a.Cut)
	}
}

// A fingerprint is the same for one credential, another for others, and no part of
// it.
func TestKeyFingerprint(t *testing.T) {
	a, b := provider.KeyFingerprint("0123456789abcdef0123456789abcdef"), provider.KeyFingerprint("0123456789abcdef0123456789abcdee")
	if len(a) != 16 || a == b || a != provider.KeyFingerprint("0123456789abcdef0123456789abcdef") {
		t.Errorf("%s and %s", a, b)
	}
}
