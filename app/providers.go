package app

import (
	"errors"
	"net/http"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/provider/ignisign"
	"github.com/hookstream/hookstream/provider/yousign"
)

// The providers there are. A new one is a line in each of these.

// providers makes them.
type providers struct {
	ignisign *http.Client // one for all sources: it keeps connections
}

func newProviders() providers { return providers{ignisign: ignisign.NewClient()} }

// make makes the provider of a source; an error says what the source lacks, and
// holds no credential.
func (p providers) make(src *hookstreamv1.Source) (provider.Verifier, error) {
	switch cfg := src.GetConfig().(type) {
	case *hookstreamv1.Source_Yousign:
		return yousign.New(cfg.Yousign)
	case *hookstreamv1.Source_Ignisign:
		return ignisign.New(cfg.Ignisign, p.ignisign)
	}
	return nil, errors.New("the source has no provider")
}

// check says what a source lacks to be used.
func (p providers) check(src *hookstreamv1.Source) error {
	_, err := p.make(src)
	return err
}

func decoders() map[string]hub.Decoder {
	return map[string]hub.Decoder{
		"yousign":  hub.NewDecoder(yousign.Decode, yousign.Match).Encoding(yousign.Encode),
		"ignisign": hub.NewDecoder(ignisign.Decode, ignisign.Match).Encoding(ignisign.Encode),
	}
}

func providerInfos() []*hookstreamv1.Provider {
	return []*hookstreamv1.Provider{yousign.ProviderInfo(), ignisign.ProviderInfo()}
}

func eventTypes() []*hookstreamv1.EventType {
	return append(yousign.Catalog(), ignisign.Catalog()...)
}
