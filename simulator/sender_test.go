package simulator_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	ignisignplay "github.com/hookstream/hookstream/provider/ignisign/simulate"
	yousignplay "github.com/hookstream/hookstream/provider/yousign/simulate"
	"github.com/hookstream/hookstream/simulator"
	"github.com/hookstream/hookstream/simulator/simulatortest"
)

const secretKey = "0123456789abcdef0123456789abcdef"

// What the tests have sent.
var (
	ofYousign  = yousignplay.Provider{}.Repertoire()
	ofIgnisign = ignisignplay.Provider{}.Repertoire()
)

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

func examples(t *testing.T, of *simulator.Repertoire, types ...string) simulator.Script {
	t.Helper()
	s, err := simulator.Examples(of, 1, types...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func to(target simulator.Target) []simulator.Target { return []simulator.Target{target} }

func yousignTo(url string) simulator.Target {
	return yousignplay.Target{To: url, Secret: secretKey}
}

func ignisignTo(url string, api *ignisignplay.API) simulator.Target {
	return ignisignplay.Target{To: url, API: api}
}

func start(t *testing.T) *ignisignplay.API {
	t.Helper()
	api, err := ignisignplay.Start("127.0.0.1:0", ignisignplay.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	return api
}

func TestCountIsNeverExceeded(t *testing.T) {
	r := simulatortest.Receive(t)
	report := run(t, simulator.SenderOptions{Targets: to(yousignTo(r.URL)), Count: 101, Connections: 16})
	if report.Events != 101 || len(r.Got()) != 101 {
		t.Errorf("%d events, %d arrived", report.Events, len(r.Got()))
	}
}

func TestCancelStopsTheSending(t *testing.T) {
	stuck := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client leave
		<-r.Context().Done()
	}))
	defer stuck.Close()
	r, refusing := simulatortest.Receive(t), simulatortest.Receive(t)
	refusing.Status.Store(503)
	for name, opts := range map[string]simulator.SenderOptions{
		"while sending":          {Targets: to(yousignTo(r.URL)), Connections: 4},
		"while waiting":          {Targets: to(yousignTo(r.URL)), Rate: 0.001},
		"while a retry waits":    {Targets: to(yousignTo(refusing.URL)), Retry: true, Count: 1},
		"while an answer is due": {Targets: to(yousignTo(stuck.URL)), Timeout: time.Hour},
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
	r := simulatortest.Receive(t)
	report := run(t, simulator.SenderOptions{Targets: to(yousignTo(r.URL)), Connections: 2, Duration: 50 * time.Millisecond})
	if report.Events == 0 || report.Acknowledged != report.Events || len(r.Got()) != report.Posts {
		t.Errorf("%+v, %d arrived", report, len(r.Got()))
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
		Targets: to(yousignTo(gateway.URL)), Count: 60, Connections: 8,
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

func TestDuplicateIsTheSameEventAgain(t *testing.T) {
	r := simulatortest.Receive(t)
	report := run(t, simulator.SenderOptions{Targets: to(yousignTo(r.URL)), Count: 5, Duplicate: 1})
	got := r.Got()
	if len(got) != 10 || report.Duplicates != 5 || report.Events != 5 || report.Acknowledged != 5 {
		t.Fatalf("%d arrived, %+v", len(got), report)
	}
	for i := 0; i < len(got); i += 2 {
		if !bytes.Equal(got[i], got[i+1]) || i > 0 && bytes.Equal(got[i], got[i-1]) {
			t.Errorf("posts %d and %d:\n%s\n%s", i, i+1, got[i], got[i+1])
		}
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
	report := run(t, simulator.SenderOptions{Targets: to(yousignTo(gateway.URL)), Count: 1, Retry: true, RetryScale: 1e-9})
	if report.Retries != 3 || report.Acknowledged != 1 || report.GivenUp != 0 {
		t.Errorf("report: %+v", report)
	}
}

func TestBothProvidersAlternate(t *testing.T) {
	api := start(t)
	r := simulatortest.Receive(t)
	var got []string
	run(t, simulator.SenderOptions{
		Targets: []simulator.Target{yousignTo(r.URL), ignisignTo(r.URL, api)},
		Script: simulator.Alternate(
			examples(t, ofYousign, "signer.done", "signer.done", "contact.created"),
			examples(t, ofIgnisign, "SIGNER.CREATED"),
		),
		Count: 6, OnResult: func(res simulator.Result) { got = append(got, res.Type) },
	})
	want := []string{"signer.done", "SIGNER.CREATED", "signer.done", "SIGNER.CREATED", "contact.created", "SIGNER.CREATED"}
	if !cmp.Equal(got, want) {
		t.Errorf("sent %v", got)
	}
}

func TestScriptWithoutTargetIsAnError(t *testing.T) {
	r := simulatortest.Receive(t)
	s, err := simulator.NewSender(simulator.SenderOptions{Targets: to(yousignTo(r.URL)), Script: examples(t, ofIgnisign)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context()); err == nil || len(r.Got()) != 0 {
		t.Errorf("%v, %d arrived", err, len(r.Got()))
	}
}

func TestSenderRefusesWhatMakesNoSense(t *testing.T) {
	api := start(t)
	for name, opts := range map[string]simulator.SenderOptions{
		"nowhere":   {},
		"no secret": {Targets: to(yousignplay.Target{To: "http://127.0.0.1/"})},
		"no API":    {Targets: to(ignisignTo("http://127.0.0.1/", nil))},
		"a rate":    {Targets: to(yousignTo("http://127.0.0.1/")), Rate: -1},
		"a share":   {Targets: to(yousignTo("http://127.0.0.1/")), Flip: 1.1},
	} {
		if _, err := simulator.NewSender(opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, opts := range []simulator.SenderOptions{
		{Targets: to(yousignTo("https://gateway.example.com/"))},
		{Targets: to(ignisignTo("http://192.0.2.1/", api))},
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

func TestUnknownTypesAreErrors(t *testing.T) {
	for typ, of := range map[string]*simulator.Repertoire{"signer.vanished": ofYousign, "SIGNER.VANISHED": ofIgnisign} {
		if _, err := simulator.Examples(of, 1, typ); err == nil {
			t.Errorf("%s of %s", typ, of.Provider)
		}
	}
}

func TestPlayEnds(t *testing.T) {
	r := simulatortest.Receive(t)
	story, err := ofYousign.Story(1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	report := run(t, simulator.SenderOptions{Targets: to(yousignTo(r.URL)), Script: simulator.Play(story...)})
	if report.Events != len(story) || report.Events == 0 {
		t.Errorf("%+v of %d", report, len(story))
	}
	if slices.ContainsFunc(r.Got(), func(b []byte) bool { return bytes.Contains(b, []byte("hold-")) }) {
		t.Error("a placeholder was sent")
	}
}

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
