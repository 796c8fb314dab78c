//go:build race

package subscription_test

// plays is how many of each model the race detector is to see: it makes one about four
// times as expensive. `make test` has the many played without it.
const (
	plays       = 15 // of each model
	rigPlays    = 5  // of each world of the embedded engine
	insidePlays = 2  // of each world of a cluster
)
