package ignisign

import (
	"net/http"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
)

// ID is the provider's id, as in Event.provider.
const ID = "ignisign"

// Provider is Ignisign, for all its sources. Only Ignisign can make the token that
// proves its origin: there are no samples.
type Provider struct {
	client *http.Client // one for all: it keeps connections
}

var _ provider.Decoding = Provider{}

// NewProvider answers the provider, whose sources share the connections to
// Ignisign's API.
func NewProvider() Provider { return Provider{NewClient()} }

// Info describes Ignisign for the catalog.
func (Provider) Info() *hookstreamv1.Provider {
	return &hookstreamv1.Provider{
		Id: ID, DisplayName: "Ignisign", VerificationMethod: Method,
		EventTypeCount: int32(len(catalog)),
	}
}

// EventTypes answers the Catalog.
func (Provider) EventTypes() []*hookstreamv1.EventType { return Catalog() }

// Open makes the verifier of a source.
func (p Provider) Open(src *hookstreamv1.Source) (provider.Verifier, error) {
	return NewVerifier(src.GetIgnisign(), p.client)
}

// Decoder makes and selects an Event of package ignisignv1.
func (Provider) Decoder() provider.Decoder {
	return provider.NewDecoder(Decode, Match).Encoding(Encode)
}
