package yousign_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/yousign"
)

// What is told to others than who has the secret in hand holds neither the signature that
// would be right, by which anybody could sign what they like, nor anything of the secrets;
// and what happened is found by each secret that the source has.
func TestStepsTellNoSignature(t *testing.T) {
	const other, secret = "another-secret-of-the-source", "the-secret-of-the-source"
	const body = "{\"event_name\":\"signer.done\",\"data\":{}}"
	src := &hookstreamv1.Source{Config: &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{Secrets: []string{other, secret}}}}
	for _, c := range []struct{ name, body, signature, evidence string }{
		{"genuine", body, yousign.Sign(secret, []byte(body)), ""},
		{"a line feed too many", body + "\n", yousign.Sign(secret, []byte(body)), "the signature fits the body without its last line feed"},
		{"a secret with a space", body, yousign.Sign(secret+"\n", []byte(body)), "the signature fits the secret with a line feed at its end"},
		{"forged", body, "sha256=" + strings.Repeat("ab", 32), "either the secret is another"},
		{"no signature", body, "a-token-of-somebody", "give the header's value"},
	} {
		var told strings.Builder
		x := provider.Examination{
			Source: src, Request: &provider.Request{
				Header: http.Header{"X-Yousign-Signature-256": {c.signature}}, Body: []byte(c.body), ReceiveTime: time.Now(),
			},
			Step: func(name, format string, args ...any) { fmt.Fprintf(&told, name+": "+format+"\n", args...) },
		}
		err := yousign.Provider{}.Examine(t.Context(), x)
		if genuine := c.evidence == ""; genuine != (err == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		var advice provider.Advice
		if c.evidence != "" && (!errors.As(err, &advice) || !strings.HasPrefix(advice.Hint(), c.evidence)) {
			t.Errorf("%s: %v, %q; want %q", c.name, err, advice.Hint(), c.evidence)
		}
		all := fmt.Sprint(told.String(), err, advice.Hint())
		for _, private := range []string{c.signature, yousign.Sign(secret, []byte(c.body)), yousign.Sign(other, []byte(c.body)), secret, other, "a-token"} {
			if strings.Contains(all, private) {
				t.Errorf("%s: it tells %s:\n%s", c.name, private, all)
			}
		}
	}
}
