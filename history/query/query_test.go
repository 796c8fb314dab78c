package query

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

var language = Language{Content: true, Keys: []Key{
	{Name: "source"},
	{Name: "type"},
	{Name: "entity"},
	{Name: "verification", Aliases: []string{"status"}, Kind: Word, Values: []string{"verified", "failed"}},
	{Name: "after", Kind: Time},
	{Name: "before", Kind: Time},
	{Name: "time", Aliases: []string{"receive_time"}, Kind: Time},
}}

func TestParse(t *testing.T) {
	for line, want := range map[string]Query{
		"":                 {},
		"  ":               {},
		"source:a":         {Terms: []Term{{Key: "source", Values: []Pattern{"a"}}}},
		"SOURCE:a":         {Terms: []Term{{Key: "source", Values: []Pattern{"a"}}}},
		"source = \"a\"":   {Terms: []Term{{Key: "source", Values: []Pattern{"a"}}}},
		"-type:*.notified": {Terms: []Term{{Key: "type", Not: true, Values: []Pattern{"*.notified"}}}},
		"type!=x":          {Terms: []Term{{Key: "type", Not: true, Values: []Pattern{"x"}}}},
		"NOT type!=x":      {Terms: []Term{{Key: "type", Values: []Pattern{"x"}}}},
		"source:a AND NOT status:FAILED": {Terms: []Term{
			{Key: "source", Values: []Pattern{"a"}}, {Key: "verification", Not: true, Values: []Pattern{"failed"}},
		}},
		`type:a,"b c",d*`: {Terms: []Term{{Key: "type", Values: []Pattern{"a", "b c", "d*"}}}},
		"entity:x/3f:1=2": {Terms: []Term{{Key: "entity", Values: []Pattern{"x/3f:1=2"}}}},
		`lease "0012 \"a\\" -b`: {Terms: []Term{
			{Values: []Pattern{"lease"}}, {Values: []Pattern{`0012 "a\`}}, {Not: true, Values: []Pattern{"b"}},
		}},
		"after:2h before:2026-11-28T11:30": {After: now.Add(-2 * time.Hour), Before: now.Add(-30 * time.Minute)},
		"after:3d after:1d":                {After: now.AddDate(0, 0, -1)},
		"receive_time >= \"2026-11-01T00:00:00+01:00\" AND time<2026-11-02": {
			After: time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC), Before: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC),
		},
		`source:a cel: event.topic == "x" || true `: {Terms: []Term{{Key: "source", Values: []Pattern{"a"}}}, CEL: `event.topic == "x" || true`},
	} {
		got, err := language.Parse(line, now)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	for _, c := range []struct {
		line   string
		column int
		part   string
	}{
		{"sorce:a", 1, `did you mean "source"?`},
		{"a http://x", 3, "stands in quotes"},
		{"x entity:", 3 + 7, "a value must follow entity"},
		{"source:a,", 10, "a value must follow source"},
		{"status:verifed", 8, `did you mean "verified"?`},
		{"status:x", 8, "there are verified, failed"},
		{`a "b`, 3, "not closed"},
		{`""`, 1, "nothing in the quotes"},
		{"a OR b", 3, "key:a,b"},
		{"(a)", 1, "no brackets"},
		{"a NOT", 3, "stands before a word"},
		{"NOT AND", 5, "does not apply"},
		{"-", 1, "stands before a word"},
		{"NOT after:2h", 5, "does not apply"},
		{"-after:2h", 1, "cannot be negated"},
		{"after>2h", 1, "write after:2h"},
		{"time:2h", 1, "is a time"},
		{"after:yesterday", 7, "is no time"},
		{"after:1h before:2h", 1, "nothing is after"},
		{"source>a", 1, "has no order"},
		{"cel:", 1, "must follow cel:"},
		{"-cel:true", 1, "write cel:"},
		{":a", 1, "in quotes"},
		{"\xff", 1, "not UTF-8"},
		{strings.Repeat("a", MaxLength+1), 1, "longer than"},
		{strings.Repeat("a ", MaxTerms+1), 2*MaxTerms + 2, "more than"},
	} {
		_, err := language.Parse(c.line, now)
		var e *Error
		if !errors.As(err, &e) || e.Column != c.column || !strings.Contains(e.Reason, c.part) {
			t.Errorf("%.40q: %v; want column %d, %q", c.line, err, c.column, c.part)
		}
	}
	l := language
	l.Content = false
	for _, line := range []string{"word", `"word"`, "cel:true"} {
		if _, err := l.Parse(line, now); err == nil {
			t.Errorf("%s was understood where there is no content", line)
		}
	}
}

// What is written of a query is read as the same query, also later.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"source:a -type:b,\"c,d\" after:2h", `"a" NOT x=y`, "time>2026-11-01 cel:true", "a* -\"OR\""} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		q, err := language.Parse(line, now)
		if err != nil {
			return
		}
		again, err := language.Parse(written(q), now.Add(time.Hour))
		if err != nil {
			t.Fatalf("%q is written as %q: %v", line, written(q), err)
		}
		if diff := cmp.Diff(q, again, cmp.Comparer(time.Time.Equal)); diff != "" {
			t.Errorf("%q is written as %q: %s", line, written(q), diff)
		}
	})
}

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern Pattern
		text    string
		want    bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"*", "", true},
		{"a*", "ab", true},
		{"a*", "b", false},
		{"*b", "ab", true},
		{"a*b", "ab", true},
		{"aa*a", "aa", false},
		{"a*a*a", "aaa", true},
		{"a*a*a", "aa", false},
		{"*x*y", "axbyy", true},
		{"**", "q", true},
		{"a**b", "a-b", true},
	} {
		if c.pattern.Match(c.text) != c.want {
			t.Errorf("%q and %q: not %v", c.pattern, c.text, c.want)
		}
	}
}

// written answers a line that means the same at any time: what was relative to now is
// not any more. Equal queries have equal strings if their terms are in one order.
func written(q *Query) string {
	var words []string
	for _, bound := range []struct {
		key string
		at  time.Time
	}{{"after", q.After}, {"before", q.Before}} {
		if !bound.at.IsZero() {
			words = append(words, bound.key+":"+bound.at.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, t := range q.Terms {
		words = append(words, writtenTerm(t))
	}
	if q.CEL != "" {
		words = append(words, "cel:"+q.CEL)
	}
	return strings.Join(words, " ")
}

// written answers the term as it would be written.
func writtenTerm(t Term) string {
	var b strings.Builder
	if t.Not {
		b.WriteByte('-')
	}
	if t.Key != "" {
		b.WriteString(t.Key + ":")
	}
	for i, v := range t.Values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quoted(string(v)))
	}
	return b.String()
}

// quoted is a value as it can be written anywhere.
func quoted(value string) string {
	if value != "" && !strings.ContainsFunc(value, special) && !strings.HasPrefix(value, "-") && !slices.Contains([]string{"AND", "OR", "NOT"}, value) {
		return value
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}
