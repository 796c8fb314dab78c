package natstest

import (
	"net"
	"net/url"
	"reflect"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/hookstream/hookstream/internal/linktest"
)

// A server in a bubble can not listen: who waits for the network is not at rest, and
// the bubble's time stands still. nats-server has no other way to its neighbours
// than TCP, so what follows reaches into it: it does what
// (*server.Server).startRouteAcceptLoop does, but for the socket.

//go:linkname createRoute github.com/nats-io/nats-server/v2/server.(*Server).createRoute
func createRoute(s *server.Server, conn net.Conn, to *url.URL, kind server.RouteType, gossip byte, account string) unsafe.Pointer

//go:linkname acceptConnections github.com/nats-io/nats-server/v2/server.(*Server).acceptConnections
func acceptConnections(s *server.Server, l net.Listener, name string, take func(net.Conn), failed func(error) bool)

// field answers where a server keeps something.
func field[T any](s *server.Server, name string) *T {
	return (*T)(reflect.ValueOf(s).Elem().FieldByName(name).Addr().UnsafePointer())
}

// clusterPort says that a server has a cluster. Nobody listens there.
const clusterPort = 6222

// door is where a node without sockets is reached, whichever life it is in.
type door struct {
	mu  sync.Mutex
	srv *server.Server // nil before its first life
	lis *routeListener
}

func (d *door) now() (*server.Server, *routeListener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.srv, d.lis
}

// client connects a client.
func (d *door) client() (net.Conn, error) {
	srv, lis := d.now()
	if srv == nil || lis.isDead() {
		return nil, net.ErrClosed
	}
	return srv.InProcessConn()
}

// route connects another node.
func (d *door) route() (net.Conn, error) {
	_, lis := d.now()
	if lis == nil {
		return nil, net.ErrClosed
	}
	in, conn := net.Pipe()
	select {
	case lis.conns <- in:
		return conn, nil
	case <-lis.dead:
		return nil, net.ErrClosed
	}
}

// routeListener is a net.Listener without a socket.
type routeListener struct {
	conns chan net.Conn
	dead  chan struct{} // closed when nobody reaches the node any more, and it nobody
	done  chan struct{} // closed when the node has ended
	die   func()
	end   func()
}

func newRouteListener() *routeListener {
	l := &routeListener{conns: make(chan net.Conn), dead: make(chan struct{}), done: make(chan struct{})}
	l.die = sync.OnceFunc(func() { close(l.dead) })
	l.end = sync.OnceFunc(func() { close(l.done) })
	return l
}

func (l *routeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *routeListener) Close() error {
	l.die()
	l.end()
	return nil
}

func (l *routeListener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: clusterPort}
}

func (l *routeListener) isDead() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// runInside starts a node without sockets.
func (c *Cluster) runInside(i int) *server.Server {
	c.t.Helper()
	o := c.opts[i]
	s, err := server.NewServer(&o)
	if err != nil {
		c.t.Fatal(err)
	}
	// It is clustered, but for the moment in which it would listen.
	s.LookupOrRegisterAccount(server.DEFAULT_SYSTEM_ACCOUNT)
	o.SystemAccount = server.DEFAULT_SYSTEM_ACCOUNT
	o.JetStream, o.Cluster.Port = false, 0
	s.Start()
	o.JetStream, o.Cluster.Port = true, clusterPort
	lis := newRouteListener()
	*field[net.Listener](s, "routeListener") = lis
	*field[server.Info](s, "routeInfo") = server.Info{
		ID: s.ID(), Name: s.Name(), Cluster: o.Cluster.Name, Host: o.Cluster.Host, Port: i + 1,
		Version: server.VERSION, GoVersion: runtime.Version(), Proto: field[server.Info](s, "info").Proto,
		MaxPayload: o.MaxPayload, JetStream: true, Headers: true, LNOC: true, LNOCU: true, LN: true,
	}
	err = s.EnableJetStream(&server.JetStreamConfig{
		StoreDir: o.StoreDir, MaxMemory: 64 << 20, MaxStore: 1 << 60, SyncInterval: o.SyncInterval, Strict: true, CompressOK: true,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	go acceptConnections(s, lis, "Route", func(conn net.Conn) { createRoute(s, conn, nil, server.Implicit, 0, "") }, nil)
	d := c.doors[i]
	d.mu.Lock()
	d.srv, d.lis = s, lis
	d.mu.Unlock()
	for _, r := range c.routes {
		if r.a == i {
			go keepRoute(s, lis, c.net, r.link)
		}
	}
	return s
}

// restTime is longer than what a client has asked of a server waits there.
const restTime = 35 * time.Second

// dieInside has a node be dead for everybody else at once. It ends when what was asked
// of it is over: nats-server would tell who asked, and sleep meanwhile with locks for
// which others wait, so that nobody wakes.
func (c *Cluster) dieInside(i int) {
	if c.dying[i] != nil {
		return
	}
	s, lis := c.doors[i].now()
	lis.die()
	for _, l := range append(c.Routes(i), c.ways[i]...) {
		l.Reset()
	}
	dead := make(chan struct{})
	c.dying[i] = dead
	go func() {
		defer close(dead)
		time.Sleep(restTime)
		s.Shutdown()
		s.WaitForShutdown()
	}()
}

// reviveInside starts a node again when it has ended.
func (c *Cluster) reviveInside(i int) {
	if dead := c.dying[i]; dead != nil {
		<-dead
		delete(c.dying, i)
	}
	c.nodes[i] = c.runInside(i)
}

// routeAgain is how long a server waits before it connects to another one again.
const routeAgain = time.Second

// keepRoute has a node connect over a link for as long as it lives.
func keepRoute(s *server.Server, lis *routeListener, links *linktest.Net, l *linktest.Link) {
	to := &url.URL{Scheme: "nats-route", Host: l.Addr()}
	for {
		if conn, err := links.Dial("tcp", l.Addr()); err == nil {
			c := &endingConn{Conn: conn, gone: make(chan struct{})}
			createRoute(s, c, to, server.Explicit, 0, "")
			select {
			case <-c.gone:
			case <-lis.dead:
				return
			}
		}
		select {
		case <-time.After(routeAgain):
		case <-lis.dead:
			return
		}
	}
}

// endingConn is a connection that tells of its end.
type endingConn struct {
	net.Conn
	gone chan struct{}
	once sync.Once
}

func (c *endingConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}
