// Package natstest runs a real NATS cluster inside a test.
package natstest

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Cluster is three servers with JetStream on loopback, as an operator would run
// them: every write synced.
type Cluster struct {
	t     testing.TB
	nodes []*server.Server
	opts  []server.Options
}

// Start starts a cluster that ends with the test, and returns when it has a
// leader.
func Start(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	var routes []string
	for i := range 3 {
		c.opts = append(c.opts, server.Options{
			ServerName: fmt.Sprintf("n%d", i),
			Host:       "127.0.0.1",
			Port:       server.RANDOM_PORT,
			NoSigs:     true,
			NoLog:      true,
			JetStream:  true,
			StoreDir:   t.TempDir(),
			SyncAlways: true,
			MaxPayload: 8 << 20,
			Cluster:    server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT},
		})
		o := &c.opts[i]
		o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		c.nodes = append(c.nodes, c.run(*o))
		// Known only now; a restart must come back to the same place.
		o.Port = c.nodes[i].Addr().(*net.TCPAddr).Port
		o.Cluster.Port = c.nodes[i].ClusterAddr().Port
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", o.Cluster.Port))
	}
	for i := range c.opts {
		c.opts[i].Routes = server.RoutesFromStr(strings.Join(routes, ","))
	}
	t.Cleanup(c.stop)
	c.waitLeader()
	return c
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

// URL names all nodes.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.opts))
	for i, o := range c.opts {
		urls[i] = fmt.Sprintf("nats://127.0.0.1:%d", o.Port)
	}
	return strings.Join(urls, ",")
}

// Kill stops node i.
func (c *Cluster) Kill(i int) {
	c.nodes[i].Shutdown()
	c.nodes[i].WaitForShutdown()
}

// Revive starts node i again where it was.
func (c *Cluster) Revive(i int) { c.nodes[i] = c.run(c.opts[i]) }

// Leader answers which node leads the stream, -1 for none.
func (c *Cluster) Leader(stream string) int {
	for i, n := range c.nodes {
		if n.Running() && n.JetStreamIsStreamLeader("$G", stream) {
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
}
