package ingress_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
)

// fixture is a gateway on a real engine behind a real HTTP server, with two
// sources: `local`, which signs with an HMAC, and `remote`, whose tokens an API
// checks and spends.
type fixture struct {
	t       *testing.T
	dir     string
	engine  *jetstream.Engine
	sources *sourceList
	api     *tokenAPI
	options func(*ingress.Options)

	gateway *ingress.Gateway
	server  *testServer
	stop    func()
	results *resultCounts
}

// setup starts everything; options may change what the gateway is made with.
func setup(t *testing.T, options ...func(*ingress.Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), sources: newSourceList(), api: newTokenAPI(t)}
	f.options = func(o *ingress.Options) {
		for _, option := range options {
			option(o)
		}
	}
	f.sources.set(localSource("local"))
	f.sources.set(remoteSource("remote"))
	f.openEngine()
	f.start()
	t.Cleanup(func() { f.stop(); _ = f.engine.Close() })
	return f
}

func (f *fixture) openEngine() {
	f.t.Helper()
	o := jetstream.DefaultOptions()
	o.Dir, o.Durability, o.Logger = f.dir, jetstream.DurabilityRelaxed, testLogger(f.t)
	engine, err := jetstream.Open(context.Background(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.engine = engine
}

func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// start makes a gateway on the open engine and runs its verifier.
func (f *fixture) start() {
	f.t.Helper()
	f.startWith(nil)
}

func (f *fixture) startWith(more func(*ingress.Options)) {
	f.t.Helper()
	f.results = newResultCounts()
	o := ingress.Options{
		Log: f.engine.Events(), Inbox: f.engine.Inbox(), Sources: f.sources,
		Providers: f.api.provider, Logger: testLogger(f.t), Metrics: f.results.metrics(),
		VerifyWait: 20 * time.Second, AppendWait: 20 * time.Second,
		MinRetry: 10 * time.Millisecond, MaxRetry: 100 * time.Millisecond,
	}
	f.options(&o)
	if more != nil {
		more(&o)
	}
	f.gateway = ingress.New(o)
	f.server = startServer(f.t, f.gateway)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	gateway, server := f.gateway, f.server
	go func() { defer close(ended); gateway.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		_ = server.Close()
		cancel()
		<-ended
		gateway.Close()
	})
}

// testServer is the gateway's server on a port of its own.
type testServer struct {
	*ingress.Server
	URL, Addr string
}

func startServer(t testing.TB, g *ingress.Gateway) *testServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{Server: g.Server(), URL: "http://" + ln.Addr().String(), Addr: ln.Addr().String()}
	go func() {
		if err := s.Serve(ln); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	return s
}

// restart ends gateway and engine, and starts both again on the same files.
func (f *fixture) restart() {
	f.t.Helper()
	f.stop()
	if err := f.engine.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.openEngine()
	f.start()
}

// answer is what a sender sees.
type answer struct {
	status int
	header http.Header
	body   string
}

func (f *fixture) do(req *http.Request) answer {
	f.t.Helper()
	resp, err := noRedirects.Do(req)
	if err != nil {
		f.t.Errorf("%s: %v", req.Method, err)
		return answer{}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Errorf("read the answer: %v", err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (f *fixture) post(path string, body io.Reader, header ...string) answer {
	f.t.Helper()
	req, err := http.NewRequest(http.MethodPost, f.server.URL+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return f.do(req)
}

const (
	localPath  = "/webhooks/local/local-key"
	remotePath = "/webhooks/remote/remote-key"
	secret     = "the first secret"
)

// postLocal sends a genuine request of the local provider.
func (f *fixture) postLocal(body string, header ...string) answer {
	f.t.Helper()
	return f.post(localPath, strings.NewReader(body), append([]string{signatureHeader, sign(secret, body)}, header...)...)
}

func (f *fixture) postRemote(body string) answer {
	f.t.Helper()
	return f.post(remotePath, strings.NewReader(body))
}

// message is a body that both test providers understand.
func message(id string) string {
	return fmt.Sprintf(`{"topic":"thing","action":"done","id":%q,"content":{"n":1}}`, id)
}

// events answers all that was published, oldest first.
func (f *fixture) events() []*hookstreamv1.Event {
	f.t.Helper()
	log := f.engine.Events()
	recs, err := log.Read(context.Background(), 1, 10_000, 64<<20)
	if err != nil {
		f.t.Fatal(err)
	}
	var out []*hookstreamv1.Event
	for _, r := range recs {
		e, err := event.Decode(log.Incarnation(), r)
		if err != nil {
			f.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// only answers the one event there is.
func (f *fixture) only() *hookstreamv1.Event {
	f.t.Helper()
	got := f.events()
	if len(got) != 1 {
		f.t.Fatalf("%d events are published, want 1", len(got))
	}
	return got[0]
}

// waitFor waits until cond holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(90 * time.Second) // the inbox may take a minute to hand a row out again
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (f *fixture) waitForEvents(n int) {
	f.t.Helper()
	waitFor(f.t, fmt.Sprintf("%d events", n), func() bool { return len(f.events()) >= n })
}

// resultCounts counts what the gateway says became of requests.
type resultCounts struct {
	mu       sync.Mutex
	requests map[string]int
	settled  map[string]int
	breaker  map[bool]int
	open     bool // as it was told last
}

func newResultCounts() *resultCounts {
	return &resultCounts{requests: make(map[string]int), settled: make(map[string]int), breaker: make(map[bool]int)}
}

func (c *resultCounts) metrics() ingress.Metrics {
	return ingress.Metrics{
		Request: func(source string, r ingress.Result, _ time.Duration) { c.add(c.requests, source+" "+r.String()) },
		Decided: func(source string, r ingress.Result, _ time.Duration) { c.add(c.settled, source+" "+r.String()) },
		Breaker: func(_ string, open bool) { c.mu.Lock(); c.breaker[open]++; c.open = open; c.mu.Unlock() },
	}
}

// paused reports whether a provider is not asked, as it was told last.
func (c *resultCounts) paused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

func (c *resultCounts) add(m map[string]int, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[key]++
}

func (c *resultCounts) request(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests[key]
}

func (c *resultCounts) decided(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled[key]
}

func (c *resultCounts) waitDecided(t *testing.T, key string, n int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d of %q", n, key), func() bool { return c.decided(key) >= n })
}

// sourceList is what the store of sources is to the gateway.
type sourceList struct {
	mu   sync.Mutex
	byID map[string]*hookstreamv1.Source
	fns  map[int]func(string, *hookstreamv1.Source)
	next int
}

func newSourceList() *sourceList {
	return &sourceList{byID: make(map[string]*hookstreamv1.Source), fns: make(map[int]func(string, *hookstreamv1.Source))}
}

func (l *sourceList) Subscribe(fn func(string, *hookstreamv1.Source)) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, src := range l.byID {
		fn(id, src)
	}
	n := l.next
	l.next++
	l.fns[n] = fn
	return func() { l.mu.Lock(); defer l.mu.Unlock(); delete(l.fns, n) }
}

func (l *sourceList) set(src *hookstreamv1.Source) {
	l.put(strings.TrimPrefix(src.GetName(), "sources/"), src)
}

func (l *sourceList) put(id string, src *hookstreamv1.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.byID, id)
	if src != nil {
		l.byID[id] = src
	}
	for _, fn := range l.fns {
		fn(id, src)
	}
}

// update changes a copy of the source and puts it in force.
func (l *sourceList) update(id string, change func(*hookstreamv1.Source)) {
	l.mu.Lock()
	src := proto.CloneOf(l.byID[id])
	l.mu.Unlock()
	change(src)
	l.put(id, src)
}

func localSource(id string) *hookstreamv1.Source {
	return &hookstreamv1.Source{
		Name: "sources/" + id, IngressPath: "/webhooks/" + id + "/" + id + "-key",
		Config: &hookstreamv1.Source_Yousign{Yousign: &yousignv1.SourceConfig{Secrets: []string{secret}}},
	}
}

func remoteSource(id string) *hookstreamv1.Source {
	return &hookstreamv1.Source{
		Name: "sources/" + id, IngressPath: "/webhooks/" + id + "/" + id + "-key",
		Config: &hookstreamv1.Source_Ignisign{Ignisign: &ignisignv1.SourceConfig{AppId: "app"}},
	}
}

// inspect reads the bodies of both test providers.
func inspect(req *provider.Request) (provider.Info, error) {
	var m struct {
		Topic, Action, ID, Env, App, Entity string
		Time                                time.Time
		Content                             json.RawMessage
	}
	if err := json.Unmarshal(req.Body, &m); err != nil || m.ID == "" {
		return provider.Info{}, fmt.Errorf("test: %w", provider.ErrMalformed)
	}
	if m.Topic == "panic in inspect" {
		panic("test: a bug that this request finds")
	}
	key := sha256.Sum256([]byte(m.ID))
	return provider.Info{
		Topic: m.Topic, Action: m.Action, Environment: m.Env, EventID: m.ID, Entity: m.Entity,
		DedupKey: hex.EncodeToString(key[:]), OccurTime: m.Time, Attempt: -1,
	}, nil
}

// hmacProvider is a local provider.
type hmacProvider struct{ secrets []string }

const signatureHeader = "X-Test-Signature"

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func (p *hmacProvider) Remote() bool                                         { return false }
func (p *hmacProvider) Headers() []string                                    { return []string{signatureHeader} }
func (p *hmacProvider) Inspect(req *provider.Request) (provider.Info, error) { return inspect(req) }

func (p *hmacProvider) KeptHeaders() []string { return []string{"X-Test-Retry"} }

func (p *hmacProvider) Verify(_ context.Context, req *provider.Request, _ provider.Info) provider.Verdict {
	for i, s := range p.secrets {
		if hmac.Equal([]byte(sign(s, string(req.Body))), []byte(req.Header.Get(signatureHeader))) {
			return provider.Verdict{
				Outcome: provider.Genuine, Method: "hmac-sha256", SecretIndex: i + 1, Coverage: hookstreamv1.Verification_COVERAGE_BODY,
			}
		}
	}
	return provider.Verdict{Outcome: provider.Rejected, Method: "hmac-sha256", Reason: "signature_mismatch"}
}

// tokenProvider is a remote provider: the id of a message is its token.
type tokenProvider struct {
	app, url string
	client   *http.Client
}

func (p *tokenProvider) Remote() bool      { return true }
func (p *tokenProvider) Headers() []string { return nil }

func (p *tokenProvider) Inspect(req *provider.Request) (provider.Info, error) {
	info, err := inspect(req)
	if err != nil {
		return info, err
	}
	var m struct{ App, Content json.RawMessage }
	_ = json.Unmarshal(req.Body, &m)
	if len(m.App) > 0 && string(m.App) != `"`+p.app+`"` {
		return info, fmt.Errorf("test: %w", provider.ErrNotForSource)
	}
	info.Fingerprint = func() []byte {
		sum := sha256.Sum256(append([]byte(info.Topic+"\x00"), m.Content...))
		return sum[:]
	}
	info.Environment = "TEST"
	return info, nil
}

func (p *tokenProvider) Verify(ctx context.Context, _ *provider.Request, info provider.Info) provider.Verdict {
	v := provider.Verdict{Method: "token"}
	req, _ := http.NewRequestWithContext(ctx, http.MethodPost, p.url, strings.NewReader(info.EventID))
	resp, err := p.client.Do(req)
	if err != nil {
		v.Reason, v.MaybeSpent = "api_unavailable", true
		return v
	}
	defer resp.Body.Close()
	word, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		v.Reason, v.RetryAfter = "api_busy", 20*time.Millisecond
	case resp.StatusCode == http.StatusUnauthorized:
		v.Reason, v.OurFault = "credentials", true
	case err != nil || resp.StatusCode != http.StatusOK:
		v.Reason, v.MaybeSpent = "api_unavailable", true
	case string(word) == "valid":
		v.Outcome = provider.Genuine
	case string(word) == "spent":
		v.Outcome, v.Reason, v.AlreadySpent = provider.Rejected, "token_spent", true
	default:
		v.Outcome, v.Reason = provider.Rejected, "token_not_found"
	}
	return v
}

// tokenAPI is the remote sender's API: it checks a token and spends it.
type tokenAPI struct {
	server *httptest.Server

	mu     sync.Mutex
	minted map[string]bool // to whether it was spent
	asked  map[string]int
	faults []fault
	hold   chan struct{} // questions wait until it is closed
}

// fault is what goes wrong with one question.
type fault int

const (
	none         fault = iota
	lostBefore         // the connection breaks before the token is spent
	lostAfter          // the token is spent, the answer is lost
	broken             // 500, nothing is spent
	busy               // 429
	unauthorized       // 401
)

func newTokenAPI(t testing.TB) *tokenAPI {
	a := &tokenAPI{minted: make(map[string]bool), asked: make(map[string]int)}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.server.Close)
	return a
}

func (a *tokenAPI) provider(src *hookstreamv1.Source) (provider.Verifier, error) {
	switch {
	case src.GetYousign() != nil && len(src.GetYousign().GetSecrets()) == 0:
		return nil, errors.New("test: no secret")
	case src.GetYousign() != nil:
		return &hmacProvider{src.GetYousign().GetSecrets()}, nil
	}
	return &tokenProvider{app: src.GetIgnisign().GetAppId(), url: a.server.URL, client: a.server.Client()}, nil
}

func (a *tokenAPI) mint(tokens ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, token := range tokens {
		a.minted[token] = false
	}
}

// spend makes tokens that somebody else has spent.
func (a *tokenAPI) spend(tokens ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, token := range tokens {
		a.minted[token] = true
	}
}

// fail makes the next questions fail so.
func (a *tokenAPI) fail(faults ...fault) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = faults
}

// pause holds all questions until the answered function is called.
func (a *tokenAPI) pause() (resume func()) {
	ch := make(chan struct{})
	a.mu.Lock()
	a.hold = ch
	a.mu.Unlock()
	return sync.OnceFunc(func() {
		a.mu.Lock()
		a.hold = nil
		a.mu.Unlock()
		close(ch)
	})
}

func (a *tokenAPI) questions(token string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[token]
}

func (a *tokenAPI) serve(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	token := string(raw)
	f, hold := a.begin(token)
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	switch f {
	case lostBefore:
		panic(http.ErrAbortHandler)
	case broken:
		w.WriteHeader(http.StatusInternalServerError)
		return
	case busy:
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case unauthorized:
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	word := a.check(token)
	if f == lostAfter {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, word)
}

func (a *tokenAPI) begin(token string) (fault, chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[token]++
	f := none
	if len(a.faults) > 0 {
		f, a.faults = a.faults[0], a.faults[1:]
	}
	return f, a.hold
}

func (a *tokenAPI) check(token string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	spent, ok := a.minted[token]
	switch {
	case !ok:
		return "unknown"
	case spent:
		return "spent"
	}
	a.minted[token] = true
	return "valid"
}

func state(e *hookstreamv1.Event) hookstreamv1.Verification_State {
	return e.GetVerification().GetState()
}

const (
	verified  = hookstreamv1.Verification_STATE_VERIFIED
	ambiguous = hookstreamv1.Verification_STATE_VERIFIED_AFTER_AMBIGUOUS_ATTEMPT
	failed    = hookstreamv1.Verification_STATE_FAILED
)

// large is a valid body of n bytes.
func large(id string, n int) string {
	b := []byte(fmt.Sprintf(`{"topic":"thing","action":"done","id":%q,"content":"`, id))
	b = append(b, bytes.Repeat([]byte("x"), n-len(b)-2)...)
	return string(append(b, `"}`...))
}
