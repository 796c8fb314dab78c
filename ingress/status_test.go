package ingress_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
)

// Every status of the design's table that needs no special state.
func TestStatuses(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.MaxBodyBytes = 4096 })
	keyless := localSource("keyless")
	keyless.IngressPath, keyless.Keyless = "/webhooks/keyless", true
	f.sources.set(keyless)
	lost := localSource("lost") // its key is gone: nobody may enter without one
	lost.IngressPath = "/webhooks/lost"
	f.sources.set(lost)
	broken := localSource("broken")
	broken.GetYousign().Secrets = nil
	f.sources.set(broken)
	f.sources.update("local", func(s *hookstreamv1.Source) { s.DisabledTypes = []string{"noise.*"} })
	f.sources.update("remote", func(s *hookstreamv1.Source) { s.DisabledTypes = []string{"noise.*"} })
	f.api.mint("genuine")

	const json = "application/json"
	genuine := message("1")
	noise := `{"topic":"noise","action":"made","id":"2"}`
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		text                     string
		want                     map[string]string // headers
	}{
		{"genuine", "POST", localPath, genuine, []string{"Content-Type", json, signatureHeader, sign(secret, genuine)}, 200, "{}", nil},
		{"again", "POST", localPath, genuine, []string{"Content-Type", json, signatureHeader, sign(secret, genuine)}, 200, "{}", nil},
		{"keyless", "POST", "/webhooks/keyless", genuine, []string{"Content-Type", json, signatureHeader, sign(secret, genuine)}, 200, "{}", nil},
		{"content type with parameters", "POST", localPath, genuine, []string{"Content-Type", "Application/JSON ; charset=utf-8", signatureHeader, sign(secret, genuine)}, 200, "{}", nil},
		{"no content type", "POST", localPath, genuine, []string{signatureHeader, sign(secret, genuine)}, 200, "{}", nil},
		{"identity encoding", "POST", localPath, genuine, []string{"Content-Encoding", "identity", signatureHeader, sign(secret, genuine)}, 200, "{}", nil},
		{"a query", "POST", localPath + "?x=1", genuine, []string{"Content-Type", json, signatureHeader, sign(secret, genuine)}, 200, "{}", nil},
		{"switched-off type", "POST", localPath, noise, []string{"Content-Type", json, signatureHeader, sign(secret, noise)}, 200, "{}", nil},
		{"switched-off type, remote", "POST", remotePath, noise, []string{"Content-Type", json}, 200, "{}", nil},
		{"genuine, remote", "POST", remotePath, message("genuine"), []string{"Content-Type", json}, 200, "{}", nil},

		{"genuine but no envelope", "POST", localPath, "{}", []string{"Content-Type", json, signatureHeader, sign(secret, "{}")}, 200, "{}", nil},
		{"forged and no envelope", "POST", localPath, "{}", []string{"Content-Type", json, signatureHeader, sign("another", "{}")}, 401, "", nil},
		{"not JSON, remote", "POST", remotePath, "token=x", []string{"Content-Type", json}, 400, "", nil},
		{"no signature", "POST", localPath, genuine, []string{"Content-Type", json}, 401, "", nil},
		{"forged and not JSON", "POST", localPath, "x", []string{"Content-Type", json, signatureHeader, "00"}, 401, "", nil},
		{"forged, remote", "POST", remotePath, message("invented"), []string{"Content-Type", json}, 401, "", nil},
		{"another application", "POST", remotePath, `{"id":"genuine","app":"other"}`, []string{"Content-Type", json}, 401, "", nil},

		{"no such source", "POST", "/webhooks/nobody/local-key", genuine, []string{"Content-Type", json}, 404, "", nil},
		{"wrong key", "POST", "/webhooks/local/wrong", genuine, []string{"Content-Type", json}, 404, "", nil},
		{"key left out", "POST", "/webhooks/local", genuine, []string{"Content-Type", json}, 404, "", nil},
		{"key where none is", "POST", "/webhooks/keyless/key", genuine, []string{"Content-Type", json}, 404, "", nil},
		{"a source that lost its key", "POST", "/webhooks/lost", genuine, []string{"Content-Type", json}, 404, "", nil},
		{"another's key", "POST", "/webhooks/local/remote-key", genuine, []string{"Content-Type", json}, 404, "", nil},
		{"GET", "GET", localPath, "", nil, 405, "", map[string]string{"Allow": "POST"}},
		{"HEAD", "HEAD", localPath, "", nil, 405, "", map[string]string{"Allow": "POST"}},
		{"PUT", "PUT", localPath, genuine, []string{"Content-Type", json}, 405, "", map[string]string{"Allow": "POST"}},
		{"GET of nobody's path tells nothing", "GET", "/webhooks/nobody/key", "", nil, 405, "", map[string]string{"Allow": "POST"}},
		{"announced too large", "POST", localPath, strings.Repeat("x", 4097), []string{"Content-Type", json}, 413, "", nil},
		{"form", "POST", localPath, genuine, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "", nil},
		{"json of another kind", "POST", localPath, genuine, []string{"Content-Type", "application/problem+json"}, 415, "", nil},
		{"compressed", "POST", localPath, genuine, []string{"Content-Type", json, "Content-Encoding", "gzip"}, 415, "", nil},
		{"misconfigured", "POST", "/webhooks/broken/broken-key", genuine, []string{"Content-Type", json}, 503, "", map[string]string{"Retry-After": "300"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, f.server.URL+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(tt.header); i += 2 {
				req.Header.Set(tt.header[i], tt.header[i+1])
			}
			got := f.do(req)
			if got.status != tt.status {
				t.Errorf("status %d, want %d", got.status, tt.status)
			}
			if tt.text != "" && got.body != tt.text {
				t.Errorf("body %q, want %q", got.body, tt.text)
			}
			if tt.status >= 400 && tt.method != "HEAD" && !strings.HasPrefix(got.body, `{"error":"`) {
				t.Errorf("body %q is no error", got.body)
			}
			if got.header.Get("Content-Type") != json || got.header.Get("Location") != "" {
				t.Errorf("headers %v", got.header)
			}
			for k, v := range tt.want {
				if got.header.Get(k) != v {
					t.Errorf("%s: %q, want %q", k, got.header.Get(k), v)
				}
			}
		})
	}
	// local's 2, keyless's 1 (its own source) and the remote one.
	if got := f.events(); len(got) != 4 {
		t.Errorf("%d events are published, want 4", len(got))
	}
	if n := f.api.questions("genuine"); n != 1 {
		t.Errorf("the API was asked %d times about the genuine token, want 1", n)
	}
}

