//go:build !race

package subscription_test

// plays is how many of each model are played.
const (
	plays       = 400 // of each model
	rigPlays    = 100 // of each world of the embedded engine
	insidePlays = 40  // of each world of a cluster
)
