//go:build unix && !linux

package bench

import "syscall"

// alone keeps a Ctrl-C at the terminal from the child, which its parent ends
// after it has read what it wants to know.
func alone() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
