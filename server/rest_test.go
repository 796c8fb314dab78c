package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func TestRESTErrors(t *testing.T) {
	g := start(t)
	g.create(t, "billing", yousignSource("secret-one"))
	tests := []struct {
		name, method, path, body string
		status                   int
		holds                    string
	}{
		{"no such path", "GET", "/v1/nothing", "", 404, "/openapi.json"},
		{"no such path outside", "GET", "/nothing", "", 404, "/docs"},
		{"no such source", "GET", "/v1/sources/other", "", 404, "RESOURCE_NOT_FOUND"},
		{"no such method", "PUT", "/v1/sources/billing", "{}", 405, "PUT"},
		{"no such method of a stream", "PUT", "/v1/events:subscribe", "{}", 405, "PUT"},
		{"taken", "POST", "/v1/sources?sourceId=billing", `{"yousign":{"secrets":["secret-one"]}}`, 409, "RESOURCE_EXISTS"},
		{"not valid", "POST", "/v1/sources?sourceId=X", `{"yousign":{"secrets":["secret-one"]}}`, 400, `"field":"source_id"`},
		{"not JSON", "POST", "/v1/sources?sourceId=x", `{"yousign":`, 400, "REQUEST_INVALID"},
		{"more than JSON", "POST", "/v1/sources/billing:enable", `{} {}`, 400, "REQUEST_INVALID"},
		{"no such field", "POST", "/v1/sources?sourceId=x", `{"yousing":{}}`, 400, "yousing"},
		{"no such parameter", "GET", "/v1/sources?pageSise=1", "", 400, "pageSise"},
		{"no such parameter of a stream", "GET", "/v1/events:subscribe?atHeed=true", "", 400, "atHeed"},
		{"a form is not JSON", "POST", "/v1/sources/billing:disable", "name=x", 400, "REQUEST_INVALID"},
		{"too large", "POST", "/v1/sources?sourceId=x", `{"description":"` + strings.Repeat("x", maxBodyBytes) + `"}`, 413, "1 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, header, body := g.do(t, tt.method, tt.path, tt.body)
			if code != tt.status || !strings.Contains(strings.ReplaceAll(body, ": ", ":"), tt.holds) {
				t.Errorf("%d %s, want %d with %q", code, body, tt.status, tt.holds)
			}
			parseJSON(t, body)
			if got := header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
	if g.kept(t, "billing").GetDisabled() {
		t.Error("a refused request disabled the source")
	}
}

func TestAnUnavailableStoreSaysWhenToRetry(t *testing.T) {
	g := start(t, withEvents(&fakeEvents{get: func(context.Context, *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
		return nil, source503()
	}}))
	code, header, body := g.do(t, "GET", "/v1/events/a-1", "")
	if code != 503 || header.Get("Retry-After") != "1" || !strings.Contains(body, "STORE_UNAVAILABLE") {
		t.Errorf("%d, Retry-After %q, %s", code, header.Get("Retry-After"), body)
	}
}

func source503() error {
	return statusError(codes.Unavailable, hookstreamv1.ErrorReason_ERROR_REASON_STORE_UNAVAILABLE, "not now", retryInfo())
}

func TestJSONIsLowerCamelCaseWithEnumsByName(t *testing.T) {
	g := start(t, withEvents(&fakeEvents{get: func(context.Context, *hookstreamv1.GetEventRequest) (*hookstreamv1.Event, error) {
		return &hookstreamv1.Event{
			Name: "events/a-1", ReceiveTime: timestamppb.New(time.Unix(0, 0)),
			DecodeState: hookstreamv1.DecodeState(1),
		}, nil
	}}))
	_, header, body := g.do(t, "GET", "/v1/events/a-1?view=EVENT_VIEW_TYPED", "")
	got := parseJSON(t, body)
	if got["receiveTime"] != "1970-01-01T00:00:00Z" || got["decodeState"] != hookstreamv1.DecodeState(1).String() {
		t.Errorf("%v", got)
	}
	if _, ok := got["topic"]; ok {
		t.Error("a field that is not set is there")
	}
	if header.Get("Cache-Control") != "no-store" || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", header)
	}
	for name := range header {
		if strings.HasPrefix(name, "Grpc-") {
			t.Errorf("header %s leaks what is behind REST", name)
		}
	}
}

func TestOtherOriginsAreRefused(t *testing.T) {
	g := start(t)
	g.create(t, "billing", yousignSource("secret-one"))
	for name, header := range map[string][]string{
		"another site by fetch metadata": {"Sec-Fetch-Site", "cross-site"},
		"another origin":                 {"Origin", "https://evil.example"},
	} {
		code, header, body := g.do(t, "POST", "/v1/sources/billing:disable", "{}", header...)
		if code != 403 || header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	if g.kept(t, "billing").GetDisabled() {
		t.Error("another origin disabled the source")
	}
	if code, _, body := g.do(t, "POST", "/v1/sources/billing:disable", "{}", "Origin", g.http.URL, "Sec-Fetch-Site", "same-origin"); code != 200 {
		t.Errorf("our own page was refused: %d %s", code, body)
	}
}

// Somebody's host name that resolves to 127.0.0.1 makes their page ours, as far
// as the browser can tell.
func TestReboundHostNamesAreRefused(t *testing.T) {
	g := start(t, func(_ *Options, web *HTTPOptions) { web.AllowedHosts = []string{"hooks.example"} })
	for host, want := range map[string]int{
		"127.0.0.1:9091":     200,
		"[::1]:9091":         200,
		"localhost:9091":     200,
		"LOCALHOST":          200,
		"hooks.example":      200,
		"evil.example":       403,
		"evil.example:9091":  403,
		"localhost.evil.com": 403,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", g.http.URL+"/v1/sources", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, resp.StatusCode, want)
		}
	}
}

// Beyond this machine nobody knows under which names the gateway is reached, unless
// they are named: then a name that is pointed at it is refused there too.
func TestReboundHostNamesBeyondThisMachine(t *testing.T) {
	ok := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	elsewhere := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 9091}
	for _, tt := range []struct {
		named []string
		host  string
		want  int
	}{
		{nil, "evil.example:9091", 200},
		{[]string{"hooks.example"}, "evil.example:9091", 403},
		{[]string{"hooks.example"}, "hooks.example:9091", 200},
		{[]string{"hooks.example"}, "10.0.0.5:9091", 200},
		{[]string{"*"}, "evil.example:9091", 200},
	} {
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, elsewhere), "GET", "/v1/sources", nil)
		r.Host = tt.host
		w := httptest.NewRecorder()
		sameOrigin(tt.named, ok).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%v, %s: %d, want %d", tt.named, tt.host, w.Code, tt.want)
		}
	}
}

