package provider_test

import (
	"testing"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// A bare is a provider that can nothing beyond receiving, whose sources have the
// config of another.
type bare struct{}

func (bare) Info() *hookstreamv1.Provider                         { return &hookstreamv1.Provider{Id: "ignisign"} }
func (bare) EventTypes() []*hookstreamv1.EventType                { return nil }
func (bare) Open(*hookstreamv1.Source) (provider.Verifier, error) { return nil, nil }

// Of a provider without words of its own, people see the settings of its sources all
// the same, and no credential.
func TestSettingsAreToldWithoutCredentials(t *testing.T) {
	set, err := provider.NewSet(bare{})
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string]string)
	for _, p := range set.Describe(&hookstreamv1.Source{Config: &hookstreamv1.Source_Ignisign{
		Ignisign: &ignisignv1.SourceConfig{AppId: "appId_1", ApiKey: "sk_secret"},
	}}) {
		told[p.Name] = p.Value
	}
	if told["app id"] != "appId_1" {
		t.Errorf("told %q", told)
	}
	if _, ok := told["api key"]; ok {
		t.Errorf("a credential is told: %q", told)
	}
}
