package app

import (
	"net"
	"time"
)

// pace is the pause after each connection of the API. In it the scheduler comes to
// whom the network has woken: while it has thousands of new connections to serve it
// does not look for 10 ms at a time, and a sender's request waits for it at every
// step.
const pace = time.Millisecond

// pacedListener takes connections one a pause. Those that wait are kept by the
// system.
type pacedListener struct {
	net.Listener
	taken bool // one, and not paused since: only Accept's caller asks
}

func (l *pacedListener) Accept() (net.Conn, error) {
	if l.taken {
		time.Sleep(pace)
	}
	l.taken = true
	return l.Listener.Accept()
}
