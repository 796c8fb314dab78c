package main

import (
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// subscriptionSettings are what an owner chooses.
type subscriptionSettings struct {
	settingFlags
	Type        []string `help:"Pattern of types: signature_request.*, *.done; may be repeated." placeholder:"PATTERN" group:"Which events"`
	Source      []string `help:"Only of this source; may be repeated." placeholder:"ID" group:"Which events"`
	Environment []string `help:"Only of this environment of the sender; may be repeated." placeholder:"NAME" group:"Which events"`
	typedFlags
	Filter *string `help:"CEL expression over event: 'event.topic == \"signer\"'." placeholder:"CEL" group:"Which events"`
}

// apply copies what was given and names the fields.
func (s subscriptionSettings) apply(sub *hookstreamv1.Subscription) (paths []string, err error) {
	paths, err = s.settingFlags.apply(sub)
	if err != nil {
		return nil, err
	}
	selected, err := s.applySelector(sub)
	return append(paths, selected...), err
}

func (s subscriptionSettings) applySelector(sub *hookstreamv1.Subscription) (paths []string, err error) {
	selector := &hookstreamv1.EventSelector{Types: s.Type, Sources: s.Source, Environments: s.Environment}
	for path, given := range map[string]bool{
		"selector.types": len(s.Type) > 0, "selector.sources": len(s.Source) > 0, "selector.environments": len(s.Environment) > 0,
	} {
		if given {
			paths = append(paths, path)
		}
	}
	set(&paths, "selector.filter", &selector.Filter, s.Filter)
	typed, err := s.conditions(selector)
	paths = append(paths, typed...)
	if len(paths) > 0 {
		sub.Selector = selector
	}
	return paths, err
}
