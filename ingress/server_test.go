package ingress_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
)

// What is no proper request is refused in our words, and nothing more is read
// from a connection of which nobody knows where the next request begins.
func TestBadFraming(t *testing.T) {
	f := setup(t)
	body := message("1")
	signed := signatureHeader + ": " + sign(secret, body) + "\r\n"
	chunks := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	for _, tt := range []struct {
		name, request string
		status        int
		result        string
	}{
		{"no HTTP", "EHLO mail.example\r\n\r\n", 400, " not_http"},
		{"another protocol's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, " not_http"},
		{"two lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400, " not_http"},
		{"no length", post + "Content-Length: -1\r\n\r\n{}", 400, " not_http"},
		{"a length beyond all numbers", post + "Content-Length: 99999999999999999999\r\n\r\n{}", 400, " not_http"},
		{"an unknown coding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunks, 400, " not_http"},
		{"a space before the colon", post + "Content-Length : 2\r\n\r\n{}", 400, " not_http"},
		{"a later version", strings.Replace(post, "HTTP/1.1", "HTTP/1.2", 1) + signed + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), 400, " not_http"},
		{"version 1.9", "GET / HTTP/1.9\r\nHost: h\r\n\r\n", 400, " not_http"},
		{"a fragment", strings.Replace(post, " HTTP", "#x HTTP", 1) + signed + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), 400, " not_http"},
		{"a fragment in a query", strings.Replace(post, " HTTP", "?a=b#c HTTP", 1) + signed + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body), 400, " not_http"},
		{"headers without end", post + "X-Filler: " + strings.Repeat("x", 20<<10), 431, " header_too_large"},
		{"a chunk without a size", post + signed + "Transfer-Encoding: chunked\r\n\r\nx\r\n" + body, 400, "local broken_body"},
		{"a chunk longer than its size", post + signed + "Transfer-Encoding: chunked\r\n\r\n1\r\n" + body, 400, "local broken_body"},
	} {
		before := f.results.request(tt.result)
		got := f.exchange(t, tt.request)
		if got.StatusCode != tt.status || !got.Close || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, closed %t, headers %v", tt.name, got.StatusCode, got.Close, got.Header)
		}
		waitFor(t, tt.name, func() bool { return f.results.request(tt.result) == before+1 })
	}
	// Chunks count where both are given, and nothing may follow.
	both := f.exchange(t, post+signed+"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks)
	if both.StatusCode != 200 || !both.Close {
		t.Errorf("a length and chunks: status %d, closed %t", both.StatusCode, both.Close)
	}
	if n := len(f.events()); n != 1 {
		t.Errorf("%d events are published, want 1", n)
	}
}

const post = "POST " + localPath + " HTTP/1.1\r\nHost: h\r\n"