// What a wrong key, a missing source and an unknown path are answered may not
// differ in anything but the date.
func TestNobodyTellsSourcesApart(t *testing.T) {
	f := setup(t)
	var first answer
	for i, path := range []string{"/webhooks/local/wrong", "/webhooks/nobody/wrong", "/webhooks/local", "/other", "/webhooks/", "/"} {
		got := f.post(path, strings.NewReader("{}"))
		got.header.Del("Date")
		if i == 0 {
			first = got
			if got.status != 404 {
				t.Fatalf("status %d, want 404", got.status)
			}
		}
		if diff := cmp.Diff(first, got, cmp.AllowUnexported(answer{})); diff != "" {
			t.Errorf("%s (-first +this):\n%s", path, diff)
		}
	}
}

func TestHostilePaths(t *testing.T) {
	f := setup(t)
	for _, path := range []string{
		"//webhooks/local/local-key", "/webhooks//local/local-key", "/webhooks/local//local-key",
		"/webhooks/local/local-key/", "/webhooks/./local/local-key", "/webhooks/x/../local/local-key",
		"/webhooks/local%2Flocal-key", "/webhooks/%6Cocal/local-key", "/webhooks/local/local-key%00",
		"/webhooks/local/local-key%2F", "/Webhooks/local/local-key", "/webhooks/local;/local-key",
		"/webhooks/" + strings.Repeat("a", 8000) + "/local-key", "/webhooks/local/" + strings.Repeat("a", 8000),
		"/webhooks/%2e%2e/local-key", `/webhooks\local\local-key`,
	} {
		status := f.raw(t, "POST "+path+" HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
		if status != 404 && !(status == 400 && strings.ContainsAny(path, "\\")) {
			t.Errorf("%.60s: status %d, want 404", path, status)
		}
	}
	if status := f.raw(t, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"); status != 404 {
		t.Errorf("OPTIONS *: %d", status)
	}
	if status := f.raw(t, "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"); status != 404 {
		t.Errorf("CONNECT: %d", status)
	}
}

// raw sends bytes and answers the status of what comes back.
func (f *fixture) raw(t *testing.T, request string) int {
	t.Helper()
	return f.exchange(t, request).StatusCode
}

// closes reports whether the answer to a request ends its connection.
func (f *fixture) closes(t *testing.T, request string) bool {
	t.Helper()
	return f.exchange(t, request).Close
}

func (f *fixture) exchange(t *testing.T, request string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", f.server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.60s: %v", request, err)
	}
	resp.Body.Close()
	return resp
}

