package ingress_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
)

// refusals notes what it is told.
type refusals struct {
	unwanted bool
	before   func() // called before one is noted

	mu    sync.Mutex
	asked int
	noted []*ingress.Refused
}

func (r *refusals) Wants(string, ingress.Result, netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return !r.unwanted
}

func (r *refusals) Note(one *ingress.Refused) {
	if r.before != nil {
		r.before()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noted = append(r.noted, one)
}

func (r *refusals) all() []*ingress.Refused {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*ingress.Refused(nil), r.noted...)
}

// next waits for one more than n and answers it.
func (r *refusals) next(t *testing.T, n int) *ingress.Refused {
	t.Helper()
	waitFor(t, "a note", func() bool { return len(r.all()) > n })
	return r.all()[n]
}

// brief is one without its body.
func brief(r *ingress.Refused) string {
	b := *r
	b.Body = nil
	return fmt.Sprintf("%d bytes of %+v", len(r.Body), b)
}

func (r *refusals) option(o *ingress.Options) { o.Refused = r }

// Each refusal for good is told with what there is to see of it and to check it by, and
// with no credential in what may be shown.
func TestRefusalsAreTold(t *testing.T) {
	r := &refusals{}
	f := setup(t, r.option, func(o *ingress.Options) { o.MaxBodyBytes = 100 << 10 })
	f.sources.update("local", func(s *hookstreamv1.Source) { s.DisabledTypes = []string{"unwanted.*"} })
	large := strings.Repeat("x", 200<<10)
	forged := message("forged")
	long := `{"topic":"thing","action":"done","id":"long","content":"` + strings.Repeat("x", 80<<10) + `"}`
	foreign := `{"topic":"thing","action":"done","id":"1","app":"other"}`
	unwanted := `{"topic":"unwanted","action":"done","id":"1"}`
	for n, c := range []struct {
		name   string
		send   func() answer
		result ingress.Result
		want   ingress.Refused
	}{
		{"forged", func() answer {
			return f.post(localPath+"?token=query-secret", strings.NewReader(forged), signatureHeader, sign("another secret", forged),
				"Authorization", "Bearer header-secret", "Cookie", "cookie-secret", "User-Agent", "a sender")
		}, ingress.Forged, ingress.Refused{Body: []byte(forged), Size: int64(len(forged)), Status: 401}},
		{"forged, over what is kept", func() answer {
			return f.post(localPath, strings.NewReader(long), signatureHeader, sign("another secret", long))
		}, ingress.Forged, ingress.Refused{Body: []byte(long[:ingress.MaxRefusedBody]), Size: int64(len(long)), Status: 401}},
		{
			"malformed", func() answer { return f.post(remotePath, strings.NewReader("no JSON")) },
			ingress.Malformed,
			ingress.Refused{Source: "remote", Evidence: "test: malformed request", Body: []byte("no JSON"), Size: 7, Status: 400},
		},
		{
			"for another application", func() answer { return f.post(remotePath, strings.NewReader(foreign)) },
			ingress.NotForSource,
			ingress.Refused{Source: "remote", Evidence: "test: request is for another source", Body: []byte(foreign), Size: int64(len(foreign)), Status: 401},
		},
		{
			"wrong content type", func() answer { return f.post(localPath, strings.NewReader(forged), "Content-Type", "text/plain") },
			ingress.WrongContentType,
			ingress.Refused{Size: int64(len(forged)), Status: 415},
		},
		{
			"too large by its headers", func() answer { return f.post(localPath, strings.NewReader(large)) },
			ingress.TooLarge,
			ingress.Refused{Size: int64(len(large)), Status: 413},
		},
		{
			"too large as it came", func() answer { return f.post(localPath, io.MultiReader(strings.NewReader(large))) },
			ingress.TooLarge,
			ingress.Refused{Body: []byte(large[:ingress.MaxRefusedBody]), Status: 413},
		},
		{
			"a type that is switched off", func() answer { return f.postLocal(unwanted) },
			ingress.DisabledType,
			ingress.Refused{Body: []byte(unwanted), Size: int64(len(unwanted)), Status: 200},
		},
		{"a broken body", func() answer {
			c := f.dial(t, "POST "+localPath+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nno chunk\r\n")
			_, _ = io.ReadAll(c)
			return answer{status: 400}
		}, ingress.BrokenBody, ingress.Refused{Body: []byte("hello"), Size: 5, Status: 400}},
	} {
		before := time.Now()
		if got := c.send(); got.status != c.want.Status {
			t.Errorf("%s: status %d, want %d", c.name, got.status, c.want.Status)
		}
		got := r.next(t, n)
		if c.want.Source == "" {
			c.want.Source = "local"
		}
		if got.Source != c.want.Source || got.Result != c.result || got.Status != c.want.Status || got.Spent || got.Method != http.MethodPost || got.Path != "/webhooks/"+got.Source {
			t.Errorf("%s: %s", c.name, brief(got))
		}
		if !bytes.Equal(got.Body, c.want.Body) || c.want.Size != 0 && got.Size != c.want.Size || got.Evidence != c.want.Evidence {
			t.Errorf("%s: %d bytes of %d, evidence %q; want %d of %d, %q", c.name, len(got.Body), got.Size, got.Evidence, len(c.want.Body), c.want.Size, c.want.Evidence)
		}
		if got.Remote != netip.MustParseAddr("127.0.0.1") || got.ReceiveTime.Before(before) || got.Latency <= 0 {
			t.Errorf("%s: from %v at %v, answered after %v", c.name, got.Remote, got.ReceiveTime, got.Latency)
		}
		for name, lines := range got.Header {
			if text := strings.Join(lines, "\n"); strings.Contains(text, "secret") || name == signatureHeader || name == "Authorization" || name == "Cookie" {
				t.Errorf("%s: %s is shown: %q", c.name, name, text)
			}
		}
	}
	first := r.next(t, 0)
	sum := sha256.Sum256([]byte(forged))
	if first.Proof.Get(signatureHeader) != sign("another secret", forged) || first.Header.Get("User-Agent") != "a sender" || first.SHA256 != hex.EncodeToString(sum[:]) || first.Reason == "" {
		t.Error(brief(first))
	}
	if wholeSum := sha256.Sum256([]byte(long)); r.next(t, 1).SHA256 != hex.EncodeToString(wholeSum[:]) {
		t.Error("the hash of a long body is not of all of it")
	}
	if n := len(r.all()); n != 9 {
		t.Errorf("%d were told, want 9", n)
	}
}

func TestABodyThatCameTooSlowlyIsTold(t *testing.T) {
	r := &refusals{}
	f := setup(t, r.option, func(o *ingress.Options) { o.ReadTimeout = 50 * time.Millisecond })
	if status := f.raw(t, "POST "+localPath+" HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{"); status != 408 {
		t.Errorf("status %d, want 408", status)
	}
	if got := r.next(t, 0); got.Result != ingress.TooSlow || string(got.Body) != "{" || got.Size != 1 || got.SHA256 != "" {
		t.Error(brief(got))
	}
}

// What is published, repeated, or refused for now is none; and of what nobody wants
// nothing is told.
func TestWhatIsNoRefusalIsNotTold(t *testing.T) {
	r := &refusals{}
	f := setup(t, r.option)
	f.postLocal(message("1"))
	f.postLocal(message("1"))
	f.sources.update("remote", func(s *hookstreamv1.Source) { s.Disabled = true })
	if got := f.postRemote(message("2")); got.status != 503 {
		t.Errorf("status %d", got.status)
	}
	if r.asked != 0 {
		t.Errorf("asked %d times", r.asked)
	}
	r.unwanted = true
	if got := f.post(localPath, strings.NewReader(message("3"))); got.status != 401 {
		t.Errorf("status %d", got.status)
	}
	r.unwanted = false
	f.post(localPath, strings.NewReader(message("4")))
	if got := r.next(t, 0); string(got.Body) != message("4") || len(r.all()) != 1 || r.asked != 2 {
		t.Errorf("%s, %d were told of %d", got.Body, len(r.all()), r.asked)
	}
}

// The sender has its answer before anything is kept.
func TestRefusalsAreToldAfterTheAnswer(t *testing.T) {
	answered := make(chan struct{})
	r := &refusals{}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r.before = func() {
		select {
		case <-answered:
		case <-ctx.Done():
			t.Error("it was told, and the sender had no answer")
		}
	}
	f := setup(t, r.option)
	if got := f.post(localPath, strings.NewReader(message("1"))); got.status != 401 {
		t.Errorf("status %d", got.status)
	}
	close(answered)
	r.next(t, 0)
}

// Of what came for no source, or with a wrong key, one a minute is told, and of that nothing
// that could be a key.
func TestOneThatCameForNoSourceIsTold(t *testing.T) {
	r := &refusals{}
	f := setup(t, r.option)
	for _, path := range []string{"/webhooks/local/almost-the-key", "/webhooks/other/key", "/admin.php"} {
		if got := f.post(path, strings.NewReader(message("1"))); got.status != 404 {
			t.Errorf("status %d", got.status)
		}
	}
	got := r.next(t, 0)
	sum := sha256.Sum256([]byte("/webhooks/local/almost-the-key"))
	if got.Source != "" || got.Result != ingress.NotFound || got.Path != "sha256:"+hex.EncodeToString(sum[:8]) || got.Body != nil || got.Header != nil || got.Proof != nil {
		t.Error(brief(got))
	}
	if got.Size != int64(len(message("1"))) || !got.Remote.IsValid() || len(r.all()) != 1 || r.asked != 0 {
		t.Errorf("%s; %d were told, %d asked", brief(got), len(r.all()), r.asked)
	}
}

// What the sender's API does not vouch for is told once, by the verifier, with the word
// that nobody can ask again.
func TestARefusalOfTheSendersAPIIsTold(t *testing.T) {
	r := &refusals{}
	f := setup(t, r.option)
	if got := f.postRemote(message("invented")); got.status != 401 {
		t.Fatalf("status %d, want 401", got.status)
	}
	f.results.waitDecided(t, "remote forged", 1)
	got := r.next(t, 0)
	if !got.Spent || got.Source != "remote" || got.Result != ingress.Forged || got.Reason == "" || string(got.Body) != message("invented") || len(r.all()) != 1 {
		t.Errorf("%s; %d were told", brief(got), len(r.all()))
	}
}
