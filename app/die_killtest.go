//go:build killtest

package app

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

// dieAt kills the process, as kill -9 does, when the step named in
// HOOKSTREAM_DIE_AT is reached for the HOOKSTREAM_DIE_AFTER-th time. Only
// binaries built for the kill test have it.
func dieAt() func(string) {
	at := os.Getenv("HOOKSTREAM_DIE_AT")
	if at == "" {
		return nil
	}
	after, _ := strconv.ParseInt(os.Getenv("HOOKSTREAM_DIE_AFTER"), 10, 64)
	var n atomic.Int64
	return func(step string) {
		if step == at && n.Add(1) >= after {
			_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
			select {} // not one instruction more
		}
	}
}
