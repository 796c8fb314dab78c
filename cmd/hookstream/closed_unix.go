//go:build unix

package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// closedAtStart reports whether a standard stream was closed when the program began:
// Go's runtime puts the null device in its place, for reading and writing, and what
// is written is lost without an error. Who means it to be lost opens that device for
// writing only, as a shell does.
func closedAtStart(f *os.File) bool {
	var this, null syscall.Stat_t
	if syscall.Fstat(int(f.Fd()), &this) != nil || syscall.Stat(os.DevNull, &null) != nil || this.Rdev != null.Rdev || this.Mode&syscall.S_IFMT != syscall.S_IFCHR {
		return false
	}
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	return err == nil && flags&unix.O_ACCMODE == unix.O_RDWR
}
