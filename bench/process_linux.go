package bench

import "syscall"

// alone keeps a Ctrl-C at the terminal from the child, which its parent ends
// after it has read what it wants to know, and lets it die with its parent.
// The signal comes when the thread that started it ends, which a thread of Go
// does not do while nobody locks a goroutine to it.
func alone() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
