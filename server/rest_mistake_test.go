package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// wordsOfParsers are those that our answers do not have: of Go, its libraries and
// their types.
var wordsOfParsers = regexp.MustCompile(`strconv|proto:|proto\x{a0}|parsing|invalid syntax|out of range|cannot parse|unmarshal|json:|int32|int64|float|looking for|unexpected|2006-01|invalid duration|unsupported|message type|oneof|type mismatch|%!`)

// refusedForField holds an answer to a mistake: which field it is about, in words
// that are ours, and no longer for what was given.
func refusedForField(t *testing.T, what string, code int, answer, field string) {
	t.Helper()
	var st struct {
		Message string
		Details []struct {
			Reason          string
			FieldViolations []struct{ Field, Description string }
		}
	}
	if err := json.Unmarshal([]byte(answer), &st); err != nil {
		t.Errorf("%s: %d %s: %v", what, code, answer, err)
		return
	}
	named := false
	reason := ""
	for _, d := range st.Details {
		reason += d.Reason
		for _, v := range d.FieldViolations {
			named = named || v.Field == field
			if v.Description == "" || len(v.Description) > 1500 {
				t.Errorf("%s: says %q", what, v.Description)
			}
		}
	}
	switch {
	case code != 400 || reason != "REQUEST_INVALID" || !named || len(answer) > 4000:
		t.Errorf("%s: %d %.4000s, want 400 and a violation of %q", what, code, answer, field)
	case wordsOfParsers.MatchString(answer):
		t.Errorf("%s: %q in %s", what, wordsOfParsers.FindString(answer), answer)
	}
}

// misfit is text that no field of a kind takes in a query.
func misfits(fd protoreflect.FieldDescriptor) []string {
	long := strings.Repeat("9", 5000)
	switch fd.Kind() {
	case protoreflect.StringKind:
		return nil
	case protoreflect.MessageKind:
		if fd.Message().FullName() == "google.protobuf.FieldMask" {
			return nil // refused by what it names
		}
	}
	return []string{"x", "", "%", "1.2.3", "0x", long}
}

// A parameter that cannot be read is answered with its field and what it takes,
// on every route there is.
func TestAParameterThatCannotBeReadIsToldInOurWords(t *testing.T) {
	g := startSubscriptions(t)
	tried := 0
	for _, r := range restRules() {
		eachField(r.request, "", func(fd protoreflect.FieldDescriptor, path, key string) {
			if r.body == "*" || within(path, r.body) || inPath(&r, path) {
				return
			}
			for _, value := range misfits(fd) {
				tried++
				code, _, answer := g.do(t, r.httpMethod, r.example()+"?"+key+"="+url.QueryEscape(value), r.exampleBody())
				refusedForField(t, fmt.Sprintf("%s %s?%s=%.20s", r.httpMethod, r.example(), key, value), code, answer, path)
			}
		})
	}
	if tried < 100 {
		t.Errorf("tried %d", tried)
	}
}

func inPath(r *restRule, path string) bool {
	for _, bound := range r.inPath {
		if within(path, bound) {
			return true
		}
	}
	return false
}

// eachField walks over the fields of a request, with their paths in the schema's
// spelling and in JSON's.
func eachField(md protoreflect.MessageDescriptor, parent string, visit func(fd protoreflect.FieldDescriptor, path, key string)) {
	var walk func(md protoreflect.MessageDescriptor, path, key string, depth int)
	walk = func(md protoreflect.MessageDescriptor, path, key string, depth int) {
		for i := range md.Fields().Len() {
			fd := md.Fields().Get(i)
			if fd.IsMap() {
				continue
			}
			at, atKey := strings.TrimPrefix(path+"."+string(fd.Name()), "."), strings.TrimPrefix(key+"."+fd.JSONName(), ".")
			visit(fd, at, atKey)
			if fd.Message() != nil && !fd.IsList() && fd.Message().ParentFile().Package() != "google.protobuf" && depth < 4 {
				walk(fd.Message(), at, atKey, depth+1)
			}
		}
	}
	walk(md, parent, parent, 0)
}

