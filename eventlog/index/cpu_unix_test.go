//go:build unix

package index_test

import (
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time of the process so far: what an index does in the
// background no clock shows.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
