package yousign

import (
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
)

// A signature is checked again with every secret there is or was.
func TestRecheck(t *testing.T) {
	retired := time.Unix(1_700_000_000, 0)
	p, err := NewVerifier(&yousignv1.SourceConfig{
		Secrets:        []string{"now-accepted-0000", "expired-000000000"},
		SecretStates:   []*yousignv1.SecretState{{}, {ExpireTime: timestamppb.New(retired)}},
		RetiredSecrets: []*yousignv1.RetiredSecret{{Secret: secretK, RetireTime: timestamppb.New(retired)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		why, signature, by, body string
		want                     provider.Outcome
		reason                   string
		retired                  bool
	}{
		{"accepted", Sign("now-accepted-0000", []byte(bodyV1)), "now-accepted-0000", bodyV1, provider.Genuine, "", false},
		{"expired", Sign("expired-000000000", []byte(bodyV1)), "expired-000000000", bodyV1, provider.Genuine, "", true},
		{"retired", Sign(secretK, []byte(bodyV1)), secretK, bodyV1, provider.Genuine, "", true},
		{"another body", Sign(secretK, []byte(bodyV1)), secretK, bodyV1 + " ", provider.Rejected, signatureMismatch, false},
		{"another signature", Sign("somebody-else-000", []byte(bodyV1)), secretK, bodyV1, provider.Rejected, signatureMismatch, false},
		{"a secret that is gone", Sign("somebody-else-000", []byte(bodyV1)), "somebody-else-000", bodyV1, provider.Undecided, provider.ReasonSecretGone, false},
		{"no signature", "", secretK, bodyV1, provider.Undecided, provider.ReasonProofNotKept, false},
		{"half a signature", "sha256=00", secretK, bodyV1, provider.Rejected, signatureMalformed, false},
	} {
		got := p.Recheck(signedRequest(c.body, c.signature), provider.Kept{KeyFingerprint: provider.KeyFingerprint(c.by)})
		if got.Outcome != c.want || got.Reason != c.reason || !got.Retired.IsZero() != c.retired {
			t.Errorf("%s: %+v", c.why, got)
		}
	}
	// The header had another name when the request came.
	renamed := signedRequest(bodyV1, "")
	renamed.Header = http.Header{"X-Earlier": {Sign(secretK, []byte(bodyV1))}, issuedAtHeader: {"1738578245"}}
	kept := provider.Kept{KeyFingerprint: provider.KeyFingerprint(secretK), ProofHeaders: []string{issuedAtHeader, "X-Earlier"}}
	if got := p.Recheck(renamed, kept); got.Outcome != provider.Genuine {
		t.Errorf("under an earlier name: %+v", got)
	}
	// In shadow mode what nobody signed is kept too.
	if got := p.Recheck(signedRequest(bodyV1, ""), provider.Kept{}); got.Outcome != provider.Rejected || got.Reason != signatureMissing {
		t.Errorf("kept though nobody signed it: %+v", got)
	}
	// Retired means that nobody is let in with it.
	if v := p.Verify(t.Context(), signedRequest(bodyV1, Sign(secretK, []byte(bodyV1))), provider.Info{}); v.Outcome != provider.Rejected {
		t.Errorf("let in: %+v", v)
	}
}
