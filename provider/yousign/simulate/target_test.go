package simulate_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/provider/yousign/simulate"
	"github.com/hookstream/hookstream/simulator"
	"github.com/hookstream/hookstream/simulator/simulatortest"
)

const secretKey = "0123456789abcdef0123456789abcdef"

// signedWith computes a signature as the fact sheet says, not as our code does.
func signedWith(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func genuine(head http.Header, body []byte) bool {
	return head.Get("X-Yousign-Signature-256") == signedWith(secretKey, body)
}

func run(t *testing.T, opts simulator.SenderOptions) simulator.Report {
	t.Helper()
	s, err := simulator.NewSender(opts)
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func yousignTo(url string) []simulator.Target {
	return []simulator.Target{simulate.Target{To: url, Secret: secretKey}}
}

func TestEveryYousignExampleIsSignedAsDocumented(t *testing.T) {
	r := simulatortest.Receive(t)
	types, before := len(yousign.Catalog()), time.Now().Unix()
	report := run(t, simulator.SenderOptions{Targets: yousignTo(r.URL), Count: types})
	if report.Events != types || report.Acknowledged != types || report.Statuses[200] != types {
		t.Errorf("report: %+v", report)
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for i, body := range r.Got() {
		head := r.Headers()[i]
		names[gjson.GetBytes(body, "event_name").Str] = true
		ids[gjson.GetBytes(body, "event_id").Str] = true
		if !genuine(head, body) {
			t.Errorf("%s: signature %q", body, head.Get("X-Yousign-Signature-256"))
		}
		want := []string{"application/json", "0", "Yousign Webhook Bot"}
		if got := []string{head.Get("Content-Type"), head.Get("X-Yousign-Retry"), head.Get("User-Agent")}; !cmp.Equal(got, want) {
			t.Errorf("headers %q", got)
		}
		issued, err := strconv.ParseInt(head.Get("X-Yousign-Issued-At"), 10, 64)
		if happened := gjson.GetBytes(body, "event_time"); err != nil || issued < before || happened.Type != gjson.String || happened.Int() < before {
			t.Errorf("issued at %q, happened at %s", head.Get("X-Yousign-Issued-At"), happened)
		}
		if !gjson.ValidBytes(body) {
			t.Errorf("no JSON: %s", body)
		}
	}
	if len(names) != types || len(ids) != types {
		t.Errorf("%d names and %d ids of %d", len(names), len(ids), types)
	}
}

// A gateway that checks as documented refuses all that is forged or flipped, and
// nothing else.
func TestFaultyYousignProofsDoNotHold(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); !genuine(r.Header, body) {
			w.WriteHeader(401)
		}
	}))
	defer gateway.Close()
	seen := map[simulator.Fault]int{}
	report := run(t, simulator.SenderOptions{
		Targets: yousignTo(gateway.URL), Count: 400, Forge: 0.3, Flip: 0.3, Seed: 7, Retry: true, RetryScale: 1e-9,
		OnResult: func(res simulator.Result) {
			seen[res.Fault]++
			if want := 200 + 201*btoi(res.Fault != simulator.FaultNone); res.Status != want {
				t.Errorf("%q: %d", res.Fault, res.Status)
			}
		},
	})
	if seen[simulator.FaultForged] < 80 || seen[simulator.FaultFlipped] < 50 || seen[simulator.FaultNone] < 100 {
		t.Errorf("shares: %v", seen)
	}
	if report.Posts != 400 || report.Faulty != seen[simulator.FaultForged]+seen[simulator.FaultFlipped] {
		t.Errorf("report: %+v", report)
	}
}

func TestRetriesCountUpToEight(t *testing.T) {
	r := simulatortest.Receive(t)
	r.Status.Store(500)
	report := run(t, simulator.SenderOptions{Targets: yousignTo(r.URL), Count: 1, Retry: true, RetryScale: 1e-9})
	var counts []string
	for i, head := range r.Headers() {
		counts = append(counts, head.Get("X-Yousign-Retry"))
		if !bytes.Equal(r.Got()[i], r.Got()[0]) || !genuine(head, r.Got()[i]) {
			t.Errorf("attempt %d differs or is not signed", i)
		}
	}
	if want := strings.Split("012345678", ""); !cmp.Equal(counts, want) {
		t.Errorf("X-Yousign-Retry: %v", counts)
	}
	if report.Retries != 8 || report.GivenUp != 1 || report.Statuses[500] != 9 {
		t.Errorf("report: %+v", report)
	}
}

func BenchmarkSender(b *testing.B) {
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer gateway.Close()
	s, err := simulator.NewSender(simulator.SenderOptions{Targets: yousignTo(gateway.URL), Count: b.N, Connections: 16})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	if _, err := s.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// 5,798 minutes from the first attempt to the last, less what attempts take.
func TestPausesSpanFourDays(t *testing.T) {
	var sum time.Duration
	pauses := simulate.Target{}.Manners().Pauses
	for _, pause := range pauses {
		sum += pause
	}
	if len(pauses) != 8 || sum != 5798*time.Minute || !slices.IsSorted(pauses) {
		t.Errorf("%d pauses, %v together", len(pauses), sum)
	}
}

func TestYousignWaitsASecondThenTen(t *testing.T) {
	timeout := simulate.Target{}.Manners().Timeout
	if timeout(0) != time.Second || timeout(1) != 10*time.Second || timeout(8) != 10*time.Second {
		t.Errorf("%v, %v, %v", timeout(0), timeout(1), timeout(8))
	}
}

// Yousign takes redirects for a success.
func TestRedirectsAcknowledge(t *testing.T) {
	for status, want := range map[int]bool{0: false, 200: true, 204: true, 308: true, 400: false, 503: false} {
		if got := (simulate.Target{}).Manners().Acknowledges(status); got != want {
			t.Errorf("%d: %v", status, got)
		}
	}
}
