package ingress_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
)

func shadow(s *hookstreamv1.Source) {
	s.VerificationMode = hookstreamv1.VerificationMode_VERIFICATION_MODE_SHADOW
}

// What is published is what the request said, and nothing that is secret.
func TestPublishedEvent(t *testing.T) {
	f := setup(t)
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	body := ` {"id":"42", "topic":"signature.request","action":"done","env":"sandbox","entity":"things/7","time":"2026-03-01T10:00:00Z"}` + "\n"
	before := time.Now()
	got := f.postLocal(body, "Traceparent", parent, "X-Test-Retry", "3", "User-Agent", "bot",
		"Authorization", "Bearer hidden", "Cookie", "c=hidden", "X-Yousign-Signature-256", "sha256=hidden", "X-Other", "hidden")
	if got.status != 200 {
		t.Fatalf("status %d", got.status)
	}
	e := f.only()
	want := &hookstreamv1.Event{
		Name: e.GetName(), Source: "sources/local", Provider: "yousign", Environment: "sandbox",
		Topic: "signature.request", Action: "done", Type: "signature.request.done",
		Entity: "things/7", ProviderEventId: "42",
		OccurTime:   timestamppb.New(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)),
		ReceiveTime: e.GetReceiveTime(),
		Verification: &hookstreamv1.Verification{
			State: verified, Method: "hmac-sha256", SecretIndex: 1, VerifyTime: e.GetVerification().GetVerifyTime(),
			Coverage: hookstreamv1.Verification_COVERAGE_BODY,
		},
		TraceParent: parent,
		Proof:       e.GetProof(),
		Raw: &hookstreamv1.RawRequest{
			Headers: []*hookstreamv1.RawRequest_Header{
				{Name: "Content-Type", Value: "application/json"},
				{Name: "User-Agent", Value: "bot"},
				{Name: "Traceparent", Value: parent},
				{Name: "X-Test-Retry", Value: "3"},
			},
			Body: []byte(body), ContentType: "application/json",
		},
	}
	if diff := cmp.Diff(want, e, protocmp.Transform()); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	for _, ts := range []*timestamppb.Timestamp{e.GetReceiveTime(), e.GetVerification().GetVerifyTime()} {
		if got := ts.AsTime(); got.Before(before) || got.After(time.Now()) {
			t.Errorf("time %v is not now", got)
		}
	}
}

// Genuine content of any size and bytes has room, cut and made valid.
func TestHostileButGenuineContent(t *testing.T) {
	f := setup(t)
	for i, body := range []string{
		fmt.Sprintf(`{"id":"0","topic":%q,"action":%q,"entity":%[1]q}`, strings.Repeat("é", 4000), strings.Repeat("ab", 9000)),
		"{\"id\":\"1\",\"topic\":\"a\xff\xfe.b\",\"action\":\"*.>\"}",
		`{"id":"2","topic":"","action":""}`,
		`{"id":"3","topic":"\u0000\n","action":" "}`,
		`{"id":"` + strings.Repeat("4", 5000) + `","topic":"t"}`,
		`{"id":"5","topic":"t","time":"9999-12-31T23:59:59-23:59"}`,
	} {
		if got := f.postLocal(body, "Traceparent", "junk", "User-Agent", "a\xffb"); got.status != 200 {
			t.Fatalf("body %d: status %d", i, got.status)
		}
		events := f.events()
		e := events[len(events)-1]
		if len(events) != i+1 || string(e.GetRaw().GetBody()) != body || e.GetTraceParent() != "" {
			t.Errorf("body %d: %d events, the last %.200v", i, len(events), e)
		}
		for _, s := range []string{e.GetTopic(), e.GetAction(), e.GetEntity(), e.GetProviderEventId()} {
			if len(s) > 256 {
				t.Errorf("body %d: a string of %d bytes", i, len(s))
			}
		}
	}
}

// N equal requests in flight are one event, and every sender hears 200.
func TestConcurrentDuplicates(t *testing.T) {
	f := setup(t)
	const n = 50
	statuses := f.together(n, func(int) answer { return f.postLocal(message("same")) })
	if statuses[200] != n {
		t.Errorf("statuses %v", statuses)
	}
	f.only()
	if f.results.request("local published") != 1 || f.results.request("local duplicate") != n-1 {
		t.Errorf("results %v", f.results.requests)
	}
}

