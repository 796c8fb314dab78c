package ingress_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/ingress"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/yousign"
)

// yousigned has sources that are Yousign's as they are in production.
func yousigned(o *ingress.Options) {
	o.Providers = func(src *hookstreamv1.Source) (provider.Verifier, error) {
		return yousign.NewVerifier(src.GetYousign())
	}
}

func (f *fixture) postYousign(body string) answer {
	f.t.Helper()
	return f.post(localPath, strings.NewReader(body), yousign.DefaultSignatureHeader, yousign.Sign(secret, []byte(body)))
}

// oddBodies are those that say nothing of themselves, or nothing that can be read.
func oddBodies() map[string]string {
	const plain = `{"event_id":"e1","event_name":"signature_request.done","data":{}}`
	return map[string]string{
		"a byte order mark":       "\xef\xbb\xbf" + plain,
		"UTF-16":                  "{\x00}\x00",
		"65 levels":               `{"event_id":"e1","event_name":"signer.done","data":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
		"very many levels":        `{"event_name":"signer.done","data":` + strings.Repeat(`{"a":`, 50_000) + "1" + strings.Repeat("}", 50_000) + `}`,
		"an empty object":         `{}`,
		"a test":                  `{"event":"test"}`,
		"an array":                `[` + plain + `]`,
		"a null name":             `{"event_name":null,"data":{}}`,
		"an empty name":           `{"event_name":"","data":{}}`,
		"a name that is a number": `{"event_name":7,"data":{}}`,
		"a name that is a list":   `{"event_name":["signer.done"],"data":{}}`,
		"text":                    `hello`,
		"a JSON text":             `"hello"`,
		"a number":                `7`,
		"null":                    `null`,
		"cut":                     plain[:len(plain)-1],
		"two":                     plain + plain,
		"a form":                  `event_name=signer.done`,
		"invalid UTF-8":           "\xff\xfe\xfd",
		"zero bytes":              "\x00\x00",
		"white space":             " \n",
		"nothing":                 "",
	}
}

// What a sender vouches for is kept, whatever it is: refused it would be lost when
// the sender is tired of repeating it. It has no type, and its bytes are all there.
func TestGenuineIsKept(t *testing.T) {
	f := setup(t, yousigned)
	n := 0
	for why, body := range oddBodies() {
		if got := f.post(localPath, strings.NewReader(body), yousign.DefaultSignatureHeader, yousign.Sign("another", []byte(body))); got.status != 401 {
			t.Errorf("%s, forged: status %d", why, got.status)
		}
		if got := f.post(localPath, strings.NewReader(body)); got.status != 401 {
			t.Errorf("%s, unsigned: status %d", why, got.status)
		}
		if len(f.events()) != n {
			t.Fatalf("%s: published without a signature", why)
		}
		for range 2 { // the second time it is a duplicate
			if got := f.postYousign(body); got.status != 200 || got.body != "{}" {
				t.Errorf("%s: status %d, %s", why, got.status, got.body)
			}
		}
		n++
		all := f.events()
		if len(all) != n {
			t.Fatalf("%s: %d events, want %d", why, len(all), n)
		}
		e := all[n-1]
		if e.Type != "" || e.Topic != "" || e.Action != "" || string(e.GetRaw().GetBody()) != body || e.Verification.GetState() != hookstreamv1.Verification_STATE_VERIFIED {
			t.Errorf("%s: %.300v", why, e)
		}
		if _, state := yousign.Decode(e.GetRaw().GetBody()); state != hookstreamv1.DecodeState_DECODE_STATE_FAILED {
			t.Errorf("%s: %v", why, state)
		}
	}
	if got := f.results.request("local duplicate"); got != n {
		t.Errorf("%d duplicates, want %d", got, n)
	}
}

// What can be told of an odd body is told: its id makes it one event.
func TestGenuineWithoutNameHasItsID(t *testing.T) {
	f := setup(t, yousigned)
	for _, body := range []string{`{"event_id":"e1","data":{}}`, ` {"data":{}, "event_id":"\u00651"}`} {
		if got := f.postYousign(body); got.status != 200 {
			t.Errorf("%s: %d", body, got.status)
		}
	}
	if e := f.only(); e.ProviderEventId != "e1" || e.Type != "" {
		t.Errorf("%v", e)
	}
}

// A type without an action is switched off by its name.
func TestTypeWithoutActionIsSwitchedOff(t *testing.T) {
	f := setup(t, yousigned)
	f.sources.update("local", func(s *hookstreamv1.Source) { s.DisabledTypes = []string{"ping"} })
	if got := f.postYousign(`{"event_id":"1","event_name":"ping","data":{}}`); got.status != 200 || f.results.request("local disabled_type") != 1 {
		t.Errorf("status %d", got.status)
	}
	if got := f.postYousign(`{"event_id":"2","event_name":"pong","data":{}}`); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
	if e := f.only(); e.Type != "pong" || e.Topic != "pong" || e.Action != "" {
		t.Errorf("%v", e)
	}
}

const first = `{"event_id":"e1","event_name":"signature_request.done","event_time":"1772439061","subscription_id":"s1","sandbox":true,` +
	`"data":{"signature_request":{"id":"sr-1","name":"Zoé/1","n":[1,2.5,100]}}}`

// One id with another content is another event. It is published, says whose id it
// has, and is a duplicate of its own when it comes again; the same content in other
// bytes stays one event.
func TestOneIDTwoEvents(t *testing.T) {
	f := setup(t, yousigned)
	post := func(body string, want int) {
		t.Helper()
		if got := f.postYousign(body); got.status != 200 || len(f.events()) != want {
			t.Fatalf("status %d, %d events, want %d: %s", got.status, len(f.events()), want, body)
		}
	}
	post(first, 1)
	for _, same := range []string{
		first,
		strings.ReplaceAll(first, ",", " ,\r\n "),
		`{"data":{"signature_request":{"n":[1.0,25e-1,1E2],"name":"Zo\u00e9\/1","id":"sr-1"}},"sandbox":true,"subscription_id":"s1",` +
			`"event_time":"1772439061","event_\u006eame":"signature_request.done","event_id":"e1"}`,
	} {
		post(same, 1)
	}
	others := []string{
		strings.Replace(first, ".done", ".declined", 1),
		strings.Replace(first, ".done", ".expired", 1),
		strings.Replace(first, "1772439061", "1772439062", 1),
		strings.Replace(first, "100", "100,9007199254740993", 1),
		strings.Replace(first, "100", "100,9007199254740992", 1),
		strings.Replace(first, `"sandbox":true`, `"sandbox":"true"`, 1),
	}
	for i, other := range others {
		post(other, i+2)
		post(other, i+2)
		post(strings.ReplaceAll(other, ":{", ": {"), i+2)
	}
	post(first, len(others)+1)
	// Another subscription's events have ids of their own.
	post(strings.Replace(first, "s1", "s2", 1), len(others)+2)

	all := f.events()
	name := event.Name(f.engine.Events().Incarnation(), 1)
	for i, e := range all {
		want := name
		if i == 0 || i == len(all)-1 {
			want = ""
		}
		if e.PossibleDuplicateOf != want || e.ProviderEventId != "e1" {
			t.Errorf("event %d: possible duplicate of %q, id %q, want %q", i, e.PossibleDuplicateOf, e.ProviderEventId, want)
		}
	}
	if f.results.request("local published") != len(all) || f.results.request("local duplicate") == 0 {
		t.Errorf("%d published", f.results.request("local published"))
	}
}

// Also when they come at the same moment, and after a restart.
func TestOneIDTwoEventsAtOnce(t *testing.T) {
	f := setup(t, yousigned)
	const kinds, times = 4, 3
	send := func() {
		var all sync.WaitGroup
		for i := range kinds * times {
			all.Go(func() {
				body := strings.Replace(first, "sr-1", fmt.Sprintf("sr-%d", i%kinds), 1)
				if got := f.postYousign(body); got.status != http.StatusOK {
					t.Errorf("status %d", got.status)
				}
			})
		}
		all.Wait()
	}
	send()
	f.restart()
	send()
	entities := make(map[string]int)
	for _, e := range f.events() {
		entities[e.Entity]++
	}
	if len(entities) != kinds || len(f.events()) != kinds {
		t.Errorf("published: %v", entities)
	}
}

// A sender that repeats an event whose record is gone repeats it: nobody can say
// more. (Retention may be shorter than ids are remembered.)
func TestRepetitionOfWhatCannotBeRead(t *testing.T) {
	f := setup(t, yousigned)
	f.stop()
	log := &blindLog{Log: f.engine.Events()}
	f.startWith(func(o *ingress.Options) { o.Log = log })
	other := strings.Replace(first, ".done", ".declined", 1)
	f.postYousign(first)
	log.gone = true
	if got := f.postYousign(other); got.status != 200 || len(f.events()) != 1 {
		t.Errorf("status %d, %d events", got.status, len(f.events()))
	}
	log.gone, log.broken = false, true
	if got := f.postYousign(other); got.status != 503 || len(f.events()) != 1 {
		t.Errorf("nothing can be read: status %d, %d events", got.status, len(f.events()))
	}
	log.broken = false
	if got := f.postYousign(other); got.status != 200 || len(f.events()) != 2 {
		t.Errorf("again: status %d, %d events", got.status, len(f.events()))
	}
}
