package ingress_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
)

// Connections that drip bodies, at one source or at none, cost nobody else a place:
// not with a signature, not without, not at a source without a key.
func TestDrippedBodiesCostOthersNothing(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.MaxInFlight, o.MaxConns = 4, 48 })
	keyless := localSource("keyless")
	keyless.IngressPath, keyless.Keyless = "/webhooks/keyless", true
	f.sources.set(keyless)
	for i := range 120 {
		path := []string{localPath, remotePath, "/webhooks/keyless", "/webhooks/nobody/key", "/"}[i%5]
		say := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n{", path)
		switch i % 7 {
		case 5:
			say = say[:20] // headers that never end
		case 6:
			say = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n{", path)
		}
		f.dial(t, say)
	}
	for i := range 20 {
		for _, path := range []string{localPath, "/webhooks/keyless"} {
			body := message(fmt.Sprint(i))
			if got := f.post(path, strings.NewReader(body), signatureHeader, sign(secret, body)); got.status != 200 {
				t.Fatalf("request %d of %s: %d", i, path, got.status)
			}
		}
	}
	if n := f.server.Conns(); n > 48 {
		t.Errorf("%d connections are open", n)
	}
}

// Silent connections, far more than there may be, keep nobody out. The connection of
// a sender that has been heard stays.
func TestSilentConnectionsKeepNobodyOut(t *testing.T) {
	var given atomic.Int64
	f := setup(t, func(o *ingress.Options) {
		o.MaxConns, o.MaxConnsPerAddress = 32, 32
		o.Metrics.Given = func(refused bool) {
			if given.Add(1); refused {
				t.Error("a connection was refused")
			}
		}
	})
	body := message("1")
	post := fmt.Sprintf("%s%s: %s\r\nContent-Length: %d\r\n\r\n%s", post, signatureHeader, sign(secret, body), len(body), body)
	honest := f.dial(t, post)
	answers := bufio.NewReader(honest)
	answered := func() {
		t.Helper()
		got, err := http.ReadResponse(answers, nil)
		if err != nil || got.StatusCode != 200 {
			t.Fatalf("the honest sender: %v, %v", got, err)
		}
		_, _ = io.Copy(io.Discard, got.Body)
	}
	answered()
	for range 200 {
		f.dial(t, "")
	}
	waitFor(t, "connections to be given up", func() bool { return given.Load() >= 200+1-32 })
	if got := f.postLocal(message("2")); got.status != 200 {
		t.Errorf("a new sender: %d", got.status)
	}
	if _, err := io.WriteString(honest, post); err != nil {
		t.Fatal(err)
	}
	answered()
	if n := f.server.Conns(); n > 32 {
		t.Errorf("%d connections are open", n)
	}
}

// A connection with a request at work is not given up for any number of others.
func TestWorkIsNotGivenUp(t *testing.T) {
	reached, release := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	f := setup(t, func(o *ingress.Options) {
		o.MaxConns, o.MaxConnsPerAddress = 4, 4
		o.Step = func(name string) {
			if name == ingress.StepReceived && once.CompareAndSwap(false, true) {
				close(reached)
				<-release
			}
		}
	})
	status := make(chan int, 1)
	go func() { status <- f.postLocal(message("1")).status }()
	<-reached
	for range 40 {
		f.dial(t, "")
	}
	if got := f.postLocal(message("2")); got.status != 200 {
		t.Errorf("beside it: %d", got.status)
	}
	close(release)
	if got := <-status; got != 200 {
		t.Errorf("the one at work: %d", got)
	}
}

// What a request's headers have earned is told before its body is asked for.
func TestExpect(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.MaxBodyBytes = 4096 })
	disabled := localSource("disabled")
	disabled.Disabled = true
	f.sources.set(disabled)
	for _, c := range []struct {
		line, header string
		status       int
	}{
		{"POST /webhooks/nobody/key HTTP/1.1", "Content-Length: 2", 404},
		{"POST /webhooks/local/wrong HTTP/1.1", "Content-Length: 2", 404},
		{"POST / HTTP/1.1", "Content-Length: 2", 404},
		{"PUT " + localPath + " HTTP/1.1", "Content-Length: 2", 405},
		{"POST " + localPath + " HTTP/1.1", "Content-Length: 4097", 413},
		{"POST " + localPath + " HTTP/1.1", "Content-Length: 1073741824", 413},
		{"POST " + localPath + " HTTP/1.1", "Content-Length: 2\r\nContent-Type: text/plain", 415},
		{"POST " + localPath + " HTTP/1.1", "Content-Length: 2\r\nContent-Encoding: gzip", 415},
		{"POST /webhooks/disabled/disabled-key HTTP/1.1", "Content-Length: 2", 503},
		{"POST " + localPath + "#x HTTP/1.1", "Content-Length: 2", 400},
		{"POST /healthz HTTP/1.1", "Content-Length: 2", 405},
	} {
		got := f.exchange(t, c.line+"\r\nHost: h\r\nExpect: 100-continue\r\n"+c.header+"\r\n\r\n")
		if got.StatusCode != c.status || !got.Close || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s, %s: %d, closed %t, want %d", c.line, c.header, got.StatusCode, got.Close, c.status)
		}
	}
	// One request is one of the source's rate.
	f.sources.update("local", func(s *hookstreamv1.Source) { s.MaxRequestsPerSecond = 0.001 })
	body := message("1")
	ask := fmt.Sprintf("%s%s: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", post, signatureHeader, sign(secret, body), len(body))
	c := f.dial(t, ask)
	r := bufio.NewReader(c)
	if got, err := http.ReadResponse(r, nil); err != nil || got.StatusCode != 100 {
		t.Fatal(got, err)
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	if got, err := http.ReadResponse(r, nil); err != nil || got.StatusCode != 200 {
		t.Fatal(got, err)
	}
	if got := f.exchange(t, ask); got.StatusCode != 429 || got.Header.Get("Retry-After") == "" {
		t.Errorf("over the rate: %d", got.StatusCode)
	}
	f.only()
}

// Balancers ask the ingress itself, and are told nothing but yes or no.
func TestHealthOfTheIngress(t *testing.T) {
	var unready atomic.Bool
	f := setup(t, func(o *ingress.Options) {
		o.Ready = func() error {
			if unready.Load() {
				return errors.New("the disk SECRET is full")
			}
			return nil
		}
	})
	ask := func(method, path string, status int) {
		t.Helper()
		req, err := http.NewRequest(method, f.server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := f.do(req)
		if got.status != status || strings.Contains(got.body, "SECRET") {
			t.Errorf("%s %s: %d %s, want %d", method, path, got.status, got.body, status)
		}
		if status == 405 && got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("Allow: %q", got.header.Get("Allow"))
		}
	}
	for _, ok := range []bool{true, false, true} {
		unready.Store(!ok)
		want := map[bool]int{true: 200, false: 503}[ok]
		ask("GET", "/healthz", want)
		ask("HEAD", "/healthz", want)
		ask("GET", "/healthz?from=lb", want)
	}
	ask("POST", "/healthz", 405)
	ask("GET", "/healthz/", 404)
	ask("GET", "/readyz", 404)
	if f.results.request(" healthy") != 6 || f.results.request(" unready") != 3 {
		t.Errorf("%d and %d are counted", f.results.request(" healthy"), f.results.request(" unready"))
	}
}
