package bench

import "github.com/hookstream/hookstream/simulator"

// Scenarios are all that can be measured, in the order in which they are.
func Scenarios(senders []simulator.Played) []Scenario {
	var all []Scenario
	all = append(all, ingestScenarios(signing(senders))...)
	all = append(all, askedScenarios(senders)...)
	all = append(all, asideScenarios()...)
	all = append(all, loadScenarios()...)
	all = append(all, idleCPUScenarios()...)
	all = append(all, startScenarios()...)
	all = append(all, streamScenarios()...)
	return all
}
