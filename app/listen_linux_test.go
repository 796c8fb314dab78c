package app

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A peer that acknowledges nothing any more is given up in bounded time, whatever
// is served on the connection, and little is made for one that does not read.
func TestPeersThatTakeNothing(t *testing.T) {
	lis, err := listen(t.Context(), "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lis.Close() }()
	peer, err := net.Dial("tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	conn, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(name int) (got int) {
		if controlErr := raw.Control(func(fd uintptr) {
			got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name)
		}); controlErr != nil || err != nil {
			t.Fatal(controlErr, err)
		}
		return got
	}
	if got := option(unix.TCP_USER_TIMEOUT); int64(got) != silentTime.Milliseconds() {
		t.Errorf("it may be silent for %d ms", got)
	}
	if got := option(unix.TCP_NOTSENT_LOWAT); got != maxUnsent {
		t.Errorf("%d bytes may wait to be sent", got)
	}
}
