package queue_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// Subjects may cover more than what is selected, never less: what they leave out
// nobody is ever handed.
func TestEventSubjects(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = "a." + strings.Repeat("b", i+1)
	}
	for _, c := range []struct {
		why            string
		sources, types []string
		want           []string
	}{
		{"nothing is told apart", nil, nil, nil},
		{"a pattern may cover topics with dots", nil, []string{"signer.*"}, nil},
		{"one pattern covers what the exact ones do", []string{"billing"}, []string{"a.b", "a.*"}, []string{"hookstream.events.billing.>"}},
		{"a type without an action is a topic", []string{"billing"}, []string{"SIGNER"}, []string{"hookstream.events.billing.>"}},
		{"exact", nil, []string{"verification.company.done"}, []string{"hookstream.events.*.verification%2Ecompany.done"}},
		{"no subject twice", []string{"a", "b"}, []string{"x.y", "x.y"}, []string{"hookstream.events.a.x.y", "hookstream.events.b.x.y"}},
		{"too many types", []string{"a"}, many, []string{"hookstream.events.a.>"}},
		{"too many sources", many, nil, nil},
	} {
		if diff := cmp.Diff(c.want, queue.EventSubjects(c.sources, c.types)); diff != "" {
			t.Errorf("%s: %s", c.why, diff)
		}
	}
}

// Whatever the type of an event, however topic and action lie in it, a queue of
// just that type is handed it: what its subjects leave out nobody would see.
func TestEventsLieUnderTheSubjectsOfTheirTypes(t *testing.T) {
	for _, c := range []struct{ topic, action string }{
		{"signature_request", "done"},
		{"verification.company", "done"},
		{"SIGNATURE_REQUEST", "SIGNED.PARTLY"}, // nobody has heard of it yet
		{"APPLICATION", "A.B.C"},
		{"A.B", "C.D"},
		{"A.B", ""},
		{"A.", "B"},
		{"A", ".B"},
		{"A", "B."},
		{"A..", ".."},
		{"A", ""},
		{"A.", ""},
		{"", "B"},
		{"", "B.C"},
		{"", ""},
		{">", ">"},
		{"a b", "c\td"},
		{"%", "%2E"},
		{"é\u2028", "\x00"},
		{strings.Repeat("a.", 100), strings.Repeat(".b", 100)},
	} {
		typ := event.JoinType(c.topic, c.action)
		got := jetstream.EventSubject("s", c.topic, c.action)
		for _, token := range strings.Split(got, ".") {
			if token == "" || strings.ContainsAny(token, "*> \t") {
				t.Errorf("%q and %q: the subject %q", c.topic, c.action, got)
			}
		}
		for _, name := range event.TypeNames(typ) {
			subjects := queue.EventSubjects([]string{"s"}, []string{name})
			if !slices.Contains(subjects, got) && !slices.Contains(subjects, "hookstream.events.s.>") {
				t.Errorf("%q and %q lie under %q, selected by %q are %q", c.topic, c.action, got, name, subjects)
			}
		}
	}
}