// What of a body cannot be read is answered so too, wherever in it it is.
func TestABodyThatCannotBeReadIsToldInOurWords(t *testing.T) {
	g := startSubscriptions(t)
	long := `"` + strings.Repeat("9", 5000) + `"`
	tried := 0
	for _, r := range restRules() {
		if r.body == "" {
			continue
		}
		md, parent := r.request, ""
		if r.body != "*" {
			md, parent = md.Fields().ByName(protoreflect.Name(r.body)).Message(), r.body
		}
		refused := func(body, field string) {
			t.Helper()
			tried++
			code, _, answer := g.do(t, r.httpMethod, r.example(), body)
			refusedForField(t, fmt.Sprintf("%s %s %.100s", r.httpMethod, r.example(), body), code, answer, field)
		}
		eachField(md, parent, func(fd protoreflect.FieldDescriptor, path, key string) {
			if inPath(&r, path) {
				return
			}
			given := []string{`{"x":1}`, `[[]]`, `true`, `1.5`, `"\ud800"`, long}
			if fd.IsList() {
				given = []string{`{}`, `5`, `[null]`, `[{"x":1}]`, `[[]]`}
			}
			names := strings.Split(strings.TrimPrefix(strings.TrimPrefix(key, parent), "."), ".")
			for _, value := range given {
				if fits(fd, value) {
					continue
				}
				body := value
				for i := len(names) - 1; i >= 0; i-- {
					body = `{"` + names[i] + `":` + body + `}`
				}
				at := path
				switch {
				case fd.Message() != nil && fd.Message().ParentFile().Package() != "google.protobuf" && strings.Contains(value, `{"x":1}`):
					at += map[bool]string{true: "[0]"}[fd.IsList()] + ".x"
				case fd.IsList() && value[0] == '[':
					at += "[0]"
				}
				refused(body, at)
			}
		})
		for _, cut := range []string{`{`, `{"a"`, `{"a":1}}`, `nul`, `'`} {
			refused(cut, "")
		}
		refused(`[]`, parent)
		refused(`5`, parent)
		refused(`"x"`, parent)
		refused(`{"`+strings.Repeat("n", 5000)+`":1}`, strings.TrimPrefix(parent+"."+strings.Repeat("n", maxQuoted)+"…", "."))
	}
	if tried < 300 {
		t.Errorf("tried %d", tried)
	}
}

// fits reports whether a field takes a JSON value after all.
func fits(fd protoreflect.FieldDescriptor, value string) bool {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return value == "true"
	case protoreflect.StringKind:
		return value[0] == '"' && len(value) > 100
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return value == "1.5"
	case protoreflect.BytesKind:
		return len(value) > 100
	case protoreflect.MessageKind:
		return fd.Message().FullName() == "google.protobuf.FieldMask" && value[0] == '"'
	}
	return false
}

