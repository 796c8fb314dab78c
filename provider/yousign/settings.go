package yousign

import "github.com/hookstream/hookstream/provider"

var _ provider.Configured = Provider{}

// Settings are a secret key and the name of a header.
func (Provider) Settings() provider.Settings {
	return provider.Settings{
		Credential: provider.CredentialSetting{
			Field: "secrets", Name: "secret key", Owner: "the subscription's", Variable: "HOOKSTREAM_YOUSIGN_SECRET", Several: true, Place: "secret_key",
		},
		Others: []provider.Setting{{
			Field: "signature_header", Help: "Header that carries the signature", Unless: "if not " + DefaultSignatureHeader,
			Placeholder: "NAME", InRequests: true,
		}},
	}
}
