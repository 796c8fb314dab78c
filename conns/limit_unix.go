//go:build unix

package conns

import "golang.org/x/sys/unix"

// plenty stands for no limit, and for one that could not be found out.
const plenty = 1 << 20

// descriptors answers how many this process may have. Go has raised the soft limit
// to the hard one when it started.
func descriptors() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || uint64(l.Cur) > plenty { //nolint:unconvert // it is an int64 elsewhere
		return plenty
	}
	return int(l.Cur)
}
