package jetstream_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/internal/linktest"
)

// A gateway that closes while the cluster has no quorum, or is out of reach, leaves
// nobody behind who follows the log, whatever is waited for at the moment: a message,
// an answer, or the next attempt.
func TestNobodyFollowsALogThatIsClosed(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		c := natstest.StartInside(t)
		for _, silent := range []bool{false, true} {
			for _, cutOff := range []time.Duration{0, 5 * time.Second, 12 * time.Second, 17 * time.Second, 31 * time.Second} {
				closeWhileCutOff(t, c, silent, cutOff)
			}
		}
	})
}

func closeWhileCutOff(t *testing.T, c *natstest.Cluster, silent bool, cutOff time.Duration) {
	t.Helper()
	e, links := openOnLinks(t, c)
	b, err := e.Bucket(t.Context(), "TEST")
	if err != nil {
		t.Fatal(err)
	}
	_, end := watching(t, b)
	c.Isolate(0)
	c.Isolate(1)
	for _, l := range links {
		if silent {
			l.Silence()
		}
	}
	time.Sleep(cutOff)
	end()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	synctest.Wait()
	if all := stacks(); strings.Contains(all, "nats.go/jetstream.(*") || strings.Contains(all, "nats%2ego.(*js)") {
		t.Errorf("cut off for %s, silent %v, and closed, somebody goes on:\n%s", cutOff, silent, all)
	}
	c.Rejoin(0)
	c.Rejoin(1)
	time.Sleep(time.Minute)
}

// openOnLinks opens an engine on a cluster, with links to its nodes.
func openOnLinks(t *testing.T, c *natstest.Cluster) (*jetstream.Engine, []*linktest.Link) {
	t.Helper()
	var links []*linktest.Link
	var urls []string
	for node := range 3 {
		l := c.Link(node)
		links, urls = append(links, l), append(urls, l.URL())
	}
	o := embedded(t)
	o.URL, o.NATS, o.Replicas = strings.Join(urls, ","), c.Options(), 3
	e, err := jetstream.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e, links
}

func stacks() string {
	buf := make([]byte, 4<<20)
	return string(buf[:runtime.Stack(buf, true)])
}
