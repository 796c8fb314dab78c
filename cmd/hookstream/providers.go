package main

import (
	"sync"

	"github.com/hookstream/hookstream/app"
	"github.com/hookstream/hookstream/provider"
)

// providers are those that this program knows: what it has flags and words for.
var providers = sync.OnceValue(func() *provider.Set {
	set, err := app.Providers()
	if err != nil {
		panic(err) // the list is compiled in
	}
	return set
})

// exampleProvider answers one whose sources can be made and tried without an account
// at the sender.
func exampleProvider() string {
	for _, p := range providers().All() {
		if _, ok := p.(provider.Sampler); ok {
			return p.Info().GetId()
		}
	}
	return "PROVIDER"
}
