package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
)

// Whatever bytes a stranger sends on a connection: every answer is one of the
// table's, it echoes nothing, it never redirects, and what a local provider lets
// through is signed.
func FuzzServer(f *testing.F) {
	body := message("1")
	for _, seed := range []string{
		"POST " + localPath + " HTTP/1.1\r\nHost: h\r\n" + signatureHeader + ": " + sign(secret, body) + "\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body,
		"POST " + localPath + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST " + remotePath + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body,
		"POST " + localPath + " HTTP/1.1\r\nHost: h\r\n" + signatureHeader + ": " + sign(secret, body) + "\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body + "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST " + localPath + " HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
		"POST " + localPath + " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"POST //webhooks/../%2e/local HTTP/1.0\r\n\r\n",
		"GET http://h/webhooks/local HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /webhooks/local/local-key HTTP/1.1\r\nHost: h\r\nContent-Type: a\r\nContent-Type: b\r\nContent-Encoding: gzip\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	o := jetstream.DefaultOptions()
	o.Dir, o.Durability, o.InboxMaxRows = f.TempDir(), jetstream.DurabilityRelaxed, 1<<40
	engine, err := jetstream.Open(context.Background(), o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = engine.Close() })
	sources := newSourceList()
	sources.set(localSource("local"))
	sources.set(remoteSource("remote"))
	log := &lastEntry{Log: engine.Events()}
	server := ingress.New(ingress.Options{
		Log: log, Inbox: engine.Inbox(), Sources: sources, Providers: newTokenAPI(f).provider,
		MaxBodyBytes: 1 << 10, VerifyWait: 1, Logger: slog.New(slog.DiscardHandler),
	}).Server()
	ln := &scripts{conns: make(chan net.Conn), closed: make(chan struct{})}
	go func() { _ = server.Serve(ln) }()
	f.Cleanup(func() { _ = server.Close() })

	f.Fuzz(func(t *testing.T, raw []byte) {
		log.entry = nil
		for _, got := range ln.play(t, raw) {
			checkFuzzAnswer(t, got)
		}
		if log.entry == nil {
			return
		}
		e := new(hookstreamv1.Event)
		if err := proto.Unmarshal(log.entry.Data, e); err != nil {
			t.Fatal(err)
		}
		sent := e.GetRaw().GetBody()
		if log.entry.Source == "local" && !bytes.Contains(raw, []byte(sign(secret, string(sent)))) {
			t.Error("an event without a signature is published")
		}
		if len(sent) > 1<<10 {
			t.Errorf("a body of %d bytes is accepted", len(sent))
		}
	})
}

func checkFuzzAnswer(t *testing.T, got *http.Response) {
	t.Helper()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	switch got.StatusCode {
	case 100:
	case 200:
		if string(body) != "{}" {
			t.Errorf("200 with %q", body)
		}
	case 400, 401, 404, 405, 413, 415, 431:
		// HEAD has an answer without a body.
		if len(body) > 0 && (!bytes.HasPrefix(body, []byte(`{"error":"`)) || len(body) > 100) {
			t.Errorf("%d with %q", got.StatusCode, body)
		}
	default: // 503 would be our fault, and nothing else is in the table
		t.Errorf("status %d", got.StatusCode)
	}
	if got.Header.Get("Location") != "" {
		t.Errorf("redirected to %q", got.Header.Get("Location"))
	}
}

// lastEntry remembers what was last published.
type lastEntry struct {
	ingress.Log

	entry *eventlog.Entry
}

func (l *lastEntry) Append(ctx context.Context, e eventlog.Entry) (eventlog.Appended, error) {
	l.entry = &e
	return l.Log.Append(ctx, e)
}

// scripts is a listener whose connections say what they are given and hang up.
type scripts struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (s *scripts) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *scripts) Close() error   { s.once.Do(func() { close(s.closed) }); return nil }
func (s *scripts) Addr() net.Addr { return &net.TCPAddr{} }

// play sends what a connection says and answers what it is answered.
func (s *scripts) play(t *testing.T, said []byte) []*http.Response {
	t.Helper()
	c := &script{said: bytes.NewReader(said), ended: make(chan struct{})}
	s.conns <- c
	<-c.ended
	var all []*http.Response
	for r := bufio.NewReader(&c.heard); ; {
		if _, err := r.Peek(1); err != nil {
			return all
		}
		// The method only matters for HEAD, whose answers end with their headers.
		got, err := http.ReadResponse(r, &http.Request{Method: firstMethod(said)})
		if err != nil {
			t.Fatalf("answered %q: %v", c.heard.Bytes(), err)
		}
		all = append(all, got)
		if firstMethod(said) == http.MethodHead {
			return all // whether the next has a body, its request says
		}
		body, _ := io.ReadAll(got.Body)
		got.Body = io.NopCloser(bytes.NewReader(body))
	}
}

func firstMethod(said []byte) string {
	method, _, _ := bytes.Cut(bytes.TrimLeft(said, "\r\n"), []byte{' '})
	return string(method)
}

// script is one such connection.
type script struct {
	net.Conn
	said  *bytes.Reader
	heard bytes.Buffer
	ended chan struct{}
	once  sync.Once
}

func (c *script) Read(p []byte) (int, error)       { return c.said.Read(p) }
func (c *script) Write(p []byte) (int, error)      { return c.heard.Write(p) }
func (c *script) Close() error                     { c.once.Do(func() { close(c.ended) }); return nil }
func (c *script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *script) SetDeadline(time.Time) error      { return nil }
func (c *script) SetReadDeadline(time.Time) error  { return nil }
func (c *script) SetWriteDeadline(time.Time) error { return nil }