// A body without Content-Length is bounded as it comes.
func TestStreamedBodyIsBounded(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.MaxBodyBytes = 200 << 10 })
	for _, n := range []int{1 << 10, 64 << 10, 200 << 10} {
		body := large(fmt.Sprint(n), n)
		if got := f.post(localPath, io.MultiReader(strings.NewReader(body)), signatureHeader, sign(secret, body)); got.status != 200 {
			t.Errorf("%d bytes: status %d", n, got.status)
		}
	}
	for _, n := range []int{200<<10 + 1, 10 << 20} {
		body := large(fmt.Sprint(n), n)
		req, err := http.NewRequest("POST", f.server.URL+localPath, io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(signatureHeader, sign(secret, body))
		// Go's client may see its own write fail before it sees the answer.
		if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode != 413 {
				t.Errorf("%d bytes: status %d, want 413", n, resp.StatusCode)
			}
		}
		waitFor(t, "the refusal", func() bool { return f.results.request("local too_large") > 0 })
	}
	got := f.events()
	if len(got) != 3 || len(got[2].GetRaw().GetBody()) != 200<<10 {
		t.Errorf("%d events", len(got))
	}
}

// Large bodies that come together must not take all memory.
func TestLargeBodiesShareABudget(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.MaxBufferBytes = 300 << 10 })
	held := large("held", 200<<10)
	end := &heldReader{reached: make(chan struct{}), release: make(chan struct{})}
	status := make(chan int, 1)
	go func() { status <- f.direct(held, io.MultiReader(strings.NewReader(held), end)) }()
	<-end.reached
	other := large("other", 200<<10)
	if got := f.direct(other, strings.NewReader(other)); got != 503 {
		t.Errorf("a second large body: %d, want 503", got)
	}
	small := message("small")
	if got := f.direct(small, strings.NewReader(small)); got != 200 {
		t.Errorf("a small body beside it: %d", got)
	}
	close(end.release)
	if got := <-status; got != 200 {
		t.Errorf("the held body: %d", got)
	}
	if got := f.direct(other, strings.NewReader(other)); got != 200 {
		t.Errorf("when there is room again: %d", got)
	}
}

// direct calls the handler with a signed body that comes as r gives it.
func (f *fixture) direct(body string, r io.Reader) int {
	var ctx fasthttp.RequestCtx
	readHeader(f.t, &ctx, "POST "+localPath+" HTTP/1.1\r\nHost: h\r\n"+signatureHeader+": "+sign(secret, body)+"\r\n\r\n")
	ctx.Request.SetBodyStream(r, -1)
	f.gateway.Handler()(&ctx)
	return ctx.Response.StatusCode()
}

func readHeader(t testing.TB, ctx *fasthttp.RequestCtx, header string) {
	t.Helper()
	if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(header))); err != nil {
		t.Fatal(err)
	}
}

// heldReader ends when it is released.
type heldReader struct{ reached, release chan struct{} }

func (r *heldReader) Read([]byte) (int, error) {
	close(r.reached)
	<-r.release
	return 0, io.EOF
}

func TestSlowBody(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.ReadTimeout = 50 * time.Millisecond })
	status := f.raw(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{", localPath))
	if status != 408 {
		t.Errorf("status %d, want 408", status)
	}
}

// The time a body may take does not end the wait for a verdict.
func TestReadTimeoutEndsWithTheBody(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.ReadTimeout = 30 * time.Millisecond })
	f.api.mint("t")
	resume := f.api.pause()
	got := make(chan answer, 1)
	go func() { got <- f.postRemote(message("t")) }()
	waitFor(t, "the question", func() bool { return f.api.questions("t") == 1 })
	time.AfterFunc(100*time.Millisecond, resume)
	if a := <-got; a.status != 200 || f.results.request("remote published") != 1 {
		t.Errorf("status %d, %d published while the sender waited", a.status, f.results.request("remote published"))
	}
}

