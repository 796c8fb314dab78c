package subscription_test

import (
	"os"
	"syscall"
)

// quickDir answers where files of plays in a bubble lie: in memory, when there is room,
// which halves what a play costs. Nothing of them is synced.
func quickDir() string {
	const shared, room = "/dev/shm", 1 << 30
	var fs syscall.Statfs_t
	if syscall.Statfs(shared, &fs) == nil && fs.Bavail*uint64(fs.Bsize) > room && syscall.Access(shared, 2) == nil {
		return shared
	}
	return os.TempDir()
}
