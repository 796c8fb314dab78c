package lenient

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/hookstream/hookstream/provider/lenient/lenienttest"
)

func TestCheck(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n-1) + "{}" + strings.Repeat("}", n-1) }
	for _, c := range []struct {
		why, body string
		want      error
	}{
		{"an object", `{"a":1}`, nil},
		{"white space around", " \r\n\t{}\n ", nil},
		{"brackets in strings do not nest", `{"a":"` + strings.Repeat("[", 100) + `\"[\\"}`, nil},
		{"as deep as allowed", deep(MaxDepth), nil},
		{"siblings do not nest", `{"a":[` + strings.Repeat("[],", 100) + `1]}`, nil},
		{"one too deep", deep(MaxDepth + 1), ErrTooDeep},
		{"hostile depth", `{"a":` + strings.Repeat("[", 1<<20), ErrTooDeep},
		{"nothing", "", ErrNotObject},
		{"an array", `[{}]`, ErrNotObject},
		{"a string", `"{}"`, ErrNotObject},
		{"two documents", `{}{}`, ErrNotObject},
		{"cut", `{"a":`, ErrNotObject},
		{"cut in a string", `{"a\`, ErrNotObject},
		{"trailing comma", `{"a":1,}`, ErrNotObject},
		{"byte order mark", "\xef\xbb\xbf{}", ErrNotObject},
	} {
		if got := Check([]byte(c.body)); !errors.Is(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.why, got, c.want)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		why, body string
		want      string // protojson with proto names
		result    Result
	}{
		{
			why: "every type", body: `{"text":"x","flag":true,"small":-3,"big":9007199254740993,"unsigned":4,
			"huge":18446744073709551615,"ratio":0.1,"single":0.5,"at":"2026-03-02T08:15:04+00:00"}`,
			want: `{"text":"x","flag":true,"small":-3,"big":"9007199254740993","unsigned":4,
			"huge":"18446744073709551615","ratio":0.1,"single":0.5,"at":"2026-03-02T08:15:04Z"}`,
		},
		{
			why: "empty differs from absent", body: `{"text":"","flag":false,"small":0}`,
			want: `{"text":"","flag":false,"small":0}`,
		},
		{why: "null leaves unset", body: `{"text":null,"mood":null,"tags":null,"inner_item":null,"anything":null}`, want: `{}`},
		{why: "integral numbers", body: `{"small":3.0,"big":4e2,"unsigned":5.0}`, want: `{"small":3,"big":"400","unsigned":5}`},
		{
			why:    "numbers that do not fit",
			body:   `{"small":2147483648,"big":0.5,"unsigned":-1,"huge":1e30,"single":0.1,"ratio":1e999}`,
			want:   `{"rest":{"small":2147483648,"big":0.5,"unsigned":-1,"huge":1e30,"single":0.1,"ratio":"1e999"}}`,
			result: Result{Rest: true},
		},
		{
			why:    "other types go to the rest as sent",
			body:   `{"text":1,"flag":"true","small":"3","at":"yesterday","object":[],"array":{},"mood":1,"inner_item":"x","tags":"x"}`,
			want:   `{"rest":{"text":1,"flag":"true","small":"3","at":"yesterday","object":[],"array":{},"mood":1,"inner_item":"x","tags":"x"}}`,
			result: Result{Rest: true},
		},
		{
			why: "unknown keys go to the rest as sent", body: `{"new":{"deep":[1,null,"x"]},"nil":null}`,
			want: `{"rest":{"new":{"deep":[1,null,"x"]},"nil":null}}`, result: Result{Rest: true},
		},
		{
			why: "raw JSON is kept", body: `{"object":{"a":[1]},"array":[1,{"b":2}],"anything":"x","values":[null,1]}`,
			want: `{"object":{"a":[1]},"array":[1,{"b":2}],"anything":"x","values":[null,1]}`,
		},
		{why: "offsets", body: `{"at":"2026-03-02T10:15:04.25+02:00"}`, want: `{"at":"2026-03-02T08:15:04.250Z"}`},
		{
			why: "a year no Timestamp can hold", body: `{"at":"0000-01-01T00:00:00Z"}`,
			want: `{"rest":{"at":"0000-01-01T00:00:00Z"}}`, result: Result{Rest: true},
		},
		{
			why: "enums", body: `{"mood":"glad","moods":["happy","odd"]}`,
			want: `{"mood":"MOOD_HAPPY","mood_raw":"glad","moods":["MOOD_HAPPY","MOOD_UNSPECIFIED"],"moods_raw":["happy","odd"]}`,
		},
		{why: "an unknown enum value is no loss", body: `{"mood":"odd"}`, want: `{"mood_raw":"odd"}`},
		{
			why: "what looks like the text beside an enum", body: `{"mood":"happy","mood_raw":"sad"}`,
			want: `{"mood":"MOOD_HAPPY","mood_raw":"happy","rest":{"mood_raw":"sad"}}`, result: Result{Rest: true},
		},
		{
			why: "messages", body: `{"innerItem":{"text":"a"},"items":[{"small":1},{}]}`,
			want: `{"inner_item":{"text":"a"},"items":[{"small":1},{}]}`,
		},
		{
			why: "each message has its own rest", body: `{"inner_item":{"x":1},"items":[{"y":2}]}`,
			want: `{"inner_item":{"rest":{"x":1}},"items":[{"rest":{"y":2}}]}`, result: Result{Rest: true},
		},
		{
			why: "one element does not fit", body: `{"tags":["a",1],"items":[{"text":"a"},null],"moods":["happy",3],"numbers":[1,1.5]}`,
			want: `{"tags":["a"],"items":[{"text":"a"}],"moods":["MOOD_HAPPY"],"moods_raw":["happy"],"numbers":[1],
			"rest":{"tags":[1],"items":[null],"moods":[3],"numbers":[1.5]}}`,
			result: Result{Rest: true},
		},
		{
			why:    "odd elements are kept in their order, without those that fit",
			body:   `{"items":[null,{"small":1},"x",[],{"small":2},7],"tags":[{},[],true,null,"b"],"flags":[true,"true",false]}`,
			want:   `{"items":[{"small":1},{"small":2}],"tags":["b"],"rest":{"items":[null,"x",[],7],"tags":[{},[],true,null],"flags":[true,"true",false]}}`,
			result: Result{Rest: true},
		},
		{
			why: "no element fits", body: `{"tags":[1,null],"items":[],"moods":[]}`,
			want: `{"rest":{"tags":[1,null]}}`, result: Result{Rest: true},
		},
		{
			why: "a list under an alias keeps its name", body: `{"values":[1],"tags":null}`,
			want: `{"values":[1]}`,
		},
		{
			why: "digits beyond what a float64 tells apart",
			body: `{"x":{"a":9007199254740993,"b":-9007199254740993,"c":[12345678901234567890],"d":9007199254740994,"e":9007199254740992,
			"f":0.1234567890123456789,"g":1e400,"h":9007199254740993.0,"i":1e30,"j":0.1,"k":-0.0,"l":123456789012345678901234567890e-10,"m":1.10}}`,
			want: `{"rest":{"x":{"a":"9007199254740993","b":"-9007199254740993","c":["12345678901234567890"],"d":"9007199254740994","e":9007199254740992,
			"f":"0.1234567890123456789","g":"1e400","h":"9007199254740993.0","i":1e30,"j":0.1,"k":0,"l":"123456789012345678901234567890e-10","m":1.1}}}`,
			result: Result{Rest: true},
		},
		{
			why: "digits in Structs that have a field", body: `{"object":{"a":9007199254740993},"array":[9007199254740993],"anything":9007199254740993,"values":[9007199254740993]}`,
			want: `{"object":{"a":"9007199254740993"},"array":["9007199254740993"],"anything":"9007199254740993","values":["9007199254740993"]}`,
		},
		{
			why: "a fraction that a float64 would round", body: `{"ratio":0.1234567890123456789,"big":9007199254740993.0}`,
			want: `{"rest":{"ratio":"0.1234567890123456789","big":"9007199254740993.0"}}`, result: Result{Rest: true},
		},
		{
			why: "without a rest all or nothing", body: `{"strict":{"only_text":"a","x":1}}`,
			want: `{"rest":{"strict":{"only_text":"a","x":1}}}`, result: Result{Rest: true},
		},
		{why: "without a rest it fits", body: `{"strict":{"onlyText":"a"}}`, want: `{"strict":{"only_text":"a"}}`},
		{why: "types without a rule", body: `{"duration":"3s"}`, want: `{"rest":{"duration":"3s"}}`, result: Result{Rest: true}},
		{
			why: "the given name only", body: `{"theName":"a","named":"b"}`,
			want: `{"named":"a","rest":{"named":"b"}}`, result: Result{Rest: true},
		},
		{why: "an alias", body: `{"olderName":"a"}`, want: `{"named":"a"}`},
		{why: "an alias for null", body: `{"olderName":"a","oldName":null,"theName":null}`, want: `{"named":"a"}`},
		{
			why: "the first alias, in any order", body: `{"olderName":"a","oldName":"b"}`,
			want: `{"named":"b","rest":{"olderName":"a"}}`, result: Result{Rest: true},
		},
		{
			why: "the name before aliases, in any order", body: `{"oldName":"b","theName":"c"}`,
			want: `{"named":"c","rest":{"oldName":"b"}}`, result: Result{Rest: true},
		},
		{
			why: "both spellings of one name", body: `{"inner_item":{"text":"a"},"innerItem":{"text":"b"}}`,
			want: `{"inner_item":{"text":"a"},"rest":{"innerItem":{"text":"b"}}}`, result: Result{Rest: true},
		},
		{
			why: "computed fields and the rest have no name", body: `{"filled_by_code":"a","rest":{"b":1}}`,
			want: `{"rest":{"filled_by_code":"a","rest":{"b":1}}}`, result: Result{Rest: true},
		},
		{
			why: "of a oneof the first", body: `{"right":"a","left":"b"}`,
			want: `{"right":"a","rest":{"left":"b"}}`, result: Result{Rest: true},
		},
		{
			why: "of repeated keys the first", body: `{"text":"a","text":"b","x":1,"x":2,"flag":null,"flag":true,"object":{"k":1,"k":2}}`,
			want: `{"text":"a","rest":{"x":1},"object":{"k":1}}`, result: Result{Rest: true, Repeated: true},
		},
		{why: "escapes", body: `{"te\u0078t":"Zo\u00e9 \ud83d\ude00 \ud83d \/"}`, want: `{"text":"Zoé 😀 � /"}`},
		{
			why: "bytes that are not UTF-8", body: "{\"text\":\"a\xffb\",\"mood\":\"\xff\",\"tags\":[\"\xff\"],\"\xff\":{\"\xfe\":\"\xfd\"}}",
			want: `{"text":"a�b","mood_raw":"�","tags":["�"],"rest":{"�":{"�":"�"}}}`, result: Result{Rest: true},
		},
	} {
		t.Run(c.why, func(t *testing.T) {
			m := newItem()
			result, err := Decode([]byte(c.body), m)
			if err != nil {
				t.Fatal(err)
			}
			want := newItem()
			if err := protojson.Unmarshal([]byte(c.want), want); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(m, want) {
				t.Error(cmp.Diff(format(t, want), format(t, m)))
			}
			if result != c.result {
				t.Errorf("result %+v, want %+v", result, c.result)
			}
		})
	}
}

func TestDecodeRefusesWhatIsNoObject(t *testing.T) {
	if _, err := Decode([]byte(`[]`), newItem()); !errors.Is(err, ErrNotObject) {
		t.Errorf("got %v", err)
	}
	for _, value := range []string{`[]`, `1`, `null`, ``} {
		if got := DecodeObject(gjson.Parse(value), newItem()); got != (Result{Lost: true}) {
			t.Errorf("%s: %+v", value, got)
		}
	}
}

func TestDecodeSaysWhatIsLost(t *testing.T) {
	m := dynamicpb.NewMessage(strictType)
	result, err := Decode([]byte(`{"only_text":"a","x":1}`), m)
	if err != nil || result != (Result{Lost: true}) {
		t.Errorf("got %+v, %v", result, err)
	}
	if got := m.Get(strictType.Fields().ByName("only_text")).String(); got != "a" {
		t.Errorf("what fits was not kept: %q", got)
	}
}

// Other languages' Protobuf libraries refuse messages nested deeper than 100.
func TestDeepDocumentsMakeShallowMessages(t *testing.T) {
	for _, key := range []string{"inner_item", "unknown", "object", "anything"} {
		body := strings.Repeat(`{"`+key+`":`, MaxDepth-1) + `{"text":"x"}` + strings.Repeat("}", MaxDepth-1)
		m := newItem()
		if _, err := Decode([]byte(body), m); err != nil {
			t.Fatal(err)
		}
		wire, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		const room = 20 // for the messages that will hold this one
		if err := (proto.UnmarshalOptions{RecursionLimit: 100 - room}).Unmarshal(wire, newItem()); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		if !bytes.Contains(wire, []byte(`{"text":"x"}`)) {
			t.Errorf("%s: the innermost object is lost", key)
		}
	}
}

func TestDecoder(t *testing.T) {
	decoder := NewDecoder(newItem(), "object", "text", "flag", "filled_by_code").Skip("mine")
	m := newItem()
	for i, c := range []struct {
		body, want string
		result     Result
	}{
		{`{"text":"a","small":1,"mine":2}`, `{"text":"a","object":{"small":1}}`, Result{Rest: true}},
		{`{"text":"b","flag":true,"small":3}`, `{"text":"a","flag":true,"object":{"small":1,"text":"b"}}`, Result{Rest: true}},
		{`{"filled_by_code":"c"}`, `{"text":"a","flag":true,"filled_by_code":"c","object":{"small":1,"text":"b"}}`, Result{}},
	} {
		if got := decoder.Decode(gjson.Parse(c.body), m); got != c.result {
			t.Errorf("%d: %+v", i, got)
		}
		want := newItem()
		if err := protojson.Unmarshal([]byte(c.want), want); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(m, want) {
			t.Error(cmp.Diff(format(t, want), format(t, m)))
		}
	}
}

func TestDecoderOnly(t *testing.T) {
	m := newItem()
	decoder := NewDecoder(m, "rest", "text", "flag").Only("text", "odd")
	result := decoder.Decode(gjson.Parse(`{"text":"a","flag":true,"odd":1,"even":2}`), m)
	const want = `{"text":"a","rest":{"odd":1}}`
	compact, err := json.Marshal(json.RawMessage(format(t, m)))
	if err != nil || string(compact) != want || result != (Result{Rest: true}) {
		t.Errorf("got %s %+v, want %s", compact, result, want)
	}
}

func TestNewDecoderRefusesUnknownFields(t *testing.T) {
	for _, names := range [][2]protoreflect.Name{{"nothing", "text"}, {"text", "flag"}, {"rest", "nothing"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%v: no panic", names)
				}
			}()
			NewDecoder(newItem(), names[0], names[1])
		}()
	}
}

func format(t *testing.T, m proto.Message) string {
	t.Helper()
	compact, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return fmt.Sprint(err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", " "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func FuzzCheck(f *testing.F) {
	f.Add([]byte(`{"a":[1,"\u00e9",null]}`))
	f.Add([]byte(`{"a":1e5}{`))
	f.Fuzz(func(t *testing.T, body []byte) {
		object := json.Valid(body) && bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
		if got := Check(body); (got == nil) != object && !errors.Is(got, ErrTooDeep) {
			t.Errorf("Check says %v, encoding/json %v", got, object)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"text":"a","small":1,"items":[{"mood":"happy"}],"theName":"x","oldName":"y","left":"l","x":{"y":[1]}}`))
	f.Add([]byte("{\"at\":\"2026-03-02T08:15:04+00:00\",\"big\":1e400,\"\xff\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		m := newItem()
		if _, err := Decode(body, m); err != nil {
			if Check(body) == nil {
				t.Errorf("an object was refused: %v", err)
			}
			return
		}
		if _, err := proto.Marshal(m); err != nil {
			t.Errorf("made a message that cannot be marshalled: %v", err)
		}
		if _, err := protojson.Marshal(m); err != nil {
			t.Errorf("made a message that cannot be shown as JSON: %v", err)
		}
	})
}

// A generated document has every leaf in its message.
func FuzzDecodeLosesNothing(f *testing.F) {
	f.Add([]byte("some bytes that choose what is in the document"))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24})
	f.Fuzz(func(t *testing.T, choices []byte) {
		g := generator{choices: choices[:min(len(choices), 500)]} // finding leaves is quadratic
		body, err := json.Marshal(g.object(0))
		if err != nil {
			t.Fatal(err)
		}
		m := newItem()
		result, err := Decode(body, m)
		if err != nil {
			t.Fatal(err)
		}
		if missing := lenienttest.Missing(body, m); result.Lost || len(missing) > 0 {
			t.Errorf("%s\nlost %v\n%s", body, missing, format(t, m))
		}
	})
}

