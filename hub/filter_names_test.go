package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// renamedTypes are some that senders have several names for, and some that they
// have not.
var renamedTypes = []string{
	"APP.ARCHIVED", "APPLICATION.ARCHIVED", "APP", "APPLICATION", "APPLICATION.MOVED.ELSEWHERE", "SIGNATURE_IMAGE.GENERATED",
	"SIGNATURE_SIGNER_IMAGE.GENERATED", "SIGNATURE.CREATED", "SIGNATURE.FINALIZED", "SIGNATURE.SIGNATURE_SUCCESS", "SIGNER.CREATED",
	"SIGNER.CLAIM_UPDATED", "SIGNATURE_REQUEST.INIT", "SIGNATURE_REQUEST.INITIALIZED", "signature_request.done", "signer.done", "ping", "",
}

// A filter and a pattern that are written alike select the same events.
func TestFiltersKnowAllNamesOfAType(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range renamedTypes {
		topic, action := event.SplitType(of)
		names := event.NamesOf(of, topic, action)
		m := &hookstreamv1.Event{Type: of, Topic: topic, Action: action}
		for _, written := range append(slices.Clone(renamedTypes), "ping.", "APPLICATION.") {
			topic, _, _ := strings.Cut(written, ".")
			same := written != "" && event.CompilePatterns([]string{written}).MatchType(of) || written == of
			for text, want := range map[string]bool{
				fmt.Sprintf("event.type == %q", written):                                     same,
				fmt.Sprintf("%q == event.type", written):                                     same,
				fmt.Sprintf("event.type != %q", written):                                     !same,
				fmt.Sprintf("!(event.type == %q)", written):                                  !same,
				fmt.Sprintf("event.type in [%q, \"x\"]", written):                            same,
				fmt.Sprintf("!(event.type in [%q])", written):                                !same,
				fmt.Sprintf("event.type in [%q, event.entity + \"x\"]", written):             same,
				fmt.Sprintf("event.type in {%q: 1}", written):                                same,
				fmt.Sprintf("[%q].exists(t, event.type == t)", written):                      same,
				fmt.Sprintf("event.type.startsWith(%q)", topic+"."):                          event.CompilePatterns([]string{topic + ".*"}).MatchType(of),
				fmt.Sprintf("event.type.endsWith(%q)", "x"+topic):                            false,
				fmt.Sprintf("event.type.contains(%q)", topic):                                event.CompilePatterns([]string{"*" + topic + "*"}).MatchType(of),
				fmt.Sprintf("event.type.matches(%q)", "^"+topic+"[.]"):                       event.CompilePatterns([]string{topic + ".*"}).MatchType(of),
				fmt.Sprintf("matches(event.type, %q)", "^"+topic+"[.]"):                      event.CompilePatterns([]string{topic + ".*"}).MatchType(of),
				fmt.Sprintf("[1].all(x, event.type.matches(%q))", "^"+topic+"[.]"):           event.CompilePatterns([]string{topic + ".*"}).MatchType(of),
				fmt.Sprintf("event.type + \"!\" == %q + \"!\"", written):                     written == of, // put together: as it is spelt
				fmt.Sprintf("size(event.type) == %d", len(of)):                               true,
				fmt.Sprintf("[Event{type: \"q\"}].exists(event, event.type == %q)", written): written == "q",
			} {
				f, bad := fs.get(text)
				if bad != nil {
					t.Fatalf("%s: %v", text, bad)
				}
				if got, err := f.matches(t.Context(), m, &names); got != want || err != nil {
					t.Errorf("%s of %q: %v, %v, want %v", text, of, got, err, want)
				}
			}
		}
	}
}

func TestFiltersKnowAllNamesOfTopicAndAction(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of, text string
		want     bool
	}{
		{"APPLICATION.ARCHIVED", `event.topic == "APP"`, true},
		{"APP.ARCHIVED", `event.topic in ["APPLICATION"]`, true},
		{"APP.ARCHIVED", `event.topic != "APPLICATION"`, false},
		{"SIGNATURE.CREATED", `event.action == "FINALIZED"`, true},
		{"SIGNER.CREATED", `event.action == "FINALIZED"`, false},
		{"SIGNATURE.CREATED", `event.action.startsWith("FINAL")`, true},
		{"SIGNATURE.CREATED", `event.topic == "SIGNATURE" && event.action == "SIGNATURE_SUCCESS"`, true},
		{"SIGNATURE.CREATED", `event.action == event.topic`, false},
		{"SIGNATURE.CREATED", `event.action == dyn(1)`, false},
		{"SIGNATURE.CREATED", `event.action != dyn(1)`, true},
	} {
		topic, action := event.SplitType(c.of)
		names := event.NamesOf(c.of, topic, action)
		f, bad := fs.get(c.text)
		if bad != nil {
			t.Fatalf("%s: %v", c.text, bad)
		}
		got, err := f.matches(t.Context(), &hookstreamv1.Event{Type: c.of, Topic: topic, Action: action}, &names)
		if got != c.want || err != nil {
			t.Errorf("%s of %s: %v, %v", c.text, c.of, got, err)
		}
	}
}
