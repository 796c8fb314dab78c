//go:build unix

package jetstream

import "golang.org/x/sys/unix"

// freeBytes answers what this process may still write to the file system.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // an uint32 on macOS
}