// A generator makes documents of known and unknown keys with fitting and odd
// values.
type generator struct{ choices []byte }

func (g *generator) choose(n int) int {
	if len(g.choices) == 0 {
		return 0
	}
	c := int(g.choices[0])
	g.choices = g.choices[1:]
	return c % n
}

func (g *generator) object(depth int) map[string]any {
	keys := []string{"theName", "oldName", "olderName", "unknown", "Text", "innerItem", "moodsRaw"}
	for i := range itemType.Fields().Len() {
		keys = append(keys, string(itemType.Fields().Get(i).Name()))
	}
	object := make(map[string]any)
	for range g.choose(8) {
		object[keys[g.choose(len(keys))]] = g.value(depth + 1)
	}
	return object
}

func (g *generator) value(depth int) any {
	const scalars, all = 7, 12
	kinds := all
	if depth > maxStructDepth-3 {
		kinds = scalars // deeper, leaves are kept within texts
	}
	switch g.choose(kinds) {
	case 0:
		return nil
	case 1:
		return "happy"
	case 2:
		return fmt.Sprintf("text %d", g.choose(256))
	case 3:
		return "2026-03-02T08:15:04+02:00"
	case 4:
		return g.choose(256) - 100
	case 5:
		return float64(g.choose(256)) / 3
	case 6:
		return g.choose(2) == 1
	case 7, 8:
		list := []any{}
		for range g.choose(4) {
			list = append(list, g.value(depth+1))
		}
		return list
	}
	return g.object(depth)
}

