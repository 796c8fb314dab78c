package ingress_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/ingress"
)

// Whatever bytes a stranger sends: the answer is one of the table's, it echoes
// nothing, it never redirects, and 200 from a local provider is only said to a
// body that is signed.
func FuzzHandler(f *testing.F) {
	body := message("1")
	for _, seed := range []string{
		"POST " + localPath + " HTTP/1.1\r\nHost: h\r\n" + signatureHeader + ": " + sign(secret, body) + "\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body,
		"POST " + localPath + " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST " + remotePath + " HTTP/1.1\r\nHost: h\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n\r\n" + body,
		"POST //webhooks/../%2e/local HTTP/1.0\r\n\r\n",
		"GET http://h/webhooks/local HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /webhooks/local/local-key HTTP/1.1\r\nHost: h\r\nContent-Type: a\r\nContent-Type: b\r\nContent-Encoding: gzip\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	o := eventlog.DefaultOptions()
	o.Dir, o.Durability, o.InboxMaxRows = f.TempDir(), eventlog.DurabilityRelaxed, 1<<40
	engine, err := eventlog.Open(context.Background(), o)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = engine.Close() })
	sources := newSourceList()
	sources.set(localSource("local"))
	sources.set(remoteSource("remote"))
	var result ingress.Result
	handler := ingress.New(ingress.Options{
		Log: engine.Events(), Inbox: engine.Inbox(), Sources: sources, Providers: newTokenAPI(f).provider,
		MaxBodyBytes: 1 << 10, VerifyWait: 1, Logger: slog.New(slog.DiscardHandler),
		Metrics: ingress.Metrics{Request: func(_ string, r ingress.Result, _ time.Duration) { result = r }},
	}).Handler()

	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return // net/http answers it
		}
		var sent bytes.Buffer
		req.Body = io.NopCloser(io.TeeReader(req.Body, &sent))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		switch w.Code {
		case 200:
			if w.Body.String() != "{}" {
				t.Errorf("200 with %q", w.Body)
			}
		case 400, 401, 404, 405, 413, 415:
			if !strings.HasPrefix(w.Body.String(), `{"error":"`) || w.Body.Len() > 100 {
				t.Errorf("%d with %q", w.Code, w.Body)
			}
		default: // 503 would be our fault, and nothing else is in the table
			t.Errorf("status %d, %v", w.Code, result)
		}
		if w.Header().Get("Location") != "" {
			t.Errorf("redirected to %q", w.Header().Get("Location"))
		}
		signed := req.Header.Get(signatureHeader) == sign(secret, sent.String())
		if w.Code == 200 && result != ingress.Pending && !signed {
			t.Errorf("%v without a signature", result)
		}
		if signed && sent.Len() > 1<<10 && w.Code == 200 {
			t.Errorf("a body of %d bytes is accepted", sent.Len())
		}
	})
}
