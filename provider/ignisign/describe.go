package ignisign

import (
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

var (
	_ provider.Summarizer  = Provider{}
	_ provider.Describer   = Provider{}
	_ provider.Exemplifier = Provider{}
)

// Describe tells the application, the API and what may be known of the key.
func (Provider) Describe(src *hookstreamv1.Source) []provider.Property {
	cfg := src.GetIgnisign()
	return []provider.Property{
		{Name: "app", Value: cfg.GetAppId()},
		{Name: "environment", Value: cfg.GetAppEnv()},
		{Name: "API key", Value: provider.FingerprintText(cfg.GetApiKeyFingerprint())},
		{Name: "API", Value: cfg.GetApiBaseUrl()},
	}
}

// ExampleConditions shows some of a Selector.
func (Provider) ExampleConditions() string {
	return "topics=SIGNATURE_PROOF, msg_natures=ERROR"
}

// ExampleType is the one that people wait for.
func (Provider) ExampleType() string { return "SIGNATURE_PROOF.GENERATED" }
