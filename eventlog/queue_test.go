package eventlog_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/eventlog"
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
		if diff := cmp.Diff(c.want, eventlog.EventSubjects(c.sources, c.types)); diff != "" {
			t.Errorf("%s: %s", c.why, diff)
		}
	}
}
