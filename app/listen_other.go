//go:build !linux

package app

import "syscall"

// endSilent leaves it to the system how long what was sent may stay
// unacknowledged.
func endSilent(string, string, syscall.RawConn) error { return nil }
