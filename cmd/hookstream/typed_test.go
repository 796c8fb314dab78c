package main

import (
	"testing"

	"github.com/alecthomas/kong"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/internal/heavy"
)

// Each provider of the list whose selector is in the schema has a flag, of every
// command that selects events.
func TestEachSelectorHasAFlag(t *testing.T) {
	heavy.Test(t)
	for _, p := range providers().All() {
		id := p.Info().GetId()
		field := selectorField(id).Message().Fields().Get(0).Name()
		for _, command := range [][]string{{"tail"}, {"subscriptions", "create", "crm"}, {"subscriptions", "ensure", "crm"}, {"subscriptions", "update", "crm"}} {
			c := newCommands()
			if _, err := kong.Must(c, defaults()).Parse(append(command, "--"+id, string(field)+"=a,b")); err != nil {
				t.Errorf("%v: %v", command, err)
			}
			given := 0
			for _, flags := range []typedFlags{c.Tail.typedFlags, c.Subscriptions.Create.typedFlags, c.Subscriptions.Ensure.typedFlags, c.Subscriptions.Update.typedFlags} {
				for flag, conditions := range flags.all {
					if given++; flag != id || len(conditions) != 1 || conditions[0] != string(field)+"=a,b" {
						t.Errorf("%v: given %s %q", command, flag, conditions)
					}
				}
			}
			if given != 1 {
				t.Errorf("%v: the condition went to %d commands", command, given)
			}
		}
	}
	if _, err := (typedFlags{}).conditions(&hookstreamv1.EventSelector{}); err != nil {
		t.Errorf("no flags: %v", err)
	}
}
