// Package linktest is links between the parts of a test that can be cut: of
// clients, gateways and the nodes of a cluster, all in one process. They are of
// TCP, or of a Net, which has no sockets and so keeps the time of a bubble of
// testing/synctest.
//
// What TCP carries cannot be lost, only late: a packet that is dropped is sent
// again. So a silent link holds what is written until it is mended, and one that
// loses holds a share of what is written for as long as the sender waits before it
// sends again.
package linktest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// A Link passes connections on to one place. Its methods may be called from many
// goroutines at once.
type Link struct {
	lis  net.Listener // nil: of a Net
	addr string
	dial func() (net.Conn, error)
	// greeting: what comes back on a new connection of a Net, up to this, is not held.
	greeting string
	room     int // chunks that the sender may be ahead

	mu     sync.Mutex
	cut    bool
	silent [2]bool // by Way
	delay  time.Duration
	lose   float64
	passed uint64 // of all connections, bytes
	conns  map[net.Conn]bool
	mended chan struct{} // closed when anything of the above changes
	done   chan struct{}
	wg     sync.WaitGroup
}

// A Way is a direction on a link.
type Way int

const (
	// There is from who dialled.
	There Way = iota
	// Back is to who dialled.
	Back
)

// New opens a link to an address, which ends with the test.
func New(t testing.TB, to string) *Link {
	t.Helper()
	lis, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, lis.Addr().String(), func() (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", to)
	})
	l.lis = lis
	l.wg.Go(l.serve)
	return l
}

func open(t testing.TB, addr string, dial func() (net.Conn, error)) *Link {
	l := &Link{addr: addr, dial: dial, room: 64, conns: make(map[net.Conn]bool), mended: make(chan struct{}), done: make(chan struct{})}
	t.Cleanup(l.close)
	return l
}

func (l *Link) close() {
	close(l.done)
	if l.lis != nil {
		_ = l.lis.Close()
	}
	l.Reset()
	l.wg.Wait()
}

// Addr to connect to.
func (l *Link) Addr() string { return l.addr }

// URL to connect to, when a node of NATS is at the other end.
func (l *Link) URL() string { return "nats://" + l.Addr() }

// Passed answers how many bytes arrived, in both directions.
func (l *Link) Passed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.passed
}

func (l *Link) change(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	close(l.mended)
	l.mended = make(chan struct{})
}

// Cut ends all connections and refuses new ones, until Mend.
func (l *Link) Cut() {
	l.change(func() { l.cut = true })
	l.Reset()
}

// IsCut reports whether connections are refused.
func (l *Link) IsCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

// Silence holds what is written the given ways, on connections that are there and
// on new ones, until Mend: nobody is told. No way stands for both.
func (l *Link) Silence(ways ...Way) {
	if len(ways) == 0 {
		ways = []Way{There, Back}
	}
	l.change(func() {
		for _, w := range ways {
			l.silent[w] = true
		}
	})
}

// Delay has everything arrive that much later.
func (l *Link) Delay(d time.Duration) { l.change(func() { l.delay = d }) }

// Lose has a share of what is written, between 0 and 1, be lost at first and sent
// again.
func (l *Link) Lose(share float64) { l.change(func() { l.lose = share }) }

// Mend ends all faults. What was held arrives.
func (l *Link) Mend() {
	l.change(func() { l.cut, l.silent, l.delay, l.lose = false, [2]bool{}, 0, 0 })
}

// Reset ends all connections that are open and answers how many they were.
func (l *Link) Reset() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.conns)
	for conn := range l.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, no orderly end
		}
		_ = conn.Close()
	}
	clear(l.conns)
	return n / 2
}

func (l *Link) serve() {
	for {
		in, err := l.lis.Accept()
		if err != nil {
			return
		}
		l.wg.Go(func() {
			if l.pass(in) != nil {
				_ = in.Close()
			}
		})
	}
}

var errCut = errors.New("the link is cut")

func (l *Link) pass(in net.Conn) error {
	out, err := l.dial()
	if err != nil {
		return err
	}
	l.mu.Lock()
	select {
	case <-l.done:
		l.cut = true
	default:
	}
	if l.cut {
		l.mu.Unlock()
		_ = out.Close()
		return errCut
	}
	l.conns[in], l.conns[out] = true, true
	l.mu.Unlock()
	g := &greeting{until: []byte(l.greeting), over: l.greeting == ""}
	l.wg.Go(func() { l.carry(in, out, There, g) })
	l.wg.Go(func() { l.carry(out, in, Back, g) })
	return nil
}

// chunk is what one read brought, and when it is to arrive: zero for a greeting.
type chunk struct {
	data []byte
	at   time.Time
}

// greeting is the beginning of a connection, which is not held.
type greeting struct {
	until []byte

	mu   sync.Mutex
	over bool
}

// holds reports whether a chunk is part of it.
func (g *greeting) holds(data []byte, way Way) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return false
	}
	g.over = way == Back && bytes.Contains(data, g.until)
	return true
}

// carry carries one way of one connection.
func (l *Link) carry(from, to net.Conn, way Way, g *greeting) {
	chunks := make(chan chunk, l.room)
	gone := make(chan struct{})
	l.wg.Go(func() { l.deliver(chunks, to, way, gone) })
	defer close(chunks)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			c := chunk{data: append([]byte(nil), buf[:n]...)}
			if !g.holds(c.data, way) {
				c.at = l.due()
			}
			select {
			case chunks <- c:
			case <-gone:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// sendAgain is how long TCP waits before it sends again what was not confirmed.
const sendAgain = 200 * time.Millisecond

// due answers when what is written now arrives.
func (l *Link) due() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := time.Now().Add(l.delay)
	for wait := sendAgain; l.lose > 0 && rand.Float64() < l.lose && wait < 2*time.Second; wait *= 2 {
		at = at.Add(wait)
	}
	return at
}

func (l *Link) deliver(chunks <-chan chunk, to net.Conn, way Way, gone chan<- struct{}) {
	defer close(gone)
	defer l.forget(to)
	for c := range chunks {
		if d := time.Until(c.at); d > 0 {
			select {
			case <-time.After(d):
			case <-l.done:
				return
			}
		}
		if !c.at.IsZero() && !l.heard(way) {
			return
		}
		n, err := to.Write(c.data)
		l.mu.Lock()
		l.passed += uint64(n)
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
	// Also that one end has closed is not heard on a silent link.
	l.heard(way)
}

// heard waits until the way is not silent.
func (l *Link) heard(way Way) bool {
	for {
		l.mu.Lock()
		silent, mended := l.silent[way], l.mended
		l.mu.Unlock()
		if !silent {
			return true
		}
		select {
		case <-mended:
		case <-l.done:
			return false
		}
	}
}

// silence reports whether the link is silent any way.
func (l *Link) silence() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.silent[There] || l.silent[Back]
}

func (l *Link) forget(conn net.Conn) {
	_ = conn.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, conn)
}
