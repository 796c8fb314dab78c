package simulator_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
	"github.com/hookstream/hookstream/simulator"
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

func examples(t *testing.T, provider string, types ...string) simulator.Script {
	t.Helper()
	s, err := simulator.Examples(provider, 1, types...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func yousignTo(url string) simulator.YousignTarget {
	return simulator.YousignTarget{URL: url, Secret: secretKey}
}

func TestEveryYousignExampleIsSignedAsDocumented(t *testing.T) {
	r := receive(t)
	types, before := len(yousign.Catalog()), time.Now().Unix()
	report := run(t, simulator.SenderOptions{Yousign: yousignTo(r.URL), Count: types})
	if report.Events != types || report.Acknowledged != types || report.Statuses[200] != types {
		t.Errorf("report: %+v", report)
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for i, body := range r.got() {
		head := r.headers()[i]
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

func TestIgnisignExamplesCarryGoodTokens(t *testing.T) {
	api := start(t, simulator.IgnisignOptions{})
	r := receive(t)
	types := len(ignisign.Catalog())
	results := map[string]simulator.Result{}
	report := run(t, simulator.SenderOptions{
		Ignisign: simulator.IgnisignTarget{URL: r.URL, API: api}, Count: types, Connections: 4,
		OnResult: func(res simulator.Result) { results[res.Type] = res },
	})
	if report.Acknowledged != types || len(results) != types {
		t.Errorf("%d types of %d, report %+v", len(results), types, report)
	}
	for _, body := range r.got() {
		if a := check(t, api, tokenOf(body)); !a.body.Get("isValid").Bool() {
			t.Errorf("%s: %s", a.body, body)
		}
	}
	res := results["SIGNATURE_PROOF.GENERATED"]
	if !strings.Contains(string(res.Body), res.Token) || res.Token == "" {
		t.Errorf("token %q in %s", res.Token, res.Body)
	}
}

func TestSentIgnisignEventsHaveRecords(t *testing.T) {
	api := start(t, simulator.IgnisignOptions{})
	r := receive(t)
	r.status.Store(503)
	var id string
	run(t, simulator.SenderOptions{
		Ignisign: simulator.IgnisignTarget{URL: r.URL, API: api}, Count: 1,
		OnResult: func(res simulator.Result) { id = res.EventID },
	})
	hook := register(t, api, r.URL)
	r.status.Store(200)
	event, err := api.Resend(t.Context(), hook.ID, id)
	if err != nil || event.Status != simulator.StatusSuccess || len(r.got()) != 2 {
		t.Fatalf("%+v, %v", event, err)
	}
	if a, b := tokenOf(r.got()[0]), tokenOf(r.got()[1]); a == b || !check(t, api, b).body.Get("isValid").Bool() {
		t.Errorf("tokens %q and %q", a, b)
	}
	if _, err := api.Resend(t.Context(), hook.ID, "none"); !errors.Is(err, simulator.ErrNotFound) {
		t.Errorf("an unknown event: %v", err)
	}
}

func TestCountIsNeverExceeded(t *testing.T) {
	r := receive(t)
	report := run(t, simulator.SenderOptions{Yousign: yousignTo(r.URL), Count: 101, Connections: 16})
	if report.Events != 101 || len(r.got()) != 101 {
		t.Errorf("%d events, %d arrived", report.Events, len(r.got()))
	}
}

func TestCancelStopsTheSending(t *testing.T) {
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client leave
		<-r.Context().Done()
	}))
	defer stuck.Close()
	r, refusing := receive(t), receive(t)
	refusing.status.Store(503)
	for name, opts := range map[string]simulator.SenderOptions{
		"while sending":          {Yousign: yousignTo(r.URL), Connections: 4},
		"while waiting":          {Yousign: yousignTo(r.URL), Rate: 0.001},
		"while a retry waits":    {Yousign: yousignTo(refusing.URL), Retry: true, Count: 1},
		"while an answer is due": {Yousign: yousignTo(stuck.URL), Timeout: time.Hour},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		s, err := simulator.NewSender(opts)
		if err != nil {
			t.Fatal(err)
		}
		report, err := s.Run(ctx) // hangs unless it stops
		if err != nil || report.Events != report.Acknowledged+report.GivenUp {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}

func TestDurationEndsTheSending(t *testing.T) {
	r := receive(t)
	report := run(t, simulator.SenderOptions{Yousign: yousignTo(r.URL), Connections: 2, Duration: 50 * time.Millisecond})
	if report.Events == 0 || report.Acknowledged != report.Events || len(r.got()) != report.Posts {
		t.Errorf("%+v, %d arrived", report, len(r.got()))
	}
}

func TestAcknowledgedIDsAreThoseAnsweredWithSuccess(t *testing.T) {
	var mu sync.Mutex
	kept := map[string]bool{}
	var n atomic.Int32
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if n.Add(1)%3 == 0 {
			w.WriteHeader(503)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		kept[gjson.GetBytes(body, "event_id").Str] = true
	}))
	defer gateway.Close()
	acknowledged := map[string]bool{}
	report := run(t, simulator.SenderOptions{
		Yousign: yousignTo(gateway.URL), Count: 60, Connections: 8,
		OnResult: func(res simulator.Result) {
			if res.Acknowledged() {
				acknowledged[res.EventID] = true // one call at a time: -race says so
			}
		},
	})
	if !cmp.Equal(keysOf(acknowledged), keysOf(kept)) || report.Acknowledged != 40 || report.GivenUp != 20 || report.Statuses[503] != 20 {
		t.Errorf("told %d, kept %d, report %+v", len(acknowledged), len(kept), report)
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
		Yousign: yousignTo(gateway.URL), Count: 400, Forge: 0.3, Flip: 0.3, Seed: 7, Retry: true, RetryScale: 1e-9,
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

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestFaultyIgnisignTokensDoNotHold(t *testing.T) {
	for fault, opts := range map[simulator.Fault]simulator.SenderOptions{
		simulator.FaultForged: {Forge: 1}, simulator.FaultFlipped: {Flip: 1},
	} {
		api := start(t, simulator.IgnisignOptions{})
		r := receive(t)
		opts.Ignisign, opts.Count = simulator.IgnisignTarget{URL: r.URL, API: api}, 40
		opts.OnResult = func(res simulator.Result) {
			if res.Fault != fault {
				t.Errorf("fault %q", res.Fault)
			}
		}
		run(t, opts)
		for _, body := range r.got() {
			if a := check(t, api, tokenOf(body)); !a.body.Get("notFound").Bool() || len(tokenOf(body)) != 46 {
				t.Errorf("%s: %s", fault, a.body)
			}
		}
	}
}

func TestDuplicateIsTheSameEventAgain(t *testing.T) {
	r := receive(t)
	report := run(t, simulator.SenderOptions{Yousign: yousignTo(r.URL), Count: 5, Duplicate: 1})
	got := r.got()
	if len(got) != 10 || report.Duplicates != 5 || report.Events != 5 || report.Acknowledged != 5 {
		t.Fatalf("%d arrived, %+v", len(got), report)
	}
	for i := 0; i < len(got); i += 2 {
		if !bytes.Equal(got[i], got[i+1]) || i > 0 && bytes.Equal(got[i], got[i-1]) {
			t.Errorf("posts %d and %d:\n%s\n%s", i, i+1, got[i], got[i+1])
		}
	}
}

func TestRetriesCountUpToEight(t *testing.T) {
	r := receive(t)
	r.status.Store(500)
	report := run(t, simulator.SenderOptions{Yousign: yousignTo(r.URL), Count: 1, Retry: true, RetryScale: 1e-9})
	var counts []string
	for i, head := range r.headers() {
		counts = append(counts, head.Get("X-Yousign-Retry"))
		if !bytes.Equal(r.got()[i], r.got()[0]) || !genuine(head, r.got()[i]) {
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

func TestRetriesEndWithSuccess(t *testing.T) {
	var posts atomic.Int32
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if posts.Add(1) <= 3 {
			w.WriteHeader(503)
		}
	}))
	defer gateway.Close()
	report := run(t, simulator.SenderOptions{Yousign: yousignTo(gateway.URL), Count: 1, Retry: true, RetryScale: 1e-9})
	if report.Retries != 3 || report.Acknowledged != 1 || report.GivenUp != 0 {
		t.Errorf("report: %+v", report)
	}
}

// Yousign takes redirects for a success, Ignisign nothing but 200.
func TestAcknowledgedIsEachSendersOwnIdea(t *testing.T) {
	for status, want := range map[int][2]bool{0: {}, 200: {true, true}, 204: {true, false}, 308: {true, false}, 400: {}, 503: {}} {
		y, i := simulator.Result{Provider: "yousign", Status: status}, simulator.Result{Provider: "ignisign", Status: status}
		if got := [2]bool{y.Acknowledged(), i.Acknowledged()}; got != want {
			t.Errorf("%d: %v", status, got)
		}
	}
}

func TestBothProvidersAlternate(t *testing.T) {
	api := start(t, simulator.IgnisignOptions{})
	r := receive(t)
	var got []string
	run(t, simulator.SenderOptions{
		Yousign: yousignTo(r.URL), Ignisign: simulator.IgnisignTarget{URL: r.URL, API: api},
		Script: simulator.Alternate(
			examples(t, "yousign", "signer.done", "signer.done", "contact.created"),
			examples(t, "ignisign", "SIGNER.CREATED"),
		),
		Count: 6, OnResult: func(res simulator.Result) { got = append(got, res.Type) },
	})
	want := []string{"signer.done", "SIGNER.CREATED", "signer.done", "SIGNER.CREATED", "contact.created", "SIGNER.CREATED"}
	if !cmp.Equal(got, want) {
		t.Errorf("sent %v", got)
	}
}

func TestScriptWithoutTargetIsAnError(t *testing.T) {
	r := receive(t)
	s, err := simulator.NewSender(simulator.SenderOptions{Yousign: yousignTo(r.URL), Script: examples(t, "ignisign")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context()); err == nil || len(r.got()) != 0 {
		t.Errorf("%v, %d arrived", err, len(r.got()))
	}
}

func TestSenderRefusesWhatMakesNoSense(t *testing.T) {
	api := start(t, simulator.IgnisignOptions{})
	for name, opts := range map[string]simulator.SenderOptions{
		"nowhere":   {},
		"no secret": {Yousign: simulator.YousignTarget{URL: "http://127.0.0.1/"}},
		"no API":    {Ignisign: simulator.IgnisignTarget{URL: "http://127.0.0.1/"}},
		"a rate":    {Yousign: yousignTo("http://127.0.0.1/"), Rate: -1},
		"a share":   {Yousign: yousignTo("http://127.0.0.1/"), Flip: 1.1},
	} {
		if _, err := simulator.NewSender(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, opts := range []simulator.SenderOptions{
		{Yousign: yousignTo("https://gateway.example.com/")},
		{Ignisign: simulator.IgnisignTarget{URL: "http://192.0.2.1/", API: api}},
	} {
		if _, err := simulator.NewSender(opts); !errors.Is(err, simulator.ErrRemote) {
			t.Errorf("%v", err)
		}
		opts.AllowRemote = true
		if _, err := simulator.NewSender(opts); err != nil {
			t.Errorf("allowed: %v", err)
		}
	}
}

func TestUnknownTypesAndProvidersAreErrors(t *testing.T) {
	for provider, typ := range map[string]string{"yousign": "signer.vanished", "ignisign": "SIGNER.VANISHED", "elsewhere": "x"} {
		if _, err := simulator.Examples(provider, 1, typ); err == nil {
			t.Errorf("%s of %s", typ, provider)
		}
	}
}

func TestPlayEnds(t *testing.T) {
	r := receive(t)
	story, err := simulator.Story("yousign", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	report := run(t, simulator.SenderOptions{Yousign: yousignTo(r.URL), Script: simulator.Play(story...)})
	if report.Events != len(story) || report.Events == 0 {
		t.Errorf("%+v of %d", report, len(story))
	}
	if slices.ContainsFunc(r.got(), func(b []byte) bool { return bytes.Contains(b, []byte("hold-")) }) {
		t.Error("a placeholder was sent")
	}
}

func BenchmarkSender(b *testing.B) {
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	defer gateway.Close()
	s, err := simulator.NewSender(simulator.SenderOptions{Yousign: yousignTo(gateway.URL), Count: b.N, Connections: 16})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	if _, err := s.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
}