// All mistakes of a request are told at once, and what is given twice or beside
// what excludes it is one.
func TestMistakesOfARequestOverREST(t *testing.T) {
	g := startSubscriptions(t)
	for name, tt := range map[string]struct{ method, path, body, field, says string }{
		"a size of a page":            {"GET", "/v1/sources?pageSize=ten", "", "page_size", `a whole number from 0 to 2147483647, not \"ten\"`},
		"bounds of a number":          {"GET", "/v1/events:subscribe?flowControl.maxBatchEvents=ten", "", "flow_control.max_batch_events", "from 0 to 1000"},
		"a number without bounds":     {"POST", "/v1/subscriptions?subscriptionId=x", `{"maxOutstandingBytes":"ten"}`, "subscription.max_outstanding_bytes", "9223372036854775807"},
		"two at once":                 {"GET", "/v1/sources?pageSize=x&nope=1", "", "nope", "page_size"},
		"twice":                       {"GET", "/v1/sources?pageSize=1&pageSize=2", "", "page_size", "once"},
		"in two spellings":            {"GET", "/v1/sources?pageSize=1&page_size=1", "", "page_size", "pageSize"},
		"two of one choice":           {"GET", "/v1/events:subscribe?earliest=true&latest=true", "", "latest", "earliest"},
		"a part beside the whole":     {"GET", "/v1/events:subscribe?atTime=2026-01-01T00:00:00Z&atTime.seconds=5", "", "at_time.seconds", "atTime"},
		"a key of what has none":      {"GET", "/v1/sources?pageSize[x]=1", "", "page_size[x]", "keys"},
		"twice in a body":             {"POST", "/v1/subscriptions/none:pull", `{"maxEvents":1,"maxEvents":2}`, "max_events", "once"},
		"in both spellings":           {"POST", "/v1/subscriptions/none:pull", `{"maxEvents":1,"max_events":2}`, "max_events", "once"},
		"two of one choice in a body": {"POST", "/v1/subscriptions/none:seek", `{"earliest":true,"latest":true}`, "latest", "earliest"},
		"of many in a body":           {"POST", "/v1/subscriptions/none:pull", `{"maxEvents":"x","view":"NOPE","nope":3}`, "nope", "EVENT_VIEW_TYPED"},
		"a label":                     {"POST", "/v1/subscriptions?subscriptionId=x", `{"labels":{"team":5}}`, "subscription.labels[\"team\"]", "text"},
		"the timeout":                 {"GET", "/v1/sources", "", "Grpc-Timeout", "number"},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if name == "the timeout" {
				header = []string{"Grpc-Timeout", "soon"}
			}
			code, _, answer := g.do(t, tt.method, tt.path, tt.body, header...)
			refusedForField(t, name, code, answer, tt.field)
			if !strings.Contains(answer, tt.says) {
				t.Errorf("%s does not say %q", answer, tt.says)
			}
		})
	}
}

// What may be a secret is not repeated to whoever mistyped it, nor to what keeps
// answers.
func TestAnAnswerRepeatsNoSecret(t *testing.T) {
	g := startSubscriptions(t)
	const secret = "3141592653"
	for _, tt := range [][3]string{
		{"POST", "/v1/sources/none:rotateSecret", `{"secret":` + secret + `}`},
		{"POST", "/v1/sources?sourceId=x", `{"yousign":{"secrets":[` + secret + `]}}`},
		{"POST", "/v1/sources?sourceId=x", `{"yousign":{"secrets":` + secret + `}}`},
		{"POST", "/v1/sources?sourceId=x", `{"yousign":` + secret + `}`},
		{"POST", "/v1/sources?sourceId=x", `{"yousign":{"secret":` + secret + `}}`},
		{"POST", "/v1/sources?sourceId=x", `{"ignisign":{"apiKey":` + secret + `}}`},
		{"POST", "/v1/sources:ensure", `{"source":{"yousign":{"secrets":{"a":` + secret + `}}}}`},
		{"PATCH", "/v1/sources/none", `{"yousign":{"secrets":[` + secret + `]}}`},
		{"GET", "/v1/sources?secret=" + secret, ""},
		{"POST", "/v1/sources/none:rotateSecret?secret=" + secret, "{}"},
	} {
		code, _, answer := g.do(t, tt[0], tt[1], tt[2])
		if code != 400 || strings.Contains(answer, secret) || wordsOfParsers.MatchString(answer) {
			t.Errorf("%s %s %s: %d %s", tt[0], tt[1], tt[2], code, answer)
		}
	}
}

// What is wrong with a body is looked for in bounded time, whatever it is made of.
func TestAVeryLargeBodyIsLookedThroughInPart(t *testing.T) {
	r := restRules()[0]
	for _, rule := range restRules() {
		if rule.request == (&hookstreamv1.PurgeParkedDeliveriesRequest{}).ProtoReflect().Descriptor() {
			r = rule
		}
	}
	body := []byte(`{"names":[` + strings.Repeat(`"",`, 300_000) + `5]}`)
	looked := bodyMistakes(&r, body)
	if len(looked) > maxMistakes {
		t.Errorf("%d mistakes", len(looked))
	}
	body = []byte(`{"names":[` + strings.Repeat(`5,`, 300_000) + `5]}`)
	if looked = bodyMistakes(&r, body); len(looked) != maxMistakes {
		t.Errorf("%d mistakes, want %d", len(looked), maxMistakes)
	}
}
