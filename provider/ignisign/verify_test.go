package ignisign

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// Every verdict body, with every status that it may come with: which one it is
// with is documented nowhere.
func TestVerdictBodies(t *testing.T) {
	for _, c := range []struct {
		body string
		want provider.Verdict
	}{
		{"verification.response.already-consumed", rejectedFor("token_already_consumed", true)},
		{"verification.response.not-found", rejectedFor("token_not_found", false)},
		{"verification.response.expired", rejectedFor("token_expired", false)},
		{"verification.response.bad-target", rejectedFor("token_wrong_purpose", false)},
		{"verification.response.bad-related-id", rejectedFor("token_wrong_app", false)},
		{"api-error", rejectedFor("token_already_consumed", true)},
	} {
		for _, status := range []int{200, 201, 400, 401, 403, 404, 409, 410, 422} {
			for _, key := range []string{newKey, oldKey} {
				f := newFakeAPI(t, "v4")
				f.check = reply(status, apiExample(t, c.body))
				if diff := cmp.Diff(c.want, verify(t, f.provider(key))); diff != "" {
					t.Errorf("%s with %d: %s", c.body, status, diff)
				}
				if checks, _ := f.asked(); checks != 1 {
					t.Errorf("%s with %d: asked %d times, but a verdict is final", c.body, status, checks)
				}
			}
		}
	}
}

func rejectedFor(reason string, spent bool) provider.Verdict {
	v := provider.Verdict{Outcome: provider.Rejected, Method: "token", Reason: reason, AlreadySpent: spent}
	if spent {
		v.Coverage = hookstreamv1.Verification_COVERAGE_TOKEN
	}
	return v
}

var genuine = provider.Verdict{Outcome: provider.Genuine, Method: "token", Coverage: hookstreamv1.Verification_COVERAGE_TOKEN}

func TestGenuine(t *testing.T) {
	withID := genuine
	withID.EventID = "66f1c0de4a7b2c0011ab0001"
	for _, c := range []struct {
		body string
		want provider.Verdict
	}{
		{"verification.response.valid", genuine},
		{"verification.response.valid-with-context", withID},
	} {
		for _, status := range []int{200, 201, 202} {
			f := newFakeAPI(t, "v4")
			f.check = reply(status, apiExample(t, c.body))
			if diff := cmp.Diff(c.want, verify(t, f.provider(newKey))); diff != "" {
				t.Errorf("%s with %d: %s", c.body, status, diff)
			}
		}
	}
}

// An error that says yes, and all that is no answer at all, must let nothing in
// and turn nothing away.
func TestNoVerdict(t *testing.T) {
	valid := apiExample(t, "verification.response.valid")
	for _, c := range []struct {
		why   string
		check http.HandlerFunc
		want  provider.Verdict
	}{
		{"yes, with an error status", reply(400, valid), undecidedFor("question_refused", true)},
		{"yes, with a server's error", reply(500, valid), undecidedFor("api_unavailable", true)},
		{"no, with a server's error", reply(502, apiExample(t, "verification.response.not-found")), undecidedFor("api_unavailable", true)},
		{"request timeout", reply(408, `{"code":"TOKEN_EXPIRED"}`), undecidedFor("api_unavailable", true)},
		{"not yes but true", reply(200, `{"isValid":"true"}`), undecidedFor("answer_unreadable", true)},
		{"empty object", reply(200, `{}`), undecidedFor("answer_unreadable", true)},
		{"empty", reply(204, ``), undecidedFor("answer_unreadable", true)},
		{"a page", reply(200, `<html>isValid: true</html>`), undecidedFor("answer_unreadable", true)},
		{"an array", reply(200, `[{"isValid":true}]`), undecidedFor("answer_unreadable", true)},
		{"too long", reply(200, `{"isValid":true}`+strings.Repeat(" ", maxAnswer)), undecidedFor("answer_unreadable", true)},
		{"endless", endless, undecidedFor("answer_unreadable", true)},
		{"too deep", reply(200, `{"isValid":true,"context":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`), undecidedFor("answer_unreadable", true)},
		{"cut off", cutOff, undecidedFor("answer_unreadable", true)},
		{"dropped", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, undecidedFor("api_unavailable", true)},
		{"a page with 400", reply(400, `<html>`), undecidedFor("question_refused", true)},
		{"another error", reply(400, `{"code":"BODY_VALIDATION_FAILED"}`), undecidedFor("question_refused", true)},
		{"no such path", reply(404, `{"message":"Cannot POST"}`), undecidedFor("question_refused", true)},
		{"refused", reply(401, `{"code":"API_KEY_NOT_FOUND"}`), refused()},
		{"forbidden", reply(403, `{"code":"UNAUTHORIZED_ERROR"}`), refused()},
		{"refused without a word", reply(401, ``), refused()},
		{"whose token has expired?", reply(401, `{"code":"TOKEN_EXPIRED"}`), refused()},
		{"whose token is invalid?", reply(403, `{"code":"TOKEN_INVALID"}`), refused()},
		{"slow down", header("Retry-After", "7", reply(429, `{}`)), after(7*time.Second, undecidedFor("rate_limited", false))},
		{"slow down, no time", reply(429, ``), undecidedFor("rate_limited", false)},
		{"maintenance", header("Retry-After", "120", reply(503, ``)), after(2*time.Minute, undecidedFor("api_unavailable", true))},
		{"for ever", header("Retry-After", "99999999", reply(503, ``)), after(time.Hour, undecidedFor("api_unavailable", true))},
		{"at a bad time", header("Retry-After", "soon", reply(503, ``)), undecidedFor("api_unavailable", true)},
	} {
		t.Run(c.why, func(t *testing.T) {
			f := newFakeAPI(t, "v4")
			f.check = c.check
			if diff := cmp.Diff(c.want, verify(t, f.provider(newKey))); diff != "" {
				t.Error(diff)
			}
			if checks, _ := f.asked(); checks != 1 {
				t.Errorf("asked %d times", checks)
			}
		})
	}
}

