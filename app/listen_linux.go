package app

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// endSilent has connections ended when what was sent is not acknowledged for
// silentTime. Those that are accepted have it of the socket that listens.
func endSilent(_, _ string, c syscall.RawConn) (err error) {
	if controlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silentTime.Milliseconds()))
	}); controlErr != nil {
		return controlErr
	}
	return err
}
