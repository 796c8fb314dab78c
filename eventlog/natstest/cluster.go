// Package natstest runs a real NATS cluster inside a test.
package natstest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/internal/heavy"
	"github.com/hookstream/hookstream/internal/linktest"
)

// Cluster is three servers with JetStream on loopback, as an operator would run
// them: every write synced.
type Cluster struct {
	t     testing.TB
	nodes []*server.Server
	opts  []server.Options

	cuttable bool
	routes   []route

	net   *linktest.Net // nil: there are sockets
	doors []*door       // of nodes that have none
	ways  [][]*linktest.Link
	dying map[int]chan struct{} // nodes without sockets that are dead for everybody else
}

// route is the way between two nodes of a cuttable cluster.
type route struct {
	a, b int
	link *linktest.Link
}

// Start starts a cluster that ends with the test, and returns when it has a
// leader. Change may change what the nodes are started with. A test with one is heavy:
// the race detector looks at StartInside.
func Start(t testing.TB, change ...func(*server.Options)) *Cluster {
	t.Helper()
	heavy.Test(t)
	return (&Cluster{t: t}).start(change)
}

// StartCuttable is Start; the ways between the nodes can be cut. See Isolate.
func StartCuttable(t testing.TB, change ...func(*server.Options)) *Cluster {
	t.Helper()
	heavy.Test(t)
	return (&Cluster{t: t, cuttable: true}).start(change)
}

// StartInside is StartCuttable without any socket: it keeps the time of a Bubble, in
// which it must be started. Nothing is synced.
func StartInside(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, cuttable: true, net: new(linktest.Net), ways: make([][]*linktest.Link, 3), dying: make(map[int]chan struct{})}
	for i := range 3 {
		c.opts = append(c.opts, server.Options{
			ServerName: fmt.Sprintf("n%d", i),
			DontListen: true,
			NoSigs:     true,
			NoLog:      true,
			JetStream:  true,
			StoreDir:   t.TempDir(),
			MaxPayload: 8 << 20,
			// As many as there are, so that nobody begins without the others.
			Routes:  server.RoutesFromStr("nats://127.0.0.1:1,nats://127.0.0.1:2,nats://127.0.0.1:3"),
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: clusterPort, NoAdvertise: true, PoolSize: -1},
		})
		c.doors = append(c.doors, new(door))
		for j := range i {
			c.routes = append(c.routes, route{i, j, c.net.New(t, "", c.doors[j].route)})
		}
	}
	for i := range c.opts {
		c.nodes = append(c.nodes, c.runInside(i))
	}
	t.Cleanup(c.stop)
	c.waitLeader()
	return c
}

func (c *Cluster) start(change []func(*server.Options)) *Cluster {
	t := c.t
	t.Helper()
	var routes []string
	for i := range 3 {
		c.opts = append(c.opts, server.Options{
			ServerName: fmt.Sprintf("n%d", i),
			Host:       "127.0.0.1",
			Port:       port(t),
			NoSigs:     true,
			NoLog:      true,
			JetStream:  true,
			StoreDir:   t.TempDir(),
			SyncAlways: true,
			MaxPayload: 8 << 20,
			// Clients know the servers they were told of and no others.
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port(t), NoAdvertise: true},
		})
		o := &c.opts[i]
		for _, fn := range change {
			fn(o)
		}
		if c.cuttable {
			// Nobody finds a way of its own.
			o.Cluster.Advertise = "127.0.0.1:9"
			routes = c.routesOf(i)
		}
		o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		c.nodes = append(c.nodes, c.run(*o))
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", o.Cluster.Port))
	}
	for i := range c.opts {
		if c.cuttable {
			break
		}
		c.opts[i].Routes = server.RoutesFromStr(strings.Join(routes, ","))
	}
	t.Cleanup(c.stop)
	c.waitLeader()
	return c
}

