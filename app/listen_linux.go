package app

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// control has connections ended when what was sent is not acknowledged for
// silentTime, and bounds what waits to be sent. Those that are accepted have it of
// the socket that listens.
func control(_, _ string, c syscall.RawConn) (err error) {
	if controlErr := c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silentTime.Milliseconds())),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent),
		)
	}); controlErr != nil {
		return controlErr
	}
	return err
}
