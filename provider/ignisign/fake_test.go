package ignisign

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	"github.com/hookstream/hookstream/provider"
)

// What the examples hold, and keys of both generations.
const (
	testApp   = "appId_3f6c1b9e-5a27-4c0d-9b8e-7d41f2a6c053"
	testEnv   = "DEVELOPMENT"
	testToken = "vt_example"
	newKey    = "skv2_development_3f6c1b9e_topsecret"
	oldKey    = "sk_development_topsecret"
)

// fakeAPI is Ignisign's API as the public sources describe it. It complains about
// questions that differ from what the official SDK asks.
type fakeAPI struct {
	*httptest.Server
	t *testing.T
	// check and auth answer the two calls. Set before the first question.
	check, auth http.HandlerFunc
	// stranger, unless nil, answers a check of another token than testToken, which is
	// a mistake of the test otherwise.
	stranger http.HandlerFunc

	mu      sync.Mutex
	bearers []string // of the checks, in order
	checks  int
	auths   int
}

func newFakeAPI(t *testing.T, version string) *fakeAPI {
	f := &fakeAPI{t: t}
	f.check = reply(200, apiExample(t, "verification.response.valid"))
	f.auth = reply(200, apiExample(t, "auth.response"))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /"+version+"/tokens/webhook-verification/checking-consumption", f.serveCheck)
	mux.HandleFunc("POST /"+version+"/auth/app-api", f.serveAuth)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was asked", r.Method, r.URL)
		w.WriteHeader(http.StatusNotFound)
	})
	f.Server = httptest.NewServer(mux)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAPI) serveCheck(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if f.stranger != nil && !bytes.Contains(body, []byte(`"token":"`+testToken+`"`)) {
		f.stranger(w, r)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.question(r, map[string]string{"token": testToken, "appId": testApp, "appEnv": testEnv})
	f.mu.Lock()
	f.checks++
	f.bearers = append(f.bearers, r.Header.Get("Authorization"))
	f.mu.Unlock()
	f.check(w, r)
}

func (f *fakeAPI) serveAuth(w http.ResponseWriter, r *http.Request) {
	f.question(r, map[string]string{"appId": testApp, "appEnv": testEnv, "secret": oldKey})
	if got := r.Header.Get("Authorization"); got != "" {
		f.t.Error("the exchange is not authenticated, but a bearer came")
	}
	f.mu.Lock()
	f.auths++
	f.mu.Unlock()
	f.auth(w, r)
}

func (f *fakeAPI) question(r *http.Request, want map[string]string) {
	if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept") != "application/json" {
		f.t.Errorf("headers of the question: %v", r.Header)
	}
	body, _ := io.ReadAll(r.Body)
	var got map[string]string
	if err := json.Unmarshal(body, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		f.t.Errorf("asked %s, want %v", body, want)
	}
}

func (f *fakeAPI) asked() (checks, auths int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.checks, f.auths
}

// provider makes a Provider that asks this API.
func (f *fakeAPI) provider(key string) *Verifier {
	f.t.Helper()
	return newProvider(f.t, &ignisignv1.SourceConfig{
		AppId: testApp, AppEnv: testEnv, ApiKey: key, ApiBaseUrl: f.URL + "/",
	})
}

func newProvider(t *testing.T, cfg *ignisignv1.SourceConfig) *Verifier {
	t.Helper()
	p, err := NewVerifier(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.api.client.CloseIdleConnections)
	return p
}

func reply(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// request is a delivery of an example.
func request(t *testing.T, name string) *provider.Request {
	t.Helper()
	body, err := example(name)
	if err != nil {
		t.Fatal(name, err)
	}
	return &provider.Request{Body: body, ReceiveTime: time.Unix(1_700_000_000, 0)}
}

// verify delivers the event that the API's examples are about.
func verify(t *testing.T, p *Verifier) provider.Verdict {
	t.Helper()
	req := request(t, "SIGNATURE_REQUEST.COMPLETED")
	info, err := p.Inspect(req)
	if err != nil {
		t.Fatal(err)
	}
	v := p.Verify(t.Context(), req, info)
	v.KeyFingerprint, v.Answer = "", nil // the tests of Recheck look at these
	return v
}

func apiExample(t testing.TB, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "api", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// jwtUntil makes a JWT as Ignisign's look, without a signature that holds.
func jwtUntil(exp time.Time, serial int) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"HS256"}`) + "." + part(fmt.Sprintf(`{"exp":%d,"n":%d}`, exp.Unix(), serial)) + ".c2ln"
}
