package hub

import (
	"strings"
	"testing"
)

func nested(begin, end, inner string, n int) string {
	return strings.Repeat(begin, n) + inner + strings.Repeat(end, n)
}

// The types of what lies in one another are made of those within, and written out
// at every step of the check: these took from seconds to minutes.
func TestNoFilterTakesLongToCompile(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"lists":                     nested("[", "]", "1", 240) + " == []",
		"maps":                      nested("{1: ", "}", "1", 240) + " == {}",
		"keys of maps":              nested("{", ": 1}", "1", 120) + " == {}",
		"loops in loops":            nested("[1].map(a, ", ")", "1", 200) + " == []",
		"loops with a condition":    nested("[1].map(a, true, ", ")", "1", 160) + " == []",
		"a loop over what one made": "[1]" + strings.Repeat(".map(a, [a, a])", 100) + " == []",
		"loops over lists of loops": nested("[", "].map(a, [a, a])", "1", 200) + " == []",
		"loops over the event":      nested("event.yousign.workspace_ids.map(a, ", ")", "a", 90) + " == []",
		"types of types":            nested("type(", ")", "1", 240) + " == type(1)",
		"messages":                  nested("Event{yousign: ", "}", "1", 150) + " == event",
		"lists in choices":          nested("(true ? [", "] : [])", "1", 100) + " == []",
		"lists in calls":            nested("dyn([", "])", "1", 100) + " == []",
		"elements of lists":         nested("[", "][0]", "1", 200) + " == 1",
	} {
		if _, bad := fs.get(text); bad == nil || !strings.Contains(bad[0].Description, "deep") {
			t.Errorf("%s: %v, want a refusal", name, bad)
		}
	}
	for name, text := range map[string]string{
		"four loops": nested("event.yousign.workspace_ids.exists(a, ", ")", "a in [[['x']]][0][0]", 2),
		"four maps":  nested("[1].map(a, ", ")", "a", 4) + " == [[[[1]]]]",
		"ten lists":  nested("[", "]", "1", 10) + " != []",
		"a long one": strings.Repeat("[1].exists(a, a == 1) && ", 100) + "true",
	} {
		if _, bad := fs.get(text); bad != nil {
			t.Errorf("%s: %v", name, bad)
		}
	}
}

// An answer that tells of every mistake does not fit where errors go.
func TestFewMistakesOfAFilterAreTold(t *testing.T) {
	fs, err := newFilters()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		strings.Repeat("SignerStatus.SIGNEDD == 1 || ", 100) + "true",
		strings.Repeat("Topic.SIGNER == 1 || ", 100) + "true",
		strings.Repeat("\x01", 4000),
	} {
		_, bad := fs.get(text)
		size := 0
		for _, v := range bad {
			size += len(v.Description)
		}
		if len(bad) == 0 || size > 4<<10 {
			t.Errorf("%.20s: %d mistakes of %d bytes", text, len(bad), size)
		}
	}
}
