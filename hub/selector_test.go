package hub

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
)

// selected are the indexes of the samples that a selector matches, through a
// stream.
func selected(t *testing.T, in *hookstreamv1.EventSelector, samples []sample) []int {
	t.Helper()
	l := newLog()
	put(t, l, samples...)
	h := running(t, newHub(t, l))
	fs, err := read(t, h, request(t, h, earliest, atHead, func(r *Request) { r.Selector = selector(t, h, in) })).end()
	if err != nil {
		t.Fatal(err)
	}
	out := []int{}
	for _, seq := range seqsOf(t, fs) {
		out = append(out, int(seq)-1)
	}
	return out
}

func TestSelector(t *testing.T) {
	samples := []sample{
		0: {body: `{"eventId": "a"}`},
		1: {body: `{"eventId": "b"}`, environment: "Production", action: "activated"},
		2: {body: `{"eventId": "a"}`, source: "other", topic: "signer"},
		3: {body: `{"eventId": "a"}`, provider: "ignisign", topic: "SIGNATURE_PROOF", action: "GENERATED", environment: "PRODUCTION"},
		4: {body: `not json`},
		5: {body: secretBody, source: "closed"},
		6: {body: secretBody, source: "open"},
	}
	all := []int{0, 1, 2, 3, 4, 5, 6}
	for _, c := range []struct {
		name string
		in   *hookstreamv1.EventSelector
		want []int
	}{
		{"nothing said", nil, all},
		{"all parts empty", &hookstreamv1.EventSelector{}, all},
		{"a source by id", &hookstreamv1.EventSelector{Sources: []string{"other"}}, []int{2}},
		{"sources by name and id", &hookstreamv1.EventSelector{Sources: []string{"sources/other", "closed"}}, []int{2, 5}},
		{"a source that is not there", &hookstreamv1.EventSelector{Sources: []string{"later"}}, []int{}},
		{"a type", &hookstreamv1.EventSelector{Types: []string{"signature_request.activated"}}, []int{1}},
		{"patterns", &hookstreamv1.EventSelector{Types: []string{"signer.*", "*.GENERATED"}}, []int{2, 3}},
		{"case of a type matters", &hookstreamv1.EventSelector{Types: []string{"SIGNER.DONE"}}, []int{}},
		{"case of an environment does not", &hookstreamv1.EventSelector{Environments: []string{"pRODUCTION"}}, []int{1, 3}},
		{"all parts must match", &hookstreamv1.EventSelector{Sources: []string{"open"}, Types: []string{"*.done"}, Environments: []string{"sandbox"}}, []int{0, 4, 6}},
		{"a typed selector limits to its provider", &hookstreamv1.EventSelector{Yousign: &yousignv1.Selector{}}, []int{0, 1, 2, 4, 5, 6}},
		{"typed conditions", &hookstreamv1.EventSelector{Yousign: &yousignv1.Selector{Scopes: []string{"b", "e1"}}}, []int{1, 5, 6}},
		{"typed conditions and parts", &hookstreamv1.EventSelector{Yousign: &yousignv1.Selector{Scopes: []string{"a"}}, Sources: []string{"other"}}, []int{2}},
		{"filter without payload", &hookstreamv1.EventSelector{Filter: `event.topic == "signer" || event.provider == "ignisign"`}, []int{2, 3}},
		{"filter with payload", &hookstreamv1.EventSelector{Filter: `event.yousign.event_id == "b"`}, []int{1}},
		{"filter by presence", &hookstreamv1.EventSelector{Filter: `!has(event.yousign)`}, []int{3, 4}},
		{"filter by enum, short", &hookstreamv1.EventSelector{Filter: `event.decode_state == DecodeState.FAILED`}, []int{3, 4}},
		{"filter by enum, in full", &hookstreamv1.EventSelector{Filter: `event.verification.state == hookstream.v1.Verification.State.STATE_VERIFIED`}, all},
		{"filter with a loop", &hookstreamv1.EventSelector{Filter: `event.redacted_fields.exists(f, f.endsWith("signature_link"))`}, []int{5}},
		{"filter over the whole event", &hookstreamv1.EventSelector{Filter: `event != hookstream.v1.Event{} && [event].exists(e, e.yousign.event_id == "b")`}, []int{1}},
		{"filter that fails does not match", &hookstreamv1.EventSelector{Filter: `event.yousign.rest["kept"] == "y"`}, []int{5, 6}},
		// What is withheld cannot be felt for.
		{"filter by what is withheld", &hookstreamv1.EventSelector{Filter: `event.yousign.signer.signature_link.startsWith("https://s")`}, []int{6}},
		{"filter by what is withheld without a schema", &hookstreamv1.EventSelector{Filter: `event.yousign.rest["signature_link"] == "x"`}, []int{6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, selected(t, c.in, samples)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSelectorErrors(t *testing.T) {
	h := newHub(t, newLog())
	deep := "event.topic == 'x'"
	for range 4 {
		deep = "event.redacted_fields.all(a, event.redacted_fields.all(b, " + deep + "))"
	}
	for _, c := range []struct {
		name       string
		in         *hookstreamv1.EventSelector
		want       []string // how each violation begins
		onlyFilter bool
	}{
		{"sources", &hookstreamv1.EventSelector{Sources: []string{"ok", "Not Ok", "sources/", "a/b"}}, []string{"sources[1]: ", "sources[2]: ", "sources[3]: "}, false},
		{"a provider that is not there", &hookstreamv1.EventSelector{Ignisign: &ignisignv1.Selector{}}, []string{"ignisign: "}, false},
		{"syntax", &hookstreamv1.EventSelector{Filter: "event.topic ==\n  == 'x'"}, []string{"filter: line 2, column 3: "}, true},
		{"an unknown field", &hookstreamv1.EventSelector{Filter: "event.topic == 'x' && event.nothing == 1"}, []string{"filter: line 1, column 28: undefined field 'nothing'"}, true},
		{"an unknown name", &hookstreamv1.EventSelector{Filter: "evnt.topic == 'x'"}, []string{"filter: line 1, column 1: undeclared reference"}, true},
		{"types that do not compare", &hookstreamv1.EventSelector{Filter: "event.decode_state == 'FAILED'"}, []string{"filter: line 1, column 20: found no matching overload"}, true},
		{"no bool", &hookstreamv1.EventSelector{Filter: "event.topic"}, []string{"filter: yields string, want bool"}, true},
		{"perhaps no bool", &hookstreamv1.EventSelector{Filter: "event.yousign.rest['a']"}, []string{"filter: yields dyn"}, true},
		{"raw", &hookstreamv1.EventSelector{Filter: "event.raw.body != b''"}, []string{"filter: event.raw"}, true},
		{"raw, its presence", &hookstreamv1.EventSelector{Filter: "has(event.raw)"}, []string{"filter: event.raw"}, true},
		{"cost", &hookstreamv1.EventSelector{Filter: deep}, []string{"filter: could cost "}, true},
		{"length", &hookstreamv1.EventSelector{Filter: "true || " + strings.Repeat("true ||", 1000) + "true"}, []string{"filter: is "}, true},
		{"everything at once", &hookstreamv1.EventSelector{Sources: []string{"!"}, Filter: "x"}, []string{"sources[0]: ", "filter: "}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.CompileSelector(c.in)
			var bad *SelectorError
			if !errors.As(err, &bad) || len(bad.Violations) != len(c.want) || bad.OnlyFilter() != c.onlyFilter {
				t.Fatalf("%v", err)
			}
			for i, v := range bad.Violations {
				if text := v.Field + ": " + v.Description; !strings.HasPrefix(text, c.want[i]) {
					t.Errorf("%q, want %q...", text, c.want[i])
				}
			}
		})
	}
}

// An ordinary filter must not be refused for what it might cost.
func TestOrdinaryFiltersAreAffordable(t *testing.T) {
	h := newHub(t, newLog())
	for _, text := range []string{
		`event.yousign.event_id.startsWith("lease-")`,
		`event.type.matches("^signature_request\\.(done|declined)$") && event.entity != ""`,
		`event.topic in ["a", "b", "c"] || event.entity.contains("x")`,
		`event.receive_time > timestamp("2026-01-01T00:00:00Z") && event.receive_time.getHours("Europe/Paris") < 12`,
		`event.redacted_fields.exists(f, f.contains("signer") && f.size() > 3)`,
		`event.redacted_fields.exists(a, event.redacted_fields.exists(b, a == b))`,
		`event.yousign.rest.all(k, k.startsWith("x_") && string(event.yousign.rest[k]) != "y")`,
	} {
		if _, err := h.CompileSelector(&hookstreamv1.EventSelector{Filter: text}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestFiltersAreCompiledOnce(t *testing.T) {
	h := newHub(t, newLog())
	in := &hookstreamv1.EventSelector{Filter: `event.topic == "x"`}
	a, b := selector(t, h, in), selector(t, h, in)
	if a.filter != b.filter {
		t.Error("the same text was compiled twice")
	}
}

// An event that does not match by its route is not looked into.
func TestMissDecodesNothing(t *testing.T) {
	l := newLog()
	decoded := 0
	h := newHub(t, l, func(o *Options) {
		o.Decoders["yousign"] = provider.NewDecoder(func(b []byte) (*yousignv1.Event, hookstreamv1.DecodeState) {
			decoded++
			return decodeTest(b)
		}, matchTest)
	})
	put(t, l, sample{body: "{}", source: "other"}, sample{body: "{}"}, sample{body: "{}"})
	running(t, h)
	sel := selector(t, h, &hookstreamv1.EventSelector{Sources: []string{"other"}, Filter: `event.yousign.event_id == ""`})
	for range 3 { // three streams, one event that must be looked into
		fs, err := read(t, h, request(t, h, earliest, atHead, func(r *Request) {
			r.Selector, r.View = sel, hookstreamv1.EventView_EVENT_VIEW_TYPED
		})).end()
		if err != nil || len(seqsOf(t, fs)) != 1 {
			t.Fatal(kinds(fs), err)
		}
	}
	if decoded != 1 {
		t.Errorf("%d bodies were decoded, want 1", decoded)
	}
}

func TestFilterFailuresAreCounted(t *testing.T) {
	selectorIn := &hookstreamv1.EventSelector{Filter: `event.yousign.rest["absent"] == "y"`}
	l := newLog()
	put(t, l, sample{body: "{}"})
	h := running(t, newHub(t, l))
	_, err := read(t, h, request(t, h, earliest, atHead, func(r *Request) { r.Selector = selector(t, h, selectorIn) })).end()
	if n := h.Stats().FilterFailures; n != 1 || err != nil {
		t.Errorf("%d failures, %v", n, err)
	}
}

func TestMisplacedDecoderIsRefused(t *testing.T) {
	for name, decoders := range map[string]map[string]provider.Decoder{
		"no such provider":       {"nobody": provider.NewDecoder(decodeTest, matchTest)},
		"another's place":        {"ignisign": provider.NewDecoder(decodeTest, matchTest)},
		"a field but no payload": {"raw": provider.NewDecoder(decodeTest, matchTest)},
	} {
		if _, err := New(Options{Log: newLog(), Decoders: decoders}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Whatever a caller writes, compiling answers a filter or says why not, and the
// filter answers yes, no or an error.
func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		"true", "event.topic == 'x'", "event.redacted_fields.exists(f, f == '')", "has(event.yousign)",
		"event.yousign.rest['a'] == 1.0", "DecodeState.FAILED == event.decode_state", "event.raw", "{1: event}[1] == event", "((((", "'\\x00'",
		"event.receive_time + duration('1h') > event.occur_time", "[[1]].all(x, x.all(y, y > 0))", "event.topic.matches('(a*)*b')",
	} {
		f.Add(text)
	}
	l := newLog()
	h := newHub(f, l)
	put(f, l, sample{body: secretBody})
	recs, err := l.Read(f.Context(), 1, 1, 1)
	if err != nil {
		f.Fatal(err)
	}
	e := h.newEntry(recs[0], nil)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := h.CompileSelector(&hookstreamv1.EventSelector{Filter: text})
		var bad *SelectorError
		if err != nil && (!errors.As(err, &bad) || !bad.OnlyFilter()) {
			t.Fatalf("%T %v", err, err)
		}
		if err == nil {
			h.onEvent(t.Context(), s, e, 0)
		}
	})
}
