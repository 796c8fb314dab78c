//go:build !race

package subscription_test

// plays is how many of each model are played.
const plays = 400
