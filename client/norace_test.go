//go:build !race

package client_test

// plays is how many seeds the gate has of each kind of play.
const plays = 200
