package hub

import (
	"runtime"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// largeEvent is as large as a body can be: a name, and lists in lists.
func largeEvent(t testing.TB) *hookstreamv1.Event {
	t.Helper()
	items := make([]any, 100_000)
	for i := range items {
		items[i] = "x"
	}
	rest, err := structpb.NewStruct(map[string]any{"nested": []any{items}, "text": strings.Repeat("a", 1<<20)})
	if err != nil {
		t.Fatal(err)
	}
	request := new(yousignv1.SignatureRequest)
	for range 20_000 {
		request.Signers = append(request.Signers, &yousignv1.Signer{StatusRaw: new("new")})
	}
	return &hookstreamv1.Event{
		Type: "signature_request.done", Entity: strings.Repeat("a", 1<<20),
		Payload: &hookstreamv1.Event_Yousign{Yousign: &yousignv1.Event{SignatureRequest: request, Rest: rest}},
	}
}

// Whoever may subscribe may write a filter, and whoever signs may write a megabyte.
func TestAFilterCannotTakeLong(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	event := largeEvent(t)
	many := func(n int, part, joint string) string { return strings.Join(repeat(part, n), joint) }
	for name, text := range map[string]string{
		"a pattern that repeats repetitions": `event.entity.matches('((a{1,30}){1,30}){1,1}b')`,
		"many steps in one pattern":          `event.entity.matches('(a{1,900})b')`,
		"the function in place of a member":  `matches(event.entity, 'a?a?a?a?a?a?b')`,
		"a pattern over a field that is any": `event.yousign.rest["text"].matches('a+a+a+b')`,
		"a pattern out of the event":         `event.type.matches(event.entity)`,
		"a pattern that is put together":     `event.type.matches('a' + 'b')`,
		"a pattern in a loop":                `event.redacted_fields.exists(f, f.matches('(a{1,30}){1,40}'))`,
		"texts that are put together":        many(60, "event.entity", "+") + ` == "x"`,
		"equal lists in lists":               many(40, `event.yousign.rest["nested"] == event.yousign.rest["nested"]`, " && "),
		"an event that equals itself":        many(100, `event == event`, " && "),
		"one of many":                        many(40, `"y" in event.yousign.rest["nested"][0]`, " || "),
		"a loop over many":                   `event.yousign.rest["nested"][0].exists(x, x == "y")`,
		"the length of a long text":          many(60, `size(event.entity)`, " + ") + " == 1",
		"conversions of a long text":         many(60, `string(bytes(event.entity)) == "x"`, " || "),
		"a long text that is no number":      many(60, `int(event.entity) == 1`, " || "),
		"lists that are put together":        many(60, `event.yousign.rest["nested"][0]`, " + ") + " == [1]",
		"the length of such lists":           "size(" + many(60, `event.yousign.rest["nested"][0]`, " + ") + ") == 1",
		"lists of all there is":              "[" + many(60, `event.yousign.rest`, ",") + "] == [" + many(60, `event.yousign.rest`, ",") + "]",
		"maps of all there is":               `{1: event.yousign.rest} == {1: event.yousign.rest}`,
		"all there is, many times in a loop": `[1, 2, 3, 4, 5, 6, 7, 8].map(x, event.yousign.rest) == [1, 2, 3, 4, 5, 6, 7, 8].map(x, event.yousign.rest)`,
		"one of many lists":                  `event.yousign.rest in [` + many(60, `event.yousign.rest["nested"]`, ",") + "]",
		"messages of its own":                many(40, `Event{entity: event.entity, yousign: event.yousign} == event`, " || "),
		"messages made of content":           many(40, `size(google.protobuf.ListValue{values: event.yousign.rest["nested"][0]}) == 1`, " || "),
		"a message of what was sent":         `google.protobuf.Any{type_url: "type.googleapis.com/hookstream.v1.Event", value: bytes(event.entity)} == event`,
		"equal messages by the thousand":     `event.yousign.signature_request.signers == event.yousign.signature_request.signers`,
		"equal long texts in loops":          `[1, 2, 3, 4, 5, 6, 7, 8, 9].exists(a, [1, 2, 3, 4, 5, 6, 7, 8, 9].exists(b, event.entity != event.yousign.rest.text))`,
		"searches for a long text":           many(30, `event.entity.contains("`+strings.Repeat("a", 65)+`b")`, " || "),
	} {
		f, bad := fs.get(text)
		if bad != nil {
			continue // refused before it costs anything
		}
		if ok, err := f.matches(t.Context(), event, nil); err == nil {
			t.Errorf("%s: %v, want an error", name, ok)
		}
	}
}

func repeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// What is asked of a large event every day is answered.
func TestFiltersOverLargeEvents(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	event := largeEvent(t)
	for _, text := range []string{
		`event.entity.startsWith("aaa")`, `!event.entity.contains("needle")`, `event.entity != "x"`, `size(event.entity) > 3`,
		`event.type.matches("^signature_request\\.(done|declined)$")`, `matches(event.type, "done$")`,
		`event.yousign.rest["text"] != "x"`, `event.type in ["signature_request.done", "signer.done"]`, `has(event.yousign)`,
		`event.entity.contains("a") && [1, 2].exists(i, i == 2)`, `has(event.yousign.rest.text)`,
		`event.yousign.rest.nested[0][7] == "x"`, `dyn(event).yousign.rest.text.startsWith("aa")`, `[event, 1][0].yousign.rest.nested != null`,
		`Event{} != event`, `event.decode_state != DecodeState.PARTIAL`, `google.protobuf.Timestamp{seconds: 1} == timestamp(1)`,
		`"x" in event.yousign.rest.nested[0]`, `[1] + [2] == [1, 2]`, `{"a": 1} != {"a": 2}`,
	} {
		f, bad := fs.get(text)
		if bad != nil {
			t.Errorf("%s: %v", text, bad)
			continue
		}
		if ok, err := f.matches(t.Context(), event, nil); !ok || err != nil {
			t.Errorf("%s: %v, %v", text, ok, err)
		}
	}
}

// A bill triples what an evaluation costs, and most filters need none.
func TestPlainFiltersKeepNoBill(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`event.yousign.rest["a"] == "x" && event.type.startsWith("s")`: true,
		`event.type in ["a", "b"] || has(event.yousign)`:               true,
		`event.decode_state == DecodeState.COMPLETE`:                   true,
		`event.type.matches("a")`:                                      false,
		`event.yousign.rest == event.yousign.rest`:                     false,
		`event.yousign.rest["a"] == event.yousign.rest["b"]`:           false,
		`event.type + "a" == "b"`:                                      false,
		`"a" in event.redacted_fields`:                                 false,
		`[1].all(x, x > 0)`:                                            false,
	} {
		f, bad := fs.get(text)
		if bad != nil {
			t.Errorf("%s: %v", text, bad)
		} else if f.plain != want {
			t.Errorf("%s: plain %v", text, f.plain)
		}
	}
}

