package ignisign

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

func testProvider(t testing.TB) *Verifier {
	t.Helper()
	p, err := NewVerifier(&ignisignv1.SourceConfig{AppId: testApp, AppEnv: testEnv, ApiKey: newKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestInspect(t *testing.T) {
	got, err := testProvider(t).Inspect(request(t, "SIGNATURE_IMAGE.GENERATED"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Fingerprint()); n != 32 {
		t.Errorf("a fingerprint of %d bytes", n)
	}
	got.Fingerprint = nil
	want := provider.Info{
		Topic: "SIGNATURE_IMAGE", Action: "GENERATED", // as sent, not as we call it
		Environment: "DEVELOPMENT",
		// printf vt_example | sha256sum
		DedupKey: "4b1da16943e29c526f1e1da5ce5eae34ed20c44b370f96a623739488f5401d93",
		Entity:   "signature_requests/66f1c0de4a7b2c0011aa0001",
		Attempt:  -1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Every example is accepted by the source it is for.
func TestInspectExamples(t *testing.T) {
	for _, name := range exampleNames() {
		req := request(t, name)
		p := testProvider(t)
		p.appEnv = gjson.GetBytes(req.Body, "appEnv").Str
		info, err := p.Inspect(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if typ := info.Topic + "." + info.Action; typ != name && !strings.HasPrefix(name, typ+".") {
			t.Errorf("%s: type %s", name, typ)
		}
	}
}

func TestEntities(t *testing.T) {
	for name, want := range map[string]string{
		"APP.MEMBERSHIP_UPDATED":              "applications/" + testApp,
		"APPLICATION.ARCHIVED":                "applications/" + testApp,
		"SIGNATURE.FINALIZED":                 "signature_requests/66f1c0de4a7b2c0011aa0001",
		"SIGNATURE.CREATED":                   "signatures/66f1c0de4a7b2c0011dd0001",
		"SIGNATURE_REQUEST.LAUNCHED":          "signature_requests/66f1c0de4a7b2c0011aa0001",
		"SIGNATURE_SESSION.INITIALIZED":       "signature_requests/66f1c0de4a7b2c0011aa0001",
		"SIGNATURE_PROOF.GENERATED":           "signature_requests/66f1c0de4a7b2c0011aa0001",
		"SIGNATURE_SIGNER_IMAGE.GENERATED":    "signature_requests/66f1c0de4a7b2c0011aa0001",
		"DOCUMENT_REQUEST.PROVIDED":           "signature_requests/66f1c0de4a7b2c0011aa0001",
		"ID_PROOFING.LAUNCHED":                "signature_requests/66f1c0de4a7b2c0011aa0001",
		"SIGNER.CREATED":                      "signers/66f1c0de4a7b2c0011cc0001",
		"SIGNER_AUTH.COMPLETED":               "signers/66f1c0de4a7b2c0011cc0001",
		"SIGNATURE_PROFILE.CREATED":           "signature_profiles/66f1c0de4a7b2c0011ee0001",
		"SIGNATURE_REQUEST.FAILED.no-content": "",
		"BRAND_NEW_TOPIC.SOMETHING_HAPPENED":  "",
	} {
		e, err := readEnvelope(request(t, name).Body)
		if err != nil {
			t.Fatal(name, err)
		}
		if got := e.entity(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestInspectRefuses(t *testing.T) {
	const good = `{"appId":"` + testApp + `","appEnv":"DEVELOPMENT","topic":"T","action":"A","msgNature":"N","verificationToken":"SECRET"}`
	p := testProvider(t)
	if _, err := p.Inspect(&provider.Request{Body: []byte(good)}); err != nil {
		t.Fatal(err)
	}
	edit := func(old, text string) string { return strings.Replace(good, old, text, 1) }
	for _, c := range []struct {
		why, body string
		want      error
	}{
		{"empty", ``, provider.ErrMalformed},
		{"an array", `[` + good + `]`, provider.ErrMalformed},
		{"no envelope", `{"data":{}}`, provider.ErrMalformed},
		{"cut before the token", good[:len(good)-len(`"verificationToken":"SECRET"}`)], provider.ErrMalformed},
		{"not JSON", good[1:], provider.ErrMalformed},
		{"no token", edit(`"SECRET"`, `["SECRET"]`), provider.ErrMalformed},
		{"token too long", edit(`SECRET`, strings.Repeat("SECRET", 100)), provider.ErrMalformed},
		{"the first key counts", edit(`{`, `{"appId":1,`), provider.ErrNotForSource},
		{"the first token counts", edit(`{`, `{"verificationToken":null,`), provider.ErrMalformed},
		{"another application, cut", strings.TrimSuffix(edit(testApp, testApp+"0"), "}"), provider.ErrNotForSource},
		{"another application", edit(testApp, testApp+"0"), provider.ErrNotForSource},
		{"the first application counts", edit(`{`, `{"appId":"evil",`), provider.ErrNotForSource},
		{"another environment", edit(`DEVELOPMENT`, `development`), provider.ErrNotForSource},
		{"an environment of the quick start", edit(`DEVELOPMENT`, `TEST`), provider.ErrNotForSource},
	} {
		_, err := p.Inspect(&provider.Request{Body: []byte(c.body)})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.why, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), testApp)) {
			t.Errorf("%s: the error shows it: %v", c.why, err)
		}
	}
	if _, err := p.Inspect(&provider.Request{Body: []byte(edit("SECRET", strings.Repeat("é", 512)))}); err != nil {
		t.Errorf("Ignisign's limit is in characters: %v", err)
	}
}

// A request with a token is Ignisign's to judge, whatever else is wrong with it: it
// is not sent again by itself.
func TestInspectTakesWhatCanBeAskedAbout(t *testing.T) {
	const good = `{"appId":"` + testApp + `","appEnv":"DEVELOPMENT","topic":"T","action":"A","msgNature":"N","content":{"signerId":"s"},"verificationToken":"` + testToken + `"}`
	edit := func(old, text string) string { return strings.Replace(good, old, text, 1) }
	p := testProvider(t)
	whole, err := p.Inspect(&provider.Request{Body: []byte(good)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ why, body, topic, action, entity string }{
		{"no appId", edit(`appId`, `app_id`), "T", "A", "signers/s"},
		{"no appEnv", edit(`appEnv`, `APPENV`), "T", "A", "signers/s"},
		{"no topic", edit(`"T"`, `null`), "", "A", "signers/s"},
		{"no action", edit(`"A"`, `""`), "T", "", "signers/s"},
		{"no msgNature", edit(`"N"`, `1`), "T", "A", "signers/s"},
		{"a long topic", edit(`"T"`, `"`+strings.Repeat("T", 600)+`"`), strings.Repeat("T", 600), "A", "signers/s"},
		// As Decode reads nothing of it, it has no type.
		{"too deep", edit(`{"signerId":"s"}`, strings.Repeat(`[`, 64)+strings.Repeat(`]`, 64)), "", "", ""},
		{"far too deep", edit(`{"signerId":"s"}`, strings.Repeat(`{"a":[`, 100_000)+strings.Repeat(`]}`, 100_000)), "", "", ""},
		{"a byte order mark", "\xef\xbb\xbf" + good, "", "", ""},
		{"cut", good[:len(good)-1], "", "", ""},
		{"two", good + good, "", "", ""},
		{"a comma too many", edit(`"N",`, `"N",,`), "", "", ""},
	} {
		info, err := p.Inspect(&provider.Request{Body: []byte(c.body)})
		if err != nil || info.Topic != c.topic || info.Action != c.action || info.Entity != c.entity {
			t.Errorf("%s: %v, %+v", c.why, err, info)
		}
		if info.DedupKey != whole.DedupKey || info.Environment != testEnv {
			t.Errorf("%s: %+v, want the key %s", c.why, info, whole.DedupKey)
		}
		f := newFakeAPI(t, "v4")
		if v := f.provider(newKey).Verify(t.Context(), &provider.Request{Body: []byte(c.body)}, info); v.Outcome != provider.Genuine {
			t.Errorf("%s: %+v", c.why, v)
		}
		if event, state := Decode([]byte(c.body)); c.topic == "" && (state != hookstreamv1.DecodeState_DECODE_STATE_FAILED || event.GetTopicRaw() != "") {
			t.Errorf("%s: %v, %v", c.why, state, event)
		}
	}
}

// What is not UTF-8 could be in no message: it is shown as Decode shows it.
func TestInspectTextThatIsNotUTF8(t *testing.T) {
	body := `{"appId":"` + testApp + `","appEnv":"DEVELOPMENT","topic":"T` + "\xff" + `","action":"A` + "\xc3" +
		`","msgNature":"N","content":{"signerId":"` + "\xfe" + `"},"verificationToken":"t"}`
	got, err := testProvider(t).Inspect(&provider.Request{Body: []byte(body)})
	if err != nil || got.Topic != "T\uFFFD" || got.Action != "A\uFFFD" || got.Entity != "signers/\uFFFD" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A fingerprint tells what is said, however it is written.
func TestFingerprint(t *testing.T) {
	of := func(body string) string {
		t.Helper()
		e, err := readEnvelope([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return string(e.fingerprint())
	}
	const base = `{"appId":"a","appEnv":"b","topic":"c","action":"d","msgNature":"e","content":{"x":1,"y":["z"]},"error":{"errorCode":"f"},"verificationToken":"1"}`
	for why, body := range map[string]string{
		"another token":                  strings.Replace(base, `"1"`, `"2"`, 1),
		"another order":                  `{"error":{"errorCode":"f"},"content":{"y":[ "\u007a" ],"x":1.0},"msgNature":"e","action":"d","topic":"c","appEnv":"b","appId":"a","verificationToken":"1"}`,
		"nulls":                          strings.Replace(base, `{"x"`, `{"n":null,"x"`, 1),
		"an unknown key of the envelope": strings.Replace(base, `{`, `{"attempt":2,`, 1),
	} {
		if of(body) != of(base) {
			t.Errorf("%s: another fingerprint", why)
		}
	}
	for why, body := range map[string]string{
		"appId":         strings.Replace(base, `"a"`, `"A"`, 1),
		"appEnv":        strings.Replace(base, `"b"`, `"B"`, 1),
		"topic":         strings.Replace(base, `"c"`, `"C"`, 1),
		"action":        strings.Replace(base, `"d"`, `"D"`, 1),
		"msgNature":     strings.Replace(base, `"e"`, `"E"`, 1),
		"content":       strings.Replace(base, `"z"`, `"Z"`, 1),
		"error":         strings.Replace(base, `"f"`, `"F"`, 1),
		"borders":       strings.Replace(base, `"topic":"c","action":"d"`, `"topic":"cd","action":"d"`, 1),
		"moved borders": strings.Replace(base, `"appId":"a","appEnv":"b"`, `"appId":"ab","appEnv":"b"`, 1),
		"content gone":  strings.Replace(base, `"content"`, `"kontent"`, 1),
	} {
		if of(body) == of(base) {
			t.Errorf("%s: the same fingerprint", why)
		}
	}
	moved := strings.Replace(base, `"topic":"c","action":"d"`, `"topic":"cd","action":"x"`, 1)
	if of(moved) == of(strings.Replace(base, `"topic":"c","action":"d"`, `"topic":"c","action":"dx"`, 1)) {
		t.Error("texts run into each other")
	}
}

// The order of members, white space and repeated keys do not change a canonical
// text; what is inside strings does.
func TestCanonical(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`null`, ``},
		{`{}`, ``},
		{`{"a":null,"b":{"c":{}}}`, ``},
		{`[]`, `[]`},
		{`[null,{}]`, `[null,{},]`},
		{`{"b":1,"a":[2, 3]}`, `{"a":[2,3,],"b":1,}`},
		{`{"a":1,"a":2}`, `{"a":1,}`},
		{`{"a":null,"a":2}`, ``},
		{`-0`, `0`},
		{`1e2`, `100`},
		{`1.50`, `1.5`},
		{`9007199254740993`, `9007199254740993`},
		{`1e400`, `1e400`},
		{`1e30`, `1e+30`},
		{`true`, `true`},
		{`"\u0041\n"`, `"A\n"`},
	} {
		if got := string(canonical(gjson.Parse(c.in))); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

func FuzzInspect(f *testing.F) {
	for _, name := range exampleNames() {
		body, _ := example(name)
		f.Add(body)
	}
	f.Add([]byte(`{"appId":"a"}`))
	f.Add([]byte("\xef\xbb\xbf" + `{"verificationToken":"a","content":{"b":[1,{"c`))
	f.Add([]byte(`{"verificationToken":"a","content":` + strings.Repeat(`{"a":[`, 70)))
	p := testProvider(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		// As any source would take it, so that more than one body in a million
		// goes the whole way.
		if e, err := readEnvelope(body); err == nil {
			p := &Verifier{appID: e.appID, appEnv: e.appEnv}
			info, err := p.Inspect(&provider.Request{Body: body})
			if err != nil {
				t.Fatal(err)
			}
			checkInfo(t, info, e)
		}
		_, err := p.Inspect(&provider.Request{Body: body})
		if err != nil && !errors.Is(err, provider.ErrMalformed) && !errors.Is(err, provider.ErrNotForSource) {
			t.Errorf("an error nobody knows: %v", err)
		}
	})
}

func checkInfo(t *testing.T, info provider.Info, e envelope) {
	if len(info.DedupKey) != 64 || info.Attempt != -1 || (info.Fingerprint == nil) == e.whole {
		t.Errorf("%+v", info)
	}
	for _, text := range []string{info.Topic, info.Action, info.Environment} {
		if !utf8.ValidString(text) {
			t.Errorf("%q", text)
		}
	}
	if !e.whole {
		canonical(e.content) // must end
		return
	}
	if len(info.Fingerprint()) != 32 {
		t.Errorf("%+v", info)
	}
	if !utf8.ValidString(info.Entity) {
		t.Errorf("%q", info.Entity)
	}
	// A fixed point: what was written canonically is canonical.
	if text := canonical(e.content); len(text) > 0 && text[0] == '"' {
		return
	} else if again := canonical(gjson.ParseBytes(jsonOf(text))); !bytes.Equal(text, again) && utf8.Valid(text) && !slices.Contains(text, '\\') {
		t.Errorf("%s became %s", text, again)
	}
}

// jsonOf turns a canonical text back into JSON.
func jsonOf(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte(",]"), []byte("]"))
	return bytes.ReplaceAll(text, []byte(",}"), []byte("}"))
}
