package simulate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/ignisign/simulate"
	"github.com/hookstream/hookstream/simulator"
	"github.com/hookstream/hookstream/simulator/simulatortest"
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

func to(target simulator.Target) []simulator.Target { return []simulator.Target{target} }

func ignisignTo(url string, api *simulate.API) simulator.Target {
	return simulate.Target{To: url, API: api}
}

func TestIgnisignExamplesCarryGoodTokens(t *testing.T) {
	api := start(t, simulate.Options{})
	r := simulatortest.Receive(t)
	types := len(ignisign.Catalog())
	results := map[string]simulator.Result{}
	report := run(t, simulator.SenderOptions{
		Targets: to(ignisignTo(r.URL, api)), Count: types, Connections: 4,
		OnResult: func(res simulator.Result) { results[res.Type] = res },
	})
	if report.Acknowledged != types || len(results) != types {
		t.Errorf("%d types of %d, report %+v", len(results), types, report)
	}
	for _, body := range r.Got() {
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
	api := start(t, simulate.Options{})
	r := simulatortest.Receive(t)
	r.Status.Store(503)
	var id string
	run(t, simulator.SenderOptions{
		Targets: to(ignisignTo(r.URL, api)), Count: 1,
		OnResult: func(res simulator.Result) { id = res.EventID },
	})
	hook := register(t, api, r.URL)
	r.Status.Store(200)
	event, err := api.Resend(t.Context(), hook.ID, id)
	if err != nil || event.Status != simulate.StatusSuccess || len(r.Got()) != 2 {
		t.Fatalf("%+v, %v", event, err)
	}
	if a, b := tokenOf(r.Got()[0]), tokenOf(r.Got()[1]); a == b || !check(t, api, b).body.Get("isValid").Bool() {
		t.Errorf("tokens %q and %q", a, b)
	}
	if _, err := api.Resend(t.Context(), hook.ID, "none"); !errors.Is(err, simulate.ErrNotFound) {
		t.Errorf("an unknown event: %v", err)
	}
}

func TestFaultyIgnisignTokensDoNotHold(t *testing.T) {
	for fault, opts := range map[simulator.Fault]simulator.SenderOptions{
		simulator.FaultForged: {Forge: 1}, simulator.FaultFlipped: {Flip: 1},
	} {
		api := start(t, simulate.Options{})
		r := simulatortest.Receive(t)
		opts.Targets, opts.Count = to(ignisignTo(r.URL, api)), 40
		opts.OnResult = func(res simulator.Result) {
			if res.Fault != fault {
				t.Errorf("fault %q", res.Fault)
			}
		}
		run(t, opts)
		for _, body := range r.Got() {
			if a := check(t, api, tokenOf(body)); !a.body.Get("notFound").Bool() || len(tokenOf(body)) != 46 {
				t.Errorf("%s: %s", fault, a.body)
			}
		}
	}
}

// Ignisign takes nothing but 200 for a success.
func TestOnly200Acknowledges(t *testing.T) {
	for status, want := range map[int]bool{0: false, 200: true, 204: false, 308: false, 400: false, 503: false} {
		if got := (simulate.Target{}).Manners().Acknowledges(status); got != want {
			t.Errorf("%d: %v", status, got)
		}
	}
}
