package provider_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	ignisignv1 "github.com/hookstream/hookstream/gen/hookstream/ignisign/v1"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// plain is a provider that says nothing of its settings.
type plain struct{ id string }

func (p plain) Info() *hookstreamv1.Provider                       { return &hookstreamv1.Provider{Id: p.id} }
func (plain) EventTypes() []*hookstreamv1.EventType                { return nil }
func (plain) Open(*hookstreamv1.Source) (provider.Verifier, error) { return nil, nil }

// A provider without words of its own has those of its schema: the credential is what
// is never answered, and what the gateway fills in is nobody's to give.
func TestWordsOfTheSchema(t *testing.T) {
	for id, want := range map[string]provider.Settings{
		"yousign": {
			Credential: provider.CredentialSetting{Field: "secrets", Name: "secrets", Variable: "HOOKSTREAM_YOUSIGN_SECRETS", Several: true},
			Others:     []provider.Setting{{Field: "signature_header", Help: "The source's signature header", Placeholder: "TEXT", Example: "text", InRequests: true}},
		},
		"ignisign": {
			Credential: provider.CredentialSetting{Field: "api_key", Name: "api key", Variable: "HOOKSTREAM_IGNISIGN_API_KEY"},
			Others: []provider.Setting{
				{Field: "app_id", Help: "The source's app id", Placeholder: "TEXT", Example: "text", Required: true, InRequests: true},
				{Field: "app_env", Help: "The source's app env", Placeholder: "TEXT", Example: "text", Required: true, InRequests: true},
				{Field: "api_base_url", Help: "The source's api base url", Placeholder: "TEXT", Example: "text", InRequests: true},
			},
		},
		"nobody": {},
	} {
		if diff := cmp.Diff(want, provider.Words(plain{id})); diff != "" {
			t.Errorf("%s:\n%s", id, diff)
		}
	}
}

func TestConfigureAndTexts(t *testing.T) {
	src := &hookstreamv1.Source{}
	texts := map[string]string{"app_id": "a", "api_version": "v3", "app_env": ""}
	if err := provider.Configure(src, "ignisign", texts); err != nil {
		t.Fatal(err)
	}
	if cfg := src.GetIgnisign(); cfg.GetAppId() != "a" || cfg.GetApiVersion() != ignisignv1.ApiVersion_API_VERSION_V3 {
		t.Errorf("%v", cfg)
	}
	if got := provider.Texts(src); !cmp.Equal(got, map[string]string{"app_id": "a"}) {
		t.Errorf("texts %v", got)
	}
	src = &hookstreamv1.Source{}
	if err := provider.Configure(src, "yousign", map[string]string{"secrets": "one"}); err != nil || provider.Texts(src)["secrets"] != "one" {
		t.Errorf("%v, %v", src, err)
	}
	if got := provider.Texts(&hookstreamv1.Source{}); len(got) != 0 {
		t.Errorf("texts of nothing: %v", got)
	}
	for id, texts := range map[string]map[string]string{
		"ignisign": {"api_version": "v9"}, "yousign": {"nothing": "x"}, "labels": {}, "nobody": {},
	} {
		if err := provider.Configure(&hookstreamv1.Source{}, id, texts); err == nil {
			t.Errorf("%s: %v", id, texts)
		}
	}
}

func TestChoices(t *testing.T) {
	if got := provider.Choices("ignisign", "api_version"); !cmp.Equal(got, []string{"v4", "v3"}) {
		t.Errorf("%v", got)
	}
	for _, field := range []string{"app_id", "nothing"} {
		if got := provider.Choices("ignisign", field); got != nil {
			t.Errorf("%s: %v", field, got)
		}
	}
}