func undecidedFor(reason string, spent bool) provider.Verdict {
	return provider.Verdict{Outcome: provider.Undecided, Method: "token", Reason: reason, MaybeSpent: spent}
}

func refused() provider.Verdict {
	v := undecidedFor("credentials_refused", false)
	v.OurFault = true
	return v
}

func after(d time.Duration, v provider.Verdict) provider.Verdict {
	v.RetryAfter = d
	return v
}

func header(key, value string, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(key, value)
		h(w, r)
	}
}

func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
			return
		}
	}
}

func cutOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"isValid":true}`)
}

func TestVersions(t *testing.T) {
	for version, path := range map[ignisignv1.ApiVersion]string{
		ignisignv1.ApiVersion_API_VERSION_UNSPECIFIED: "v4",
		ignisignv1.ApiVersion_API_VERSION_V4:          "v4",
		ignisignv1.ApiVersion_API_VERSION_V3:          "v3",
	} {
		f := newFakeAPI(t, path)
		p := newProvider(t, &ignisignv1.SourceConfig{
			AppId: testApp, AppEnv: testEnv, ApiKey: oldKey, ApiBaseUrl: f.URL, ApiVersion: version,
		})
		if got := verify(t, p); got.Outcome != provider.Genuine {
			t.Errorf("%v: %+v", version, got)
		}
		if checks, auths := f.asked(); checks != 1 || auths != 1 {
			t.Errorf("%v: %d checks and %d exchanges, want one of each", version, checks, auths)
		}
	}
}

func TestNewKeysAreSentAsTheyAre(t *testing.T) {
	f := newFakeAPI(t, "v4")
	verify(t, f.provider(newKey))
	if _, auths := f.asked(); auths != 0 {
		t.Errorf("%d exchanges", auths)
	}
	if diff := cmp.Diff([]string{"Bearer " + newKey}, f.bearers); diff != "" {
		t.Error(diff)
	}
}

// Nothing is gained by asking again when the key itself is refused, or the key
// is good and may not ask.
func TestRefusedForGood(t *testing.T) {
	for _, c := range []struct {
		key           string
		status, auths int
	}{{newKey, 401, 0}, {newKey, 403, 0}, {oldKey, 403, 1}} {
		f := newFakeAPI(t, "v4")
		f.check = reply(c.status, `{}`)
		if diff := cmp.Diff(refused(), verify(t, f.provider(c.key))); diff != "" {
			t.Error(diff)
		}
		if checks, auths := f.asked(); checks != 1 || auths != c.auths {
			t.Errorf("%d: %d checks and %d exchanges", c.status, checks, auths)
		}
	}
}

// jwts makes the exchange answer JWTs that hold for the given time from now on,
// each with its number.
func (f *fakeAPI) jwts(now func() time.Time, hold time.Duration) {
	n := 0
	f.auth = func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		n++
		reply(200, `{"jwtToken":"`+jwtUntil(now().Add(hold), n)+`"}`)(w, r)
	}
}

func TestJWTIsKeptAndRenewedBeforeItsEnd(t *testing.T) {
	clock := time.Unix(1_700_000_000, 0)
	f := newFakeAPI(t, "v4")
	f.jwts(func() time.Time { return clock }, time.Hour)
	p := f.provider(oldKey)
	p.credentials.now = func() time.Time { return clock }
	for _, c := range []struct {
		why     string
		advance time.Duration
		auths   int
	}{
		{"first", 0, 1},
		{"at once again", 0, 1},
		{"just before the margin", time.Hour - 31*time.Second, 1},
		{"within the margin, not yet expired", 2 * time.Second, 2},
		{"at once again", 0, 2},
	} {
		clock = clock.Add(c.advance)
		if got := verify(t, p); got.Outcome != provider.Genuine {
			t.Fatalf("%s: %+v", c.why, got)
		}
		if _, auths := f.asked(); auths != c.auths {
			t.Errorf("%s: %d exchanges, want %d", c.why, auths, c.auths)
		}
	}
	if f.bearers[2] == f.bearers[3] {
		t.Error("the new JWT was not used")
	}
}

func TestRenewTime(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		why, jwt string
		want     time.Time
	}{
		{"an hour", jwtUntil(now.Add(time.Hour), 1), now.Add(time.Hour - 30*time.Second)},
		{"a minute", jwtUntil(now.Add(time.Minute), 1), now.Add(45 * time.Second)},
		{"over before it came: a clock is wrong", jwtUntil(now.Add(-time.Hour), 1), time.Time{}},
		{"no end", "e30.e30.e30", time.Time{}},
		{"an end beyond time", "e30.eyJleHAiOjFlMzAwfQ.e30", time.Time{}},
		{"an end that is no number", "e30.eyJleHAiOiIxNzAwMDAwMDAwIn0.e30", time.Time{}},
		{"not a JWT", "opaque", time.Time{}},
		{"not base64", "a.!!!.b", time.Time{}},
		{"of the example", "eyJhbGciOiJub25lIn0.eyJleHAiOjQxMDI0NDQ4MDB9.example", time.Unix(4102444800, 0).Add(-30 * time.Second)},
	} {
		if got := renewTime(c.jwt, now); !got.Equal(c.want) {
			t.Errorf("%s: got %v, want %v", c.why, got, c.want)
		}
	}
}

func TestJWTIsRenewedOnceAfter401(t *testing.T) {
	f := newFakeAPI(t, "v4")
	f.jwts(time.Now, time.Hour)
	withdrawn := "Bearer "
	f.check = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == withdrawn {
			reply(401, `{"code":"OUTDATED_AUTH_JWT_TOKEN"}`)(w, r)
			return
		}
		reply(200, apiExample(t, "verification.response.valid"))(w, r)
	}
	p := f.provider(oldKey)
	verify(t, p)
	withdrawn = f.bearers[0]
	if diff := cmp.Diff(genuine, verify(t, p)); diff != "" {
		t.Error(diff)
	}
	if checks, auths := f.asked(); checks != 3 || auths != 2 {
		t.Errorf("%d checks and %d exchanges, want 3 and 2", checks, auths)
	}
	if f.bearers[1] == f.bearers[2] {
		t.Error("asked again with the refused JWT")
	}
}

func TestJWTRefusedForGood(t *testing.T) {
	f := newFakeAPI(t, "v4")
	f.jwts(time.Now, time.Hour)
	f.check = reply(401, `{"code":"INVALID_AUTH_JWT_TOKEN"}`)
	if diff := cmp.Diff(refused(), verify(t, f.provider(oldKey))); diff != "" {
		t.Error(diff)
	}
	if checks, auths := f.asked(); checks != 2 || auths != 2 {
		t.Errorf("%d checks and %d exchanges, want 2 and 2", checks, auths)
	}
}

// A failed exchange spends nothing, whatever the answer.
func TestExchangeFails(t *testing.T) {
	for _, c := range []struct {
		why  string
		auth http.HandlerFunc
		want provider.Verdict
	}{
		{"bad request", reply(400, `{"code":"API_AUTH_BAD_REQUEST"}`), refused()},
		{"unauthorized", reply(401, `{}`), refused()},
		{"forbidden", reply(403, `{}`), refused()},
		{"not found", reply(404, `{}`), refused()},
		{"timeout", reply(408, `{}`), undecidedFor("api_unavailable", false)},
		{"too many", header("Retry-After", "3", reply(429, `{}`)), after(3*time.Second, undecidedFor("rate_limited", false))},
		{"broken", reply(500, `{}`), undecidedFor("api_unavailable", false)},
		{"dropped", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, undecidedFor("api_unavailable", false)},
		{"no token", reply(200, `{}`), undecidedFor("answer_unreadable", false)},
		{"a token no header can hold", reply(200, `{"jwtToken":"a\r\nX: y"}`), undecidedFor("answer_unreadable", false)},
		{"garbage", reply(200, `jwt`), undecidedFor("answer_unreadable", false)},
		{"elsewhere", redirect(""), undecidedFor("answer_unreadable", false)},
	} {
		f := newFakeAPI(t, "v4")
		f.auth = c.auth
		if diff := cmp.Diff(c.want, verify(t, f.provider(oldKey))); diff != "" {
			t.Errorf("%s: %s", c.why, diff)
		}
		if checks, auths := f.asked(); checks != 0 || auths != 1 {
			t.Errorf("%s: %d checks and %d exchanges, want 0 and 1", c.why, checks, auths)
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// However many requests wait for a JWT, it is asked for once; also when one of
// them gives up.
func TestExchangesAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan struct{})
		var auths int
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			body := `{"isValid":true}`
			if strings.HasSuffix(r.URL.Path, pathAuth) {
				auths++ // no lock: a second one at the same time is the race detector's
				select {
				case <-answers:
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
				body = `{"jwtToken":"` + jwtUntil(time.Now().Add(time.Hour), 1) + `"}`
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body))}, nil
		})}
		p, err := NewVerifier(&ignisignv1.SourceConfig{AppId: testApp, AppEnv: testEnv, ApiKey: oldKey}, client)
		if err != nil {
			t.Fatal(err)
		}
		req := request(t, "SIGNER.CREATED")
		impatient, giveUp := context.WithCancel(t.Context())
		first := make(chan provider.Verdict, 1)
		go func() { first <- p.Verify(impatient, req, provider.Info{}) }()
		synctest.Wait()
		var others sync.WaitGroup
		verdicts := make(chan provider.Verdict, 20)
		for range cap(verdicts) {
			others.Go(func() { verdicts <- p.Verify(t.Context(), req, provider.Info{}) })
		}
		synctest.Wait()
		giveUp()
		if diff := cmp.Diff(undecidedFor("api_unavailable", false), <-first); diff != "" {
			t.Error(diff)
		}
		close(answers)
		others.Wait()
		for range cap(verdicts) {
			if got := <-verdicts; got.Outcome != provider.Genuine {
				t.Fatalf("%+v", got)
			}
		}
		if auths != 1 {
			t.Errorf("%d exchanges", auths)
		}
	})
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to+"/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := newFakeAPI(t, "v4") // complains about any other path
	f := newFakeAPI(t, "v4")
	f.check = redirect(elsewhere.URL)
	p, err := NewVerifier(&ignisignv1.SourceConfig{AppId: testApp, AppEnv: testEnv, ApiKey: newKey, ApiBaseUrl: f.URL},
		&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(undecidedFor("answer_unreadable", true), verify(t, p)); diff != "" {
		t.Error(diff)
	}
}

func TestNoAnswerInTime(t *testing.T) {
	release := make(chan struct{})
	wait := func(http.ResponseWriter, *http.Request) { <-release }
	t.Run("of the check", func(t *testing.T) {
		f := newFakeAPI(t, "v4")
		f.check = wait
		p := f.provider(newKey)
		p.api.timeout = 50 * time.Millisecond
		t.Cleanup(func() { close(release) }) // before the server is closed, which waits
		if diff := cmp.Diff(undecidedFor("api_unavailable", true), verify(t, p)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the caller gives up", func(t *testing.T) {
		release := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		f := newFakeAPI(t, "v4")
		f.check = func(http.ResponseWriter, *http.Request) { cancel(); <-release }
		p := f.provider(newKey)
		t.Cleanup(func() { close(release) })
		got := p.Verify(ctx, request(t, "SIGNER.CREATED"), provider.Info{})
		if diff := cmp.Diff(undecidedFor("api_unavailable", true), got); diff != "" {
			t.Error(diff)
		}
	})
}

// When no connection comes about, the question was not taken: nothing is spent.
func TestNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	plain := newFakeAPI(t, "v4")
	for why, url := range map[string]string{
		"nobody listens":  "http://" + nobody,
		"no TLS there":    strings.Replace(plain.URL, "http:", "https:", 1),
		"no such address": "http://127.0.0.1:0",
	} {
		p := newProvider(t, &ignisignv1.SourceConfig{AppId: testApp, AppEnv: testEnv, ApiKey: newKey, ApiBaseUrl: url})
		if diff := cmp.Diff(undecidedFor("api_unavailable", false), verify(t, p)); diff != "" {
			t.Errorf("%s: %s", why, diff)
		}
	}
	p := plain.provider(newKey)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := p.Verify(ctx, request(t, "SIGNER.CREATED"), provider.Info{})
	if diff := cmp.Diff(undecidedFor("api_unavailable", false), got); diff != "" {
		t.Error("given up before: " + diff)
	}
}

func TestVerifyAsksOnlyAboutTokens(t *testing.T) {
	f := newFakeAPI(t, "v4")
	got := f.provider(newKey).Verify(t.Context(), &provider.Request{Body: []byte(`{"appId":"` + testApp + `"}`)}, provider.Info{})
	if diff := cmp.Diff(rejectedFor("token_missing", false), got); diff != "" {
		t.Error(diff)
	}
	if checks, _ := f.asked(); checks != 0 {
		t.Error("asked")
	}
}

func TestNewRefuses(t *testing.T) {
	good := func() *ignisignv1.SourceConfig {
		return &ignisignv1.SourceConfig{AppId: testApp, AppEnv: testEnv, ApiKey: newKey}
	}
	if _, err := NewVerifier(good(), nil); err != nil {
		t.Fatal(err)
	}
	for why, spoil := range map[string]func(*ignisignv1.SourceConfig){
		"no app id":         func(c *ignisignv1.SourceConfig) { c.AppId = "" },
		"no environment":    func(c *ignisignv1.SourceConfig) { c.AppEnv = "" },
		"no key":            func(c *ignisignv1.SourceConfig) { c.ApiKey = "" },
		"key and line feed": func(c *ignisignv1.SourceConfig) { c.ApiKey += "\n" },
		"key and umlaut":    func(c *ignisignv1.SourceConfig) { c.ApiKey += "ü" },
		"no scheme":         func(c *ignisignv1.SourceConfig) { c.ApiBaseUrl = "api.ignisign.io" },
		"another scheme":    func(c *ignisignv1.SourceConfig) { c.ApiBaseUrl = "ftp://topsecret" },
		"no host":           func(c *ignisignv1.SourceConfig) { c.ApiBaseUrl = "https:///topsecret" },
		"password":          func(c *ignisignv1.SourceConfig) { c.ApiBaseUrl = "https://u:topsecret@h" },
		"query":             func(c *ignisignv1.SourceConfig) { c.ApiBaseUrl = "https://h?k=topsecret" },
		"not a URL":         func(c *ignisignv1.SourceConfig) { c.ApiBaseUrl = "https://topsecret:%zz" },
		"unknown version":   func(c *ignisignv1.SourceConfig) { c.ApiVersion = 99 },
	} {
		cfg := good()
		spoil(cfg)
		_, err := NewVerifier(cfg, nil)
		if err == nil {
			t.Errorf("%s: no error", why)
			continue
		}
		if strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: the error shows it: %v", why, err)
		}
	}
	if _, err := NewVerifier(nil, nil); err == nil {
		t.Error("nil: no error")
	}
}