// Requests that come together on one connection are answered in their order,
// each with its own body.
func TestPipelinedRequests(t *testing.T) {
	f := setup(t)
	var all strings.Builder
	for i := range 3 {
		body := message(fmt.Sprint(i))
		fmt.Fprintf(&all, "%s%s: %s\r\nContent-Length: %d\r\n\r\n%s", post, signatureHeader, sign(secret, body), len(body), body)
		all.WriteString("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	}
	r := bufio.NewReader(f.dial(t, all.String()))
	for i, want := range []int{200, 404, 200, 404, 200, 404} {
		got, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, got.Body)
		if got.StatusCode != want {
			t.Errorf("answer %d: status %d, want %d", i, got.StatusCode, want)
		}
	}
	if n := len(f.events()); n != 3 {
		t.Errorf("%d events are published, want 3", n)
	}
}

// dial opens a connection and says something on it.
func (f *fixture) dial(t *testing.T, say string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", f.server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	return c
}

// A sender that is still sending what nobody wants can end, and gets its answer:
// a connection that is closed with bytes unread would be reset.
func TestAnswerBeforeTheBodyEnds(t *testing.T) {
	f := setup(t)
	const size, part = 512 << 10, 16 << 10
	f.sources.update("local", func(s *hookstreamv1.Source) { s.Disabled = true })
	c := f.dial(t, post+fmt.Sprintf("Content-Length: %d\r\n\r\n{", size))
	r := bufio.NewReader(c)
	if _, err := r.Peek(1); err != nil {
		t.Fatal(err)
	}
	for sent := 1; sent < size; sent += part {
		if _, err := c.Write(make([]byte, min(part, size-sent))); err != nil {
			t.Fatalf("after %d bytes: %v", sent, err)
		}
	}
	got, err := http.ReadResponse(r, nil)
	if err != nil || got.StatusCode != 503 || !got.Close {
		t.Fatalf("got %v, %v, want a 503 that ends the connection", got, err)
	}
	if _, err := io.ReadAll(got.Body); err != nil {
		t.Errorf("the answer was cut: %v", err)
	}
}

// A body that is announced and too large is refused before a byte of it comes, and the
// answer is whole for who sends some of it all the same.
func TestTooLargeIsRefusedBeforeItComes(t *testing.T) {
	f := setup(t)
	for _, sent := range []int{0, 1, 256 << 10} {
		c := f.dial(t, post+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 1<<30, strings.Repeat("x", sent)))
		r := bufio.NewReader(c)
		got, err := http.ReadResponse(r, nil)
		if err != nil || got.StatusCode != http.StatusRequestEntityTooLarge || !got.Close {
			t.Fatalf("with %d bytes: %v, %v", sent, got, err)
		}
		if _, err := io.ReadAll(got.Body); err != nil {
			t.Errorf("with %d bytes the answer was cut: %v", sent, err)
		}
	}
	if n := f.results.request("local too_large"); n != 3 {
		t.Errorf("%d were counted", n)
	}
}

// A server that ends answers what is under way, and closes the rest.
func TestServerEnds(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.VerifyWait = time.Hour })
	f.api.mint("t")
	resume := f.api.pause()
	defer resume()
	idle := f.dial(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil || got.Close {
		t.Fatalf("%v, %v", got, err)
	}
	body := message("t")
	busy := f.dial(t, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", remotePath, len(body), body))
	waitFor(t, "the question", func() bool { return f.api.questions("t") == 1 })

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := f.server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	// What waited for a verdict is in the inbox, and waits no longer.
	got, err := http.ReadResponse(bufio.NewReader(busy), nil)
	if err != nil || got.StatusCode != 200 || !got.Close || f.results.request("remote pending") != 1 {
		t.Errorf("what was under way: %v, %v", got, err)
	}
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("an idle connection: %v, want its end", err)
	}
	if c, err := net.Dial("tcp", f.server.Addr); err == nil {
		c.Close()
		t.Error("the server listens still")
	}
}

// Close waits for nobody.
func TestServerIsClosed(t *testing.T) {
	f := setup(t, func(o *ingress.Options) { o.ReadTimeout = time.Hour })
	r := bufio.NewReader(f.dial(t, post+"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"))
	if got, err := http.ReadResponse(r, nil); err != nil || got.StatusCode != 100 {
		t.Fatal(got, err)
	}
	if err := f.server.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection: %v, want its end", err)
	}
}

// A listener that fails for a moment, as when there are too many open files, is
// listened to again.
func TestAcceptFailsForAMoment(t *testing.T) {
	f := setup(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tired := &tiredListener{Listener: ln}
	tired.failures.Store(3)
	server := f.gateway.Server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(tired) }()
	resp, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 || tired.failures.Load() > 0 {
		t.Errorf("status %d, %d failures left", resp.StatusCode, tired.failures.Load())
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Errorf("a server that was closed: %v", err)
	}
}

type tiredListener struct {
	net.Listener
	failures atomic.Int64
}

func (l *tiredListener) Accept() (net.Conn, error) {
	if l.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return l.Listener.Accept()
}

// A stop that comes before the server has begun to serve is not missed: the gateway
// would never end.
func TestStoppedBeforeItServes(t *testing.T) {
	for name, stop := range map[string]func(*ingress.Server) error{
		"shutdown": func(s *ingress.Server) error { return s.Shutdown(t.Context()) },
		"close":    func(s *ingress.Server) error { return s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := setup(t).gateway.Server()
			if err := stop(s); err != nil {
				t.Fatal(err)
			}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- s.Serve(ln) }()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Error("it serves after it was stopped")
				_ = ln.Close()
			}
		})
	}
}
