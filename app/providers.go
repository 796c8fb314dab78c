package app

import (
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/provider"
	ignisign "github.com/hookstream/hookstream/provider/ignisign/simulate"
	yousign "github.com/hookstream/hookstream/provider/yousign/simulate"
)

// Providers are the providers there are: a new one is a line here. Those of a folder
// simulate are the provider itself, which can be played besides.
func Providers() (*provider.Set, error) {
	return provider.NewSet(
		ignisign.NewProvider(),
		yousign.Provider{},
	)
}

// catalog is what CatalogService shows of them.
func catalog(set *provider.Set) (infos []*hookstreamv1.Provider, types []*hookstreamv1.EventType) {
	for _, p := range set.All() {
		infos, types = append(infos, p.Info()), append(types, p.EventTypes()...)
	}
	return infos, types
}
