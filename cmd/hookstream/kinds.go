package main

import (
	"slices"

	"github.com/hookstream/hookstream/provider"
	"github.com/hookstream/hookstream/simulator"
)

// kinds are the providers in the order in which people meet them: first those whose
// sources can be tried without an account at the sender.
func kinds() []provider.Provider {
	all := slices.Clone(providers().All())
	slices.SortStableFunc(all, func(a, b provider.Provider) int { return rank(a) - rank(b) })
	return all
}

func rank(p provider.Provider) int {
	if signs(p) {
		return 0
	}
	return 1
}

// ids are those of providers.
func ids(of []provider.Provider) (all []string) {
	for _, p := range of {
		all = append(all, p.Info().GetId())
	}
	return all
}

// A kind is a provider whose sender can be played.
type kind struct {
	provider.Provider
	simulator.Played
}

func (k kind) id() string { return k.Info().GetId() }

// played are those of kinds.
func played() (all []kind) {
	for _, p := range kinds() {
		if can, ok := p.(simulator.Played); ok {
			all = append(all, kind{p, can})
		}
	}
	return all
}
