package linktest

import (
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
)

// A Net is links without sockets: both ends are in the process and know each other.
type Net struct {
	mu    sync.Mutex
	links map[string]*Link
}

// New opens a link to what dial reaches, which ends with the test.
//
// A client that keeps a lock while it connects keeps others from being at rest in
// a bubble, whose time stands still then. So what is said until greeting has come
// back is never late, and a silent link refuses new connections at once. Without a
// greeting that is as over TCP.
func (n *Net) New(t testing.TB, greeting string, dial func() (net.Conn, error)) *Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.links == nil {
		n.links = make(map[string]*Link)
	}
	l := open(t, fmt.Sprintf("127.0.0.1:%d", len(n.links)+1), dial)
	l.greeting, l.room = greeting, 1<<12
	n.links[l.addr] = l
	return l
}

// Dial connects over the link of an address, as a net.Dialer would.
func (n *Net) Dial(_, addr string) (net.Conn, error) {
	n.mu.Lock()
	l := n.links[addr]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("no link has the address %q", addr)
	}
	if l.greeting != "" && l.silence() {
		return nil, os.ErrDeadlineExceeded
	}
	in, conn := net.Pipe()
	if err := l.pass(in); err != nil {
		_, _ = in.Close(), conn.Close()
		return nil, err
	}
	return conn, nil
}
