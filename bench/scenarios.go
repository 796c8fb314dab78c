package bench

// Scenarios are all that can be measured, in the order in which they are.
func Scenarios() []Scenario {
	var all []Scenario
	all = append(all, ingestScenarios()...)
	all = append(all, ignisignScenarios()...)
	all = append(all, asideScenarios()...)
	all = append(all, loadScenarios()...)
	all = append(all, idleCPUScenarios()...)
	all = append(all, startScenarios()...)
	all = append(all, streamScenarios()...)
	return all
}
