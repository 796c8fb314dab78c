package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
)

// The program is killed between every two steps of the way of a request whose
// verification asks Ignisign and spends the token: what was answered 200 and is
// genuine is published after the restart, once; what is forged never is.
func TestKillBetweenEveryTwoSteps(t *testing.T) {
	for _, step := range ingress.Steps() {
		for _, after := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s/%d", step, after), func(t *testing.T) {
				t.Parallel()
				killAt(t, step, after)
			})
		}
	}
}

func killAt(t *testing.T, step string, after int) {
	api := startSimulator(t, simulate.Options{})
	// Slower than the gateway lets senders wait: they are answered 200 before
	// the verdict is known, so that what dies with it was acknowledged.
	if err := api.SetFaults(simulate.Faults{Delay: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	p := newProcess(t)
	p.start("HOOKSTREAM_VERIFY_WAIT=20ms", "HOOKSTREAM_DIE_AT="+step, fmt.Sprintf("HOOKSTREAM_DIE_AFTER=%d", after))
	src := p.createSource("esign", ignisignSource(api, 0))
	url := "http://" + p.ingress + src.GetIngressPath()
	const total = 12
	acked := make(map[string]bool)
	for n := range total {
		id := fmt.Sprintf("contract-%d", n)
		token := api.MintToken(api.App().ID, api.App().Env)
		if isForged(n) {
			id, token = "forged-"+id, strings.Repeat("x", 46)
		}
		if postIgnisign(t, api, url, id, token) == http.StatusOK {
			acked[id] = true
		}
	}
	p.waitDeath()
	p.start()
	found := p.waitEvents(func(found map[string]int) bool {
		for id := range acked {
			if !strings.HasPrefix(id, "forged-") && found[id] == 0 {
				return false
			}
		}
		return true
	})
	for id, n := range found {
		if n != 1 {
			t.Errorf("%s is in the log %d times", id, n)
		}
		if strings.HasPrefix(id, "forged-") {
			t.Errorf("%s was published", id)
		}
	}
	t.Logf("%d answered 200, %d published", len(acked), len(found))
}

func isForged(n int) bool { return n%4 == 2 }

func startSimulator(t testing.TB, o simulate.Options) *simulate.API {
	t.Helper()
	api, err := simulate.Start("127.0.0.1:0", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	return api
}

// ignisignSource is a source for the n-th application that the API knows.
func ignisignSource(api *simulate.API, n int) *hookstreamv1.Source {
	a := api.Apps()[n]
	return &hookstreamv1.Source{
		MaxRequestsPerSecond: 1e6,
		Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{
			AppId: a.ID, AppEnv: a.Env, ApiKey: a.Keys[0], ApiBaseUrl: api.URL(),
		}},
	}
}

// postIgnisign posts a webhook about the signature request with that external
// id, and answers the status; 0 when there was no answer.
func postIgnisign(t testing.TB, api *simulate.API, url, externalID, token string) int {
	t.Helper()
	body, err := ignisign.Sample("SIGNATURE_REQUEST.COMPLETED", api.App().ID, api.App().Env, token)
	if err != nil {
		t.Fatal(err)
	}
	body = bytes.Replace(body, []byte("contract-2042"), []byte(externalID), 1)
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// waitEvents answers how often each external id is in the log, once done says
// that all is there, and a little longer for what should not come.
func (p *process) waitEvents(done func(map[string]int) bool) map[string]int {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		found := make(map[string]int)
		for _, e := range p.typedEvents() {
			found[e.GetIgnisign().GetSignatureRequest().GetSignatureRequestExternalId()]++
		}
		if done(found) && p.inboxIsEmpty() {
			return found
		}
		if time.Now().After(deadline) {
			p.t.Errorf("what was acknowledged did not all come: %v", found)
			return found
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// inboxIsEmpty reports whether everything is decided, by the program's metrics.
func (p *process) inboxIsEmpty() bool {
	resp, err := http.Get("http://" + p.http + "/metrics")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	_, _ = text.ReadFrom(resp.Body)
	return strings.Contains(text.String(), "\nhookstream_inbox_pending 0\n")
}
