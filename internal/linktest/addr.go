package linktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports that no system hands out by itself, to a connection that is made or to
// who listens at port 0: Linux begins at 32768, others at 49152.
const firstPort, lastPort = 10000, 32767

// Addr answers an address on loopback to listen at, as often as is wanted until
// the test ends: what listens there may be killed and come back, and no connection
// or listener of this machine's tests takes the port meanwhile.
func Addr(t testing.TB) string {
	t.Helper()
	addr, free, err := Reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(free)
	return addr
}

// Reserve is Addr until free is called.
func Reserve() (addr string, free func(), err error) {
	for range 1000 {
		addr = fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1))
		// Who has the port of UDP has that of TCP: so processes that know
		// nothing of each other agree.
		mark, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", addr)
		if err != nil {
			continue
		}
		if lis, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr); err == nil {
			_ = lis.Close()
			return addr, func() { _ = mark.Close() }, nil
		}
		_ = mark.Close()
	}
	return "", nil, errors.New("no address is free")
}
