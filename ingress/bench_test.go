package ingress_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
)

// The handler's own cost: the log does nothing, and so does the provider but
// for finding out the names.
func BenchmarkHandler(b *testing.B) {
	sources := newSourceList()
	sources.set(localSource("local"))
	handler := ingress.New(ingress.Options{
		Log: nullLog{}, Inbox: nullInbox{}, Sources: sources,
		Providers: func(*hookstreamv1.Source) (ingress.Provider, error) { return nullProvider{}, nil },
	}).Handler()
	for _, bb := range []struct {
		name, path string
		size       int
	}{{"1KB", localPath, 1 << 10}, {"5KB", localPath, 5 << 10}, {"64KB", localPath, 64 << 10}, {"wrong key", "/webhooks/local/wrong", 1 << 10}} {
		b.Run(bb.name, func(b *testing.B) {
			body := []byte(large("1", bb.size))
			req, err := http.NewRequest(http.MethodPost, bb.path, nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header = http.Header{
				"Content-Type": {"application/json"}, "User-Agent": {"Yousign Webhook Bot"},
				"X-Yousign-Retry": {"0"}, "X-Yousign-Issued-At": {"1670855889"},
			}
			r := bytes.NewReader(body)
			req.Body = io.NopCloser(r)
			w := &nullWriter{h: make(http.Header)}
			b.ReportAllocs()
			b.SetBytes(int64(bb.size))
			for b.Loop() {
				r.Reset(body)
				clear(w.h)
				handler.ServeHTTP(w, req)
			}
			if want := 200; bb.path == localPath && w.status != want {
				b.Fatalf("status %d", w.status)
			}
		})
	}
}

type nullWriter struct {
	h      http.Header
	status int
}

func (w *nullWriter) Header() http.Header         { return w.h }
func (w *nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *nullWriter) WriteHeader(status int)      { w.status = status }

type nullProvider struct{}

func (nullProvider) Remote() bool { return false }
func (nullProvider) Inspect(*ingress.Request) (ingress.Info, error) {
	return ingress.Info{Topic: "signature_request", Action: "done", Environment: "sandbox", EventID: "id", DedupKey: "key", Attempt: 0}, nil
}

func (nullProvider) Verify(context.Context, *ingress.Request, ingress.Info) ingress.Verdict {
	return ingress.Verdict{Outcome: ingress.Genuine, Method: "hmac-sha256", SecretIndex: 1}
}

// nullLog keeps nothing. Only what the handler calls is there.
type nullLog struct{ eventlog.Log }

func (nullLog) Append(context.Context, eventlog.Entry) (eventlog.Appended, error) {
	return eventlog.Appended{Seq: 1}, nil
}
func (nullLog) Incarnation() event.Incarnation { return 1 }

type nullInbox struct{ eventlog.Inbox }