// port answers one that a node finds again when it comes back.
func port(t testing.TB) int {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", linktest.Addr(t))
	if err != nil {
		t.Fatal(err)
	}
	return addr.Port
}

// routesOf opens the ways from a node to those that were started before it.
func (c *Cluster) routesOf(i int) (urls []string) {
	for j := range i {
		l := linktest.New(c.t, fmt.Sprintf("127.0.0.1:%d", c.opts[j].Cluster.Port))
		c.routes = append(c.routes, route{i, j, l})
		urls = append(urls, l.URL())
	}
	return urls
}

// Routes answers the ways between a node of a cuttable cluster and the others.
func (c *Cluster) Routes(i int) (out []*linktest.Link) {
	for _, r := range c.routes {
		if r.a == i || r.b == i {
			out = append(out, r.link)
		}
	}
	return out
}

// Isolate silences the ways between a node of a cuttable cluster and the others:
// what is sent on them waits until Rejoin.
func (c *Cluster) Isolate(i int) {
	for _, l := range c.Routes(i) {
		l.Silence()
	}
}

// Rejoin ends Isolate.
func (c *Cluster) Rejoin(i int) {
	for _, l := range c.Routes(i) {
		l.Mend()
	}
}

func (c *Cluster) run(o server.Options) *server.Server {
	c.t.Helper()
	s, err := server.NewServer(&o)
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		c.t.Fatal("a node of the cluster did not start")
	}
	return s
}

// URL names all nodes. Who connects to those of StartInside needs the Options.
func (c *Cluster) URL() string {
	if c.net != nil {
		return c.linkURL()
	}
	urls := make([]string, len(c.opts))
	for i, o := range c.opts {
		urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", o.Port)
	}
	return strings.Join(urls, ",")
}

// linkURL names new links to all nodes.
func (c *Cluster) linkURL() string {
	var urls []string
	for i := range c.opts {
		urls = append(urls, c.Link(i).URL())
	}
	return strings.Join(urls, ",")
}

// Options are what clients need to reach the nodes.
func (c *Cluster) Options() []nats.Option {
	if c.net == nil {
		return nil
	}
	return []nats.Option{nats.SetCustomDialer(c.net)}
}

// Kill stops node i.
func (c *Cluster) Kill(i int) {
	if c.net != nil {
		c.dieInside(i)
		return
	}
	c.nodes[i].Shutdown()
	c.nodes[i].WaitForShutdown()
}

// Revive starts node i again where it was.
func (c *Cluster) Revive(i int) {
	c.t.Helper()
	if c.net != nil {
		c.reviveInside(i)
		return
	}
	c.nodes[i] = c.run(c.opts[i])
}

// Running reports whether node i was not killed.
func (c *Cluster) Running(i int) bool { return c.dying[i] == nil && c.nodes[i].Running() }

// Leader answers which node leads the stream, -1 for none.
func (c *Cluster) Leader(stream string) int {
	for i, n := range c.nodes {
		if c.Running(i) && n.JetStreamIsStreamLeader("$G", stream) {
			return i
		}
	}
	return -1
}

func (c *Cluster) waitLeader() {
	c.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		for _, n := range c.nodes {
			if n.JetStreamIsLeader() && len(n.JetStreamClusterPeers()) == len(c.nodes) {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Fatal("the cluster found no leader")
}

func (c *Cluster) stop() {
	for i := range c.nodes {
		c.Kill(i)
	}
	for _, dead := range c.dying {
		<-dead
	}
}

// Link opens a way to node i for its clients, which can be cut.
func (c *Cluster) Link(i int) *linktest.Link {
	c.t.Helper()
	if c.net != nil {
		l := c.net.New(c.t, "PONG", c.doors[i].client) // the answer to the PING with which a client begins
		c.ways[i] = append(c.ways[i], l)
		return l
	}
	return linktest.New(c.t, fmt.Sprintf("127.0.0.1:%d", c.opts[i].Port))
}
