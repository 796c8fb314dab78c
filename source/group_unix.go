//go:build unix

package source

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// ownGroup reports whether the file's group is one that this process is of.
func ownGroup(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	groups, err := os.Getgroups()
	gid := int(st.Gid)
	return gid == os.Getegid() || err == nil && slices.Contains(groups, gid)
}
