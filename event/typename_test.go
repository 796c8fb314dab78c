package event_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/event"
)

func TestTypeNames(t *testing.T) {
	for typ, want := range map[string][]string{
		"signature_request.done":      {"signature_request.done"},
		"SIGNATURE_PROOF.FAILED":      {"SIGNATURE_PROOF.FAILED"},
		"APP.ARCHIVED":                {"APP.ARCHIVED", "APPLICATION.ARCHIVED"},
		"APPLICATION.ARCHIVED":        {"APPLICATION.ARCHIVED", "APP.ARCHIVED"},
		"APPLICATION.NEW":             {"APPLICATION.NEW", "APP.NEW"},
		"SIGNATURE_IMAGE.GENERATED":   {"SIGNATURE_IMAGE.GENERATED", "SIGNATURE_SIGNER_IMAGE.GENERATED"},
		"SIGNATURE.CREATED":           {"SIGNATURE.CREATED", "SIGNATURE.FINALIZED", "SIGNATURE.SIGNATURE_SUCCESS"},
		"SIGNER.CREATED":              {"SIGNER.CREATED"},
		"SIGNER.CLAIM_UPDATED":        {"SIGNER.CLAIM_UPDATED", "SIGNER.INPUTS_ADDED", "SIGNER.CLAIMS_UPDATED"},
		"SIGNER_ID_PROOFING.LAUNCHED": {"SIGNER_ID_PROOFING.LAUNCHED", "ID_PROOFING.LAUNCHED"},
		"APPLICATION.MOVED.ELSEWHERE": {"APPLICATION.MOVED.ELSEWHERE", "APP.MOVED.ELSEWHERE"},
		"APP.":                        {"APP.", "APP", "APPLICATION"},
		"APP":                         {"APP", "APPLICATION"},
		"ping":                        {"ping"},
		"":                            {""},
		"BRAND_NEW_TOPIC.ARCHIVED":    {"BRAND_NEW_TOPIC.ARCHIVED"},
		"SIGNATURE_REQUEST.INIT":      {"SIGNATURE_REQUEST.INIT", "SIGNATURE_REQUEST.INITIALIZED"},
	} {
		got := event.TypeNames(typ)
		slices.Sort(got[1:])
		slices.Sort(want[1:])
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", typ, diff)
		}
	}
}

// A topic that is switched off or selected is so under all its names.
func TestMatchType(t *testing.T) {
	for _, c := range []struct {
		pattern, typ string
		want         bool
	}{
		{"APP.*", "APPLICATION.ARCHIVED", true},
		{"APPLICATION.*", "APP.ARCHIVED", true},
		{"SIGNATURE_SIGNER_IMAGE.*", "SIGNATURE_IMAGE.GENERATED", true},
		{"SIGNATURE.FINALIZED", "SIGNATURE.CREATED", true},
		{"SIGNATURE.SIGNATURE_SUCCESS", "SIGNATURE.FINALIZED", true},
		{"APP.*", "APPLICATION.MOVED.ELSEWHERE", true},
		{"APP.MOVED.ELSEWHERE", "APPLICATION.MOVED.ELSEWHERE", true},
		{"APPLICATION.", "APP", true},
		{"SIGNATURE.FAILED", "SIGNATURE.CREATED", false},
		{"APP.ARCHIVED", "APPLICATION.SETTINGS_UPDATED", false},
	} {
		if got := event.CompilePatterns([]string{c.pattern}).MatchType(c.typ); got != c.want {
			t.Errorf("%s and %s: %v", c.pattern, c.typ, got)
		}
	}
	if (event.Patterns{}).MatchType("APP.ARCHIVED") {
		t.Error("no pattern matches")
	}
}
