//go:build !killtest

package app

// dieAt is for the kill test; see die_killtest.go.
func dieAt() func(string) { return nil }
