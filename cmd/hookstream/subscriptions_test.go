package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
)

// Whatever the API can say and be told, the command line has a word for.
func TestSubscriptionsHaveWordsForEverything(t *testing.T) {
	for number, name := range hookstreamv1.BlockedReason_name {
		if words := deliveryOf(&hookstreamv1.SubscriptionState{BlockedReason: hookstreamv1.BlockedReason(number)}); strings.Contains(words, "_") {
			t.Errorf("%s is shown as %s", name, words)
		}
	}
	said := make(map[hookstreamv1.Settlement_Verdict]bool)
	for _, verdict := range verdicts {
		said[verdict] = true
	}
	for number, name := range hookstreamv1.Settlement_Verdict_name {
		if number != 0 && !said[hookstreamv1.Settlement_Verdict(number)] {
			t.Errorf("ack --as has no word for %s", name)
		}
	}
}

func TestStateShowsWhatWasMissedAndWhoIsDeaf(t *testing.T) {
	show := func(s *hookstreamv1.SubscriptionState) string {
		t.Helper()
		var out bytes.Buffer
		if err := (&program{stdout: &out}).printState(s, time.Now()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if quiet := show(&hookstreamv1.SubscriptionState{}); strings.Contains(quiet, "missed") {
		t.Errorf("nothing was missed: %s", quiet)
	}
	got := show(&hookstreamv1.SubscriptionState{
		MissedEvents: 50,
		Consumers: []*hookstreamv1.SubscriptionConsumer{
			{ClientId: "deaf", Phase: hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_ACTIVE, Unresponsive: true},
			{ClientId: "well", Phase: hookstreamv1.SubscriptionPhase_SUBSCRIPTION_PHASE_ACTIVE},
		},
	})
	rows := make(map[string]string)
	for line := range strings.Lines(got) {
		if word, _, ok := strings.Cut(line, " "); ok {
			rows[word] = line
		}
	}
	if !strings.Contains(rows["missed"], "50 events") || !strings.Contains(rows["deaf"], "unresponsive") || !strings.Contains(rows["well"], "active") {
		t.Errorf("shown:\n%s", got)
	}
}

// Typed conditions are told of, whichever provider's; others are no typed ones.
func TestTypedConditionsAreToldOf(t *testing.T) {
	for want, selectors := range map[bool][]*hookstreamv1.EventSelector{
		true:  {{Yousign: &yousignv1.Selector{}}, {Ignisign: &ignisignv1.Selector{}, Filter: "true"}},
		false: {nil, {}, {Sources: []string{"a"}, Types: []string{"b.*"}, Environments: []string{"c"}, Filter: "true"}},
	} {
		for _, s := range selectors {
			if got := hasTyped(s); got != want {
				t.Errorf("%v: %v", s, got)
			}
		}
	}
}