func TestSenderHangsUpInTheMiddle(t *testing.T) {
	f := setup(t)
	body := message("half")
	conn, err := net.Dial("tcp", f.server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: h\r\n%s: %s\r\nContent-Length: %d\r\n\r\n%s", localPath, signatureHeader, sign(secret, body), len(body)+1, body)
	conn.Close()
	waitFor(t, "the refusal", func() bool { return f.results.request("local broken_body") == 1 })
	if n := len(f.events()); n != 0 {
		t.Errorf("%d events are published, want none", n)
	}
}

// A disabled source answers before it reads, and at once takes requests again.
func TestDisableAndEnable(t *testing.T) {
	// Whoever reads the body before the answer reads for an hour.
	f := setup(t, func(o *ingress.Options) { o.ReadTimeout = time.Hour })
	for i := range 3 {
		f.sources.update("local", func(s *hookstreamv1.Source) { s.Disabled = true })
		// The body never comes whole; the answer does.
		early := f.exchange(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{", localPath))
		if early.StatusCode != 503 || !early.Close {
			t.Errorf("disabled: status %d, closed %t, want 503 and the end", early.StatusCode, early.Close)
		}
		if got := f.postLocal(message("x")); got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("disabled: status %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
		}
		f.sources.update("local", func(s *hookstreamv1.Source) { s.Disabled = false })
		if got := f.postLocal(message(fmt.Sprint(i))); got.status != 200 {
			t.Errorf("enabled: status %d", got.status)
		}
	}
	f.sources.put("local", nil)
	if got := f.postLocal(message("x")); got.status != 404 {
		t.Errorf("deleted: status %d, want 404", got.status)
	}
}

func TestRateLimit(t *testing.T) {
	f := setup(t)
	// So slow that no token comes back while the test runs.
	f.sources.update("local", func(s *hookstreamv1.Source) { s.MaxRequestsPerSecond = 0.001 })
	if got := f.postLocal(message("1")); got.status != 200 {
		t.Fatalf("the first: %d", got.status)
	}
	if got := f.postLocal(message("2")); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("the second: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	f.sources.update("local", func(s *hookstreamv1.Source) { s.Description = "renamed" })
	if got := f.postLocal(message("2")); got.status != 429 {
		t.Errorf("renaming the source gave it a new allowance: %d", got.status)
	}
	f.sources.update("local", func(s *hookstreamv1.Source) { s.MaxRequestsPerSecond = 100 })
	for i := range 200 {
		if got := f.postLocal(message(fmt.Sprint("burst", i))); got.status != 200 {
			t.Fatalf("request %d of a burst of twice the rate: %d", i, got.status)
		}
	}
}

// Too many requests at once are refused, whatever is in them, and one source does
// not take the places of others.
func TestOverload(t *testing.T) {
	var held atomic.Int64
	held.Store(3)
	reached, release := make(chan struct{}), make(chan struct{})
	f := setup(t, func(o *ingress.Options) {
		o.MaxInFlight = 4
		o.Step = func(name string) {
			if name == ingress.StepReceived && held.Add(-1) >= 0 {
				reached <- struct{}{}
				<-release
			}
		}
	})
	f.sources.set(localSource("other"))
	statuses := make(chan int, 3)
	for i := range 3 {
		go func() { statuses <- f.postLocal(message(fmt.Sprint("held", i))).status }()
		<-reached
	}
	if got := f.postLocal(message("x")); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("a fourth: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	// A sender that has sent its body may use the connection again; for one that
	// has not, nobody waits.
	for body, closes := range map[string]bool{"0123456789": false, "012345678": true} {
		if got := f.closes(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n%s", localPath, body)); got != closes {
			t.Errorf("%d of 10 bytes of a body came: closed is %t", len(body), got)
		}
	}
	if got := f.post("/webhooks/other/other-key", strings.NewReader(message("x")), signatureHeader, sign(secret, message("x"))); got.status != 200 {
		t.Errorf("another source beside it: %d", got.status)
	}
	close(release)
	for range 3 {
		if got := <-statuses; got != 200 {
			t.Errorf("a request that was in: %d", got)
		}
	}
	if got := f.postLocal(message("x")); got.status != 200 {
		t.Errorf("when there is room again: %d", got.status)
	}
}

// Where the log has no room, or is gone, the sender is asked to come again.
func TestLogFails(t *testing.T) {
	log := new(failingLog)
	f := setup(t, func(o *ingress.Options) { log.Log = o.Log; o.Log = log })
	for _, tt := range []struct {
		err    error
		status int
	}{{eventlog.ErrFull, 503}, {eventlog.ErrUnavailable, 503}, {context.DeadlineExceeded, 503}, {eventlog.ErrTooLarge, 503}} {
		log.fail(tt.err)
		got := f.postLocal(message("x"))
		if got.status != tt.status || tt.status == 503 && got.header.Get("Retry-After") == "" {
			t.Errorf("%v: status %d, Retry-After %q", tt.err, got.status, got.header.Get("Retry-After"))
		}
	}
	log.fail(nil)
	if got := f.postLocal(message("x")); got.status != 200 {
		t.Errorf("when it is back: %d", got.status)
	}
}

func TestInboxFull(t *testing.T) {
	in := new(fullInbox)
	f := setup(t, func(o *ingress.Options) { in.Inbox = o.Inbox; o.Inbox = in })
	got := f.postRemote(message("x"))
	if got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("status %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	if f.results.request("remote full") != 1 {
		t.Errorf("results %v", f.results.requests)
	}
}

// A bug that a request finds is our fault, and nothing is published.
func TestPanicIsOurFault(t *testing.T) {
	f := setup(t)
	body := `{"topic":"panic in inspect","id":"1"}`
	if got := f.postLocal(body); got.status != 503 {
		t.Errorf("status %d, want 503", got.status)
	}
	if got := f.postLocal(message("2")); got.status != 200 {
		t.Errorf("the next: status %d", got.status)
	}
}