// together calls fn n times at once and counts the statuses.
func (f *fixture) together(n int, fn func(i int) answer) map[int]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	statuses := make(map[int]int)
	for i := range n {
		wg.Go(func() {
			a := fn(i)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	wg.Wait()
	return statuses
}

// While a secret is changed, both are good; no genuine request is refused at
// any time, and afterwards the old secret is worth nothing.
func TestSecretRotationUnderLoad(t *testing.T) {
	f := setup(t)
	const next = "the second secret"
	send := func(secret, id string) int {
		body := message(id)
		return f.post(localPath, strings.NewReader(body), signatureHeader, sign(secret, body)).status
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if status := send(secret, fmt.Sprint(w, "-", i)); status != 200 {
					t.Errorf("a genuine request: %d", status)
					return
				}
			}
		})
	}
	for range 20 {
		f.sources.update("local", func(s *hookstreamv1.Source) { s.GetYousign().Secrets = []string{next, secret} })
		if status := send(next, "with the new"); status != 200 {
			t.Errorf("with the new secret: %d", status)
		}
		f.sources.update("local", func(s *hookstreamv1.Source) { s.GetYousign().Secrets = []string{secret, next} })
	}
	close(stop)
	wg.Wait()
	f.sources.update("local", func(s *hookstreamv1.Source) { s.GetYousign().Secrets = []string{next} })
	if status := send(secret, "too late"); status != 401 {
		t.Errorf("with the old secret: %d, want 401", status)
	}
}

// In shadow mode a forgery is published as one, and never in the place of the
// genuine event whose id it claims.
func TestShadowForgeryDoesNotSuppress(t *testing.T) {
	f := setup(t)
	f.sources.update("local", shadow)
	forged := `{"id":"7","topic":"thing","action":"done","content":"forged"}`
	for range 2 { // the second is a duplicate of the first forgery
		if got := f.post(localPath, strings.NewReader(forged), signatureHeader, "00"); got.status != 200 {
			t.Fatalf("forged: status %d", got.status)
		}
	}
	if got := f.postLocal(message("7")); got.status != 200 {
		t.Fatalf("genuine: status %d", got.status)
	}
	events := f.events()
	if len(events) != 2 || state(events[0]) != failed || state(events[1]) != verified {
		t.Fatalf("events %v", events)
	}
	if v := events[0].GetVerification(); v.GetReason() != "signature_mismatch" || v.GetSecretIndex() != 0 {
		t.Errorf("verification %v", v)
	}
}

// A stranger can not fill the disk with log lines, nor put text into them.
func TestForgeriesAreLoggedNowAndThen(t *testing.T) {
	var buf syncBuffer
	f := setup(t, func(o *ingress.Options) { o.Logger = slog.New(slog.NewTextHandler(&buf, nil)) })
	for i := range 100 {
		body := message(fmt.Sprint("needle", i))
		if got := f.post(localPath, strings.NewReader(body), signatureHeader, "needle"); got.status != 401 {
			t.Fatalf("status %d", got.status)
		}
		f.post("/webhooks/needle/needle", strings.NewReader(body))
	}
	text := buf.String()
	if n := strings.Count(text, "\n"); n != 1 {
		t.Errorf("%d lines for 200 refused requests, want 1:\n%s", n, text)
	}
	if !strings.Contains(text, "reason=signature_mismatch") || !strings.Contains(text, "source=local") {
		t.Errorf("the line does not say what and where: %s", text)
	}
	for _, leak := range []string{"needle", "local-key", secret} {
		if strings.Contains(text, leak) {
			t.Errorf("the log holds %q:\n%s", leak, text)
		}
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}
func (s *syncBuffer) String() string { s.mu.Lock(); defer s.mu.Unlock(); return s.b.String() }

// Ten thousand sources are looked up like one.
func TestManySources(t *testing.T) {
	f := setup(t)
	for i := range 10_000 {
		f.sources.set(localSource(fmt.Sprint("s", i)))
	}
	body := message("1")
	for _, i := range []int{0, 5000, 9999} {
		path := fmt.Sprintf("/webhooks/s%d/s%[1]d-key", i)
		if got := f.post(path, strings.NewReader(body), signatureHeader, sign(secret, body)); got.status != http.StatusOK {
			t.Errorf("source %d: %d", i, got.status)
		}
	}
}

// Every result has a name of its own and an answer from the design's table.
func TestResults(t *testing.T) {
	names := make(map[string]bool)
	for _, r := range ingress.Results() {
		if r.String() == "" || names[r.String()] {
			t.Errorf("result %d is named %q", r, r)
		}
		names[r.String()] = true
		switch r.Status() {
		case 200, 400, 401, 404, 405, 408, 413, 415, 429, 431, 503:
		default:
			t.Errorf("%s is answered %d", r, r.Status())
		}
	}
}