func BenchmarkCheck(b *testing.B) {
	body := benchBody()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(body); err != nil {
			b.Fatal(err)
		}
	}
}

func benchBody() []byte {
	one := `{"text":"some text of usual length","flag":true,"small":12,"at":"2026-03-02T08:15:04+00:00","mood":"happy"}`
	return []byte(`{"text":"x","unknown":` + one + `,"items":[` + strings.Repeat(one+",", 19) + one + `]}`)
}

// Of what is repeated only the first is shown, which nobody would know.
func TestRepeatedKeysAreTold(t *testing.T) {
	for _, body := range []string{
		`{"text":"a","text":"a"}`, `{"text":null,"text":"a"}`, `{"x":1,"x":1}`, `{"inner_item":{"small":1,"small":2}}`,
		`{"items":[{},{"y":1,"y":2}]}`, `{"object":{"a":{"k":1,"k":2}}}`, `{"array":[{"k":1,"k":2}]}`, `{"anything":{"k":1,"k":2}}`,
		`{"values":[{"k":1,"k":2}]}`, `{"x":[[{"k":1,"k":2}]]}`, `{"items":[[{"k":1,"k":2}]]}`, `{"te\u0078t":"a","text":"b"}`,
		"{\"\xff\":1,\"\xfe\":2}", `{"tags":["a"],"tags":["b"]}`,
	} {
		if result, err := Decode([]byte(body), newItem()); err != nil || !result.Repeated {
			t.Errorf("%s: %+v, %v", body, result, err)
		}
	}
	for _, body := range []string{`{"text":"a","Text":"b"}`, `{"x":{"a":1},"y":{"a":1}}`, `{"items":[{"small":1},{"small":1}]}`} {
		if result, err := Decode([]byte(body), newItem()); err != nil || result.Repeated {
			t.Errorf("%s: %+v, %v", body, result, err)
		}
	}
	var passed int
	decoder := DecoderOf(newItem()).Skip("mine", "b", "c", "d", "e", "f")
	for body, want := range map[string]bool{
		`{"mine":1,"text":"a","mine":2}`: true, `{"mine":1,"b":2,"c":3,"d":4,"e":5,"f":6}`: false,
		`{"mine":1,"b":2,"c":3,"d":4,"e":5,"f":6,"f":7}`: true,
	} {
		_, result := decoder.AppendPassing(nil, gjson.Parse(body), func(string, gjson.Result) { passed++ })
		if result.Repeated != want {
			t.Errorf("%s: %+v", body, result)
		}
	}
	if passed != 2+6+7 {
		t.Errorf("%d members were passed on", passed)
	}
}