// What tells or costs something when it is read is kept from other pages.
func TestOwnPagesOnly(t *testing.T) {
	here := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6060}
	for name, tt := range map[string]struct {
		host   string
		header string
		want   int
	}{
		"a program":      {"127.0.0.1:6060", "", 200},
		"the keyboard":   {"localhost:6060", "none", 200},
		"another site":   {"localhost:6060", "cross-site", 403},
		"another port":   {"localhost:6060", "same-site", 403},
		"a rebound name": {"evil.example:6060", "same-origin", 403},
	} {
		r := httptest.NewRequestWithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, here), "GET", "/debug/pprof/profile", nil)
		r.Host = tt.host
		if tt.header != "" {
			r.Header.Set("Sec-Fetch-Site", tt.header)
		}
		w := httptest.NewRecorder()
		OwnPagesOnly(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.want)
		}
	}
}

func TestProbesMetricsAndConsole(t *testing.T) {
	g := start(t, func(_ *Options, web *HTTPOptions) {
		web.Healthy = func(context.Context) error { return nil }
		web.Ready = func(context.Context) error { return errors.New("the log is being read") }
		web.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metric 1\n") })
		web.Console = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "console") })
	})
	for _, tt := range []struct {
		path   string
		status int
		body   string
	}{
		{"/healthz", 200, "ok\n"},
		{"/readyz", 503, "the log is being read\n"},
		{"/metrics", 200, "metric 1\n"},
		{"/", 200, "console"},
	} {
		if code, _, body := g.do(t, "GET", tt.path, ""); code != tt.status || body != tt.body {
			t.Errorf("%s: %d %q, want %d %q", tt.path, code, body, tt.status, tt.body)
		}
	}
}

// A client that begins a body and never ends it is answered in bounded time.
func TestASlowBodyIsCut(t *testing.T) {
	srv := httptest.NewServer(readBody(50*time.Millisecond, http.NotFoundHandler()))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /v1/sources HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusRequestTimeout || !resp.Close {
		t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
	}
}