// CEL copies content without a schema whenever a filter looks into it, and what is
// compared with little is not weighed whole.
func TestContentIsLookedIntoWhereItLies(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	event := largeEvent(t)
	for _, text := range []string{
		strings.Join(repeat(`event.yousign.rest["nested"][0][9] == "y"`, 40), " || "),
		strings.Join(repeat(`has(event.yousign.rest.other)`, 40), " || "),
		strings.Join(repeat(`dyn(event.yousign).rest.text == "y"`, 40), " || "),
		strings.Join(repeat(`[event, 1][0].yousign.rest.text == "y"`, 40), " || "),
		`event.yousign.rest.exists(k, event.yousign.rest[k] == "y")`,
		strings.Join(repeat(`event == Event{}`, 40), " || "),
		strings.Join(repeat(`event.yousign.rest.nested == [1]`, 40), " || "),
		strings.Join(repeat(`event.yousign.signature_request.signers == []`, 40), " || "),
	} {
		f, bad := fs.get(text)
		if bad != nil {
			t.Errorf("%s: %v", text, bad)
			continue
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ok, err := f.matches(t.Context(), event, nil)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; ok || err != nil || got > 8<<20 {
			t.Errorf("%.60s...: %v, %v, %d bytes", text, ok, err, got)
		}
	}
}

// packed is an event with content of a sender without a field of its own.
func packed(t *testing.T, m proto.Message) *hookstreamv1.Event {
	t.Helper()
	content, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return &hookstreamv1.Event{Type: "charge.succeeded", Payload: &hookstreamv1.Event_Typed{Typed: content}}
}

// A filter looks into a message that is packed, and into JSON, as into any other
// content.
func TestFiltersSeeContentOfAnySender(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	rest, err := structpb.NewStruct(map[string]any{"amount": 7.0, "list": []any{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	typed := packed(t, &yousignv1.Event{EventId: proto.String("e1"), Rest: rest, Signer: &yousignv1.Signer{Id: proto.String("s1")}})
	json := &hookstreamv1.Event{Payload: &hookstreamv1.Event_Json{Json: rest}}
	for _, tc := range []struct {
		filter string
		event  *hookstreamv1.Event
		want   bool
	}{
		{`event.typed.event_id == "e1"`, typed, true},
		{`event.typed.event_id == "e2"`, typed, false},
		{`event.typed.signer.id == "s1" && has(event.typed.signer)`, typed, true},
		{`has(event.typed) && !has(event.json) && !has(event.yousign)`, typed, true},
		{`event.typed.rest.amount == 7.0`, typed, true},
		{`event.typed.rest.list[0] == "a"`, typed, true},
		{`event.json.amount == 7.0`, json, true},
		{`has(event.json.amount) && !has(event.json.other)`, json, true},
		{`event.json.list.exists(x, x == "a")`, json, true},
		{`has(event.typed)`, json, false},
		{`has(event.typed) && event.typed.event_id == "e1"`, json, false},
	} {
		f, bad := fs.get(tc.filter)
		if bad != nil {
			t.Errorf("%s: %v", tc.filter, bad)
			continue
		}
		if !f.payload {
			t.Errorf("%s: the body would not be decoded", tc.filter)
		}
		if got, err := f.matches(t.Context(), tc.event, nil); err != nil || got != tc.want {
			t.Errorf("%s: %v, %v", tc.filter, got, err)
		}
	}
}

// What a packed message does not have, or nobody here knows, is no match and no
// harm.
func TestFiltersOnContentThatIsNotThere(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	unknown := &hookstreamv1.Event{Payload: &hookstreamv1.Event_Typed{Typed: &anypb.Any{TypeUrl: "type.googleapis.com/example.v1.Charge", Value: []byte{8, 1}}}}
	broken := packed(t, &yousignv1.Event{EventId: proto.String("e1")})
	broken.GetTyped().Value = []byte{0xff}
	for name, tc := range map[string]struct {
		filter string
		event  *hookstreamv1.Event
	}{
		"no such field":     {`event.typed.nonsense == "e1"`, packed(t, &yousignv1.Event{EventId: proto.String("e1")})},
		"another type":      {`event.typed.event_id.size() > event.typed.signer`, packed(t, &yousignv1.Event{EventId: proto.String("e1")})},
		"unknown message":   {`event.typed.id == "x"`, unknown},
		"broken message":    {`event.typed.event_id == "e1"`, broken},
		"JSON without it":   {`event.json.x == 1.0`, &hookstreamv1.Event{Payload: &hookstreamv1.Event_Json{Json: &structpb.Struct{}}}},
		"no content at all": {`event.typed.event_id == "e1"`, &hookstreamv1.Event{}},
	} {
		f, bad := fs.get(tc.filter)
		if bad != nil {
			t.Errorf("%s: %v", name, bad)
			continue
		}
		if ok, err := f.matches(t.Context(), tc.event, nil); ok || err == nil {
			t.Errorf("%s: %v, %v, want an error", name, ok, err)
		}
	}
}
