package yousign

import (
	"fmt"
	"time"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	yousignv1 "github.com/hookstream/hookstream/gen/hookstream/yousign/v1"
	"github.com/hookstream/hookstream/provider"
)

var (
	_ provider.Summarizer  = Provider{}
	_ provider.Describer   = Provider{}
	_ provider.Exemplifier = Provider{}
)

// Describe tells the header, and what may be known of the secrets.
func (Provider) Describe(src *hookstreamv1.Source) []provider.Property {
	properties := []provider.Property{{Name: "signature header", Value: src.GetYousign().GetSignatureHeader()}}
	for i, state := range src.GetYousign().GetSecretStates() {
		properties = append(properties, provider.Property{Name: fmt.Sprintf("secret %d", i+1), Value: secretText(state)})
	}
	return properties
}

func secretText(state *yousignv1.SecretState) string {
	text := provider.FingerprintText(state.GetFingerprint())
	if end := state.GetExpireTime(); end != nil {
		text += ", accepted until " + end.AsTime().UTC().Format(time.RFC3339)
	}
	return text
}

// ExampleConditions shows some of a Selector.
func (Provider) ExampleConditions() string {
	return "event_names=signer.done, workspace_ids=…, sandbox=true"
}

// ExampleType is one that takes reading: a reason comes with it.
func (Provider) ExampleType() string { return "signer.declined" }
