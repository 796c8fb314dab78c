package app

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A peer that acknowledges nothing any more is given up in bounded time, whatever
// is served on the connection.
func TestSilentPeersAreGivenUp(t *testing.T) {
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
	var got int
	if controlErr := raw.Control(func(fd uintptr) {
		got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	if int64(got) != silentTime.Milliseconds() {
		t.Errorf("it may be silent for %d ms", got)
	}
}