func TestTime(t *testing.T) {
	moment := time.Date(2025, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, c := range []struct {
		json string
		want time.Time
	}{
		{`"2025-02-03T04:05:06Z"`, moment},
		{`"2025-02-03T04:05:06+00:00"`, moment},
		{`"2025-02-03T04:05:06+0000"`, moment},
		{`"2025-02-03T06:05:06+0200"`, moment},
		{`"2025-02-02T23:35:06-0430"`, moment},
		{`"2025-02-03T04:05:06+00"`, moment},
		{`"2025-02-03 04:05:06Z"`, moment},
		{`"2025-02-03 04:05:06+00:00"`, moment},
		{`"2025-02-03 04:05:06 +0000"`, moment},
		{`"2025-02-03 04:05:06 UTC"`, moment},
		{`"2025-02-03t04:05:06z"`, moment},
		{`"2025-02-03T04:05:06.25+0000"`, moment.Add(250 * time.Millisecond)},
		{`"2025-02-03 04:05:06,123456Z"`, moment.Add(123456 * time.Microsecond)},
		{`"2025-02-03T04:05:06.123456789Z"`, moment.Add(123456789)},
		{`"2025-02-03T04:05Z"`, moment.Add(-6 * time.Second)},
		{`1738555506`, moment},
		{`"1738555506"`, moment},
		{`1738555506.0`, moment},
		{`1.738555506e9`, moment},
		{`1738555506.123456789`, moment.Add(123456789)},
		{`"1738555506.25"`, moment.Add(250 * time.Millisecond)},
		{`1738555506250`, moment.Add(250 * time.Millisecond)},
		{`"1738555506250"`, moment.Add(250 * time.Millisecond)},
		{`1738555506250.5`, moment.Add(250500 * time.Microsecond)},
		{`1738555506250000`, moment.Add(250 * time.Millisecond)},
		{`1738555506250000001`, moment.Add(250*time.Millisecond + 1)},
		{`253402300799`, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)},
	} {
		if got, ok := Time(gjson.Parse(c.json)); !ok || !got.Equal(c.want) {
			t.Errorf("%s: %v, %t, want %v", c.json, got, ok, c.want)
		}
	}
	for _, json := range []string{
		`"2025-02-03T04:05:06"`, `"2025-02-03"`, `"2025-13-03T04:05:06Z"`, `"2025-02-30 04:05:06Z"`, `"04:05:06Z"`, `"yesterday"`, `""`,
		`"2025-02-03T"`, `"2025-02-03T04:05:06+"`, `20250203`, `"20250203"`, `0`, `-1738555506`, `"1e9x"`, `1e99`, `1e400`, `"."`, `"1.2.3"`, `"1738555506.2.3"`, `true`, `null`, `{}`,
		`99999999999999999999`, `"` + strings.Repeat("1", 1<<16) + `"`,
	} {
		if got, ok := Time(gjson.Parse(json)); ok {
			t.Errorf("%.40s: %v, want no time", json, got)
		}
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`{"a":1,"b":[1,2]}`, " {\n\"b\" : [ 1 , 2 ] , \"a\" : 1 }\r\n", true},
		{`{"a":"é/😀"}`, `{"\u0061":"\u00e9\/\ud83d\ude00"}`, true},
		{`{"a":1,"b":10,"c":0,"d":1.5,"e":100}`, `{"a":1.0,"b":1e1,"c":-0,"d":15e-1,"e":1E+2}`, true},
		{`{"a":9007199254740993}`, `{"a":9007199254740993.0}`, true},
		{`{"a":123456789012345678901}`, `{"a":1.23456789012345678901e20}`, true},
		{`not JSON`, `not JSON`, true},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, false},
		{`{"a":123456789012345678901}`, `{"a":123456789012345678902}`, false},
		{`{"a":0.1234567890123456789}`, `{"a":0.1234567890123456788}`, false},
		{`{"a":1e400}`, `{"a":1e401}`, false},
		{`{"a":1e99999999999}`, `{"a":1e99999999998}`, false},
		{`{"a":1}`, `{"a":"1"}`, false},
		{`{"a":1}`, `{"a":-1}`, false},
		{`{"a":null}`, `{}`, false},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{`{"a":[1],"b":2}`, `{"a":[1,2]}`, false},
		{`{"a":1,"a":2}`, `{"a":1,"a":3}`, false},
		{`{"a":1,"a":2}`, `{"a":2,"a":1}`, false},
		{`{"a":"x,\"b\":1"}`, `{"a":"x","b":1}`, false},
		{`not JSON`, `not JSON `, false},
		{`{"a":1}`, `{"a":1`, false},
		{`{"a":true}`, `{"a":"true"}`, false},
	} {
		if got := Same([]byte(c.a), []byte(c.b)); got != c.want {
			t.Errorf("Same(%s, %s) = %t", c.a, c.b, got)
		}
		if got := Same([]byte(c.b), []byte(c.a)); got != c.want {
			t.Errorf("Same(%s, %s) = %t", c.b, c.a, got)
		}
	}
}

// A document that encoding/json reads and writes again says the same.
func FuzzSame(f *testing.F) {
	f.Add([]byte(`{"b":[1,2.50,1e3,-0.0,12345678901234567890.10],"a":{"z":null,"y":"\u00e9\n"}}`))
	f.Add([]byte(`{"a":1E-7,"A":0.0000001,"c":[[],{},""]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if Check(body) != nil || !utf8.Valid(body) || bytes.Contains(body, []byte(`\u`)) { // lone surrogates are read differently
			return
		}
		var doc any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if d.Decode(&doc) != nil {
			return
		}
		again, err := json.MarshalIndent(doc, "", "  ")
		if err != nil {
			return
		}
		if result, _ := Decode(body, newItem()); result.Repeated {
			return
		}
		if !Same(body, again) {
			t.Errorf("%s\nis not\n%s", body, again)
		}
	})
}
