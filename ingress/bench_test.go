package ingress_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
)

// The handler's own cost: the log does nothing, and so does the provider but
// for finding out the names.
func BenchmarkHandler(b *testing.B) {
	sources := newSourceList()
	sources.set(localSource("local"))
	handler := ingress.New(ingress.Options{
		Log: nullLog{}, Inbox: nullInbox{}, Sources: sources,
		Providers: func(*hookstreamv1.Source) (provider.Verifier, error) { return nullProvider{}, nil },
	}).Handler()
	for _, bb := range []struct {
		name, path string
		size       int
	}{{"1KB", localPath, 1 << 10}, {"5KB", localPath, 5 << 10}, {"64KB", localPath, 64 << 10}, {"wrong key", "/webhooks/local/wrong", 1 << 10}} {
		b.Run(bb.name, func(b *testing.B) {
			body := []byte(large("1", bb.size))
			var ctx fasthttp.RequestCtx
			readHeader(b, &ctx, "POST "+bb.path+" HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"+
				"User-Agent: Yousign Webhook Bot\r\nX-Yousign-Retry: 0\r\nX-Yousign-Issued-At: 1670855889\r\n\r\n")
			r := bytes.NewReader(body)
			b.ReportAllocs()
			b.SetBytes(int64(bb.size))
			for b.Loop() {
				r.Reset(body)
				ctx.Request.SetBodyStream(r, len(body))
				ctx.Response.Reset()
				handler(&ctx)
			}
			if got := ctx.Response.StatusCode(); bb.path == localPath && got != 200 {
				b.Fatalf("status %d", got)
			}
		})
	}
}

type nullProvider struct{}

func (nullProvider) Remote() bool      { return false }
func (nullProvider) Headers() []string { return []string{signatureHeader} }
func (nullProvider) Inspect(*provider.Request) (provider.Info, error) {
	return provider.Info{Topic: "signature_request", Action: "done", Environment: "sandbox", EventID: "id", DedupKey: "key", Attempt: 0}, nil
}

func (nullProvider) Verify(context.Context, *provider.Request, provider.Info) provider.Verdict {
	return provider.Verdict{Outcome: provider.Genuine, Method: "hmac-sha256", SecretIndex: 1}
}

// nullLog keeps nothing. Only what the handler calls is there.
type nullLog struct{ ingress.Log }

func (nullLog) Append(context.Context, eventlog.Entry) (eventlog.Appended, error) {
	return eventlog.Appended{Seq: 1}, nil
}
func (nullLog) Incarnation() event.Incarnation { return 1 }

type nullInbox struct{ eventlog.Inbox }
