package baseline

import (
	"os"

	"golang.org/x/sys/unix"
)

// datasync makes the content durable, and of the rest only what is needed to
// read it.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
