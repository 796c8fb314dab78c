//go:build race

package client_test

// plays is how many seeds the gate has of each kind of play, of which the race
// detector makes each several times as expensive.
const plays = 20
