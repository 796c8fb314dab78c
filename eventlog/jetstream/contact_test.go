package jetstream_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/internal/linktest"
)

// cuttable is an engine with a way to each node of a cluster that can be silenced.
func cuttable(t *testing.T) (*natstest.Cluster, []*linktest.Link, *jetstream.Engine) {
	c := natstest.StartCuttable(t)
	o := embedded(t)
	o.Replicas = 3
	var links []*linktest.Link
	for i := range 3 {
		links = append(links, c.Link(i))
		if i > 0 {
			o.URL += ","
		}
		o.URL += links[i].URL()
	}
	return c, links, logtest.Open(t, o)
}

// keepsAgain waits until entries are kept again and the engine says so.
func keepsAgain(t *testing.T, e *jetstream.Engine, from int) {
	t.Helper()
	begun := time.Now()
	for n := from; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err := e.Events().Append(ctx, logtest.Entry("a", n))
		cancel()
		healthy := e.Healthy()
		if err == nil && healthy == nil {
			break
		}
		if time.Since(begun) > 40*time.Second {
			t.Fatalf("append: %v; health: %v", err, healthy)
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("well again after %s", time.Since(begun).Round(100*time.Millisecond))
}

// A node that answers, and that is cut off from the others, is left: it keeps
// nothing, while the others would.
func TestNodeWithoutQuorumIsLeft(t *testing.T) {
	t.Parallel()
	c, _, e := cuttable(t)
	keepsAgain(t, e, 0)
	at := jetstream.Node(e)
	c.Isolate(at)
	defer c.Rejoin(at)
	// It takes a moment until anything fails.
	for n := 1000; ; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err := e.Events().Append(ctx, logtest.Entry("a", n))
		cancel()
		if err != nil {
			break
		}
	}
	keepsAgain(t, e, 10_000)
	if now := jetstream.Node(e); now == at {
		t.Errorf("entries go to node %d still", now)
	}
}

// A node that hangs with its connections standing is left, and so is everything
// else on it: readiness comes back by itself.
func TestNodeThatHangsIsLeft(t *testing.T) {
	t.Parallel()
	c, links, e := cuttable(t)
	keepsAgain(t, e, 0)
	at := jetstream.Node(e)
	links[at].Silence()
	c.Isolate(at)
	defer c.Rejoin(at)
	defer links[at].Mend()
	keepsAgain(t, e, 1000)
	keepsAgain(t, e, 2000)
	if jetstream.NodesOf(e)[at] {
		begun := time.Now()
		for jetstream.NodesOf(e)[at] {
			if time.Since(begun) > 30*time.Second {
				t.Fatalf("a connection is left at node %d", at)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// The leader of a stream that is cut off goes on answering: its word is a quorum's
// only when it has heard of one since.
func TestQuorum(t *testing.T) {
	sent := time.Now()
	for _, c := range []struct {
		why, answer string
		age         time.Duration // -1: none
	}{
		{"no cluster", `{"config":{}}`, 0},
		{"no replicas", `{"cluster":{"leader":"a"}}`, 0},
		{"both answer", `{"cluster":{"replicas":[{"active":9000000000},{"active":1000000000}]}}`, time.Second},
		{"one is gone", `{"cluster":{"replicas":[{"active":1000000000,"offline":true},{"active":2000000000}]}}`, 2 * time.Second},
		{"both are gone", `{"cluster":{"replicas":[{"active":1,"offline":true},{"active":1,"offline":true}]}}`, -1},
		{"five", `{"cluster":{"replicas":[{"active":4},{"active":3},{"active":2},{"active":1}]}}`, 2},
		{"of four, three", `{"cluster":{"replicas":[{"active":3},{"active":2},{"active":1}]}}`, 2},
		{"nothing was heard yet", `{"cluster":{"replicas":[{"active":0},{"active":0}]}}`, -1},
		{"an error", `{"error":{"code":503,"description":"JetStream system temporarily unavailable"}}`, -1},
		{"not JSON", `x`, -1},
	} {
		at, err := jetstream.QuorumAt(sent, []byte(c.answer))
		if c.age < 0 {
			if err == nil {
				t.Errorf("%s: a quorum, %s before", c.why, sent.Sub(at))
			}
			continue
		}
		if err != nil || sent.Sub(at) != c.age {
			t.Errorf("%s: %s before, %v", c.why, sent.Sub(at), err)
		}
	}
}

// The time of day of a cluster is its leader's, whatever our clock says, and goes on
// while nothing is heard.
func TestLeaderClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c jetstream.LeaderClock
		sent := time.Now()
		for _, nothing := range []string{`{}`, `x`, `{"ts":"soon"}`} {
			c.Hear(sent, []byte(nothing))
			if at := c.Now(); !at.IsZero() {
				t.Errorf("%s: it is %s", nothing, at)
			}
		}
		time.Sleep(2 * time.Second)
		c.Hear(sent, []byte(`{"ts":"2031-01-02T03:04:05Z"}`)) // said a second ago, most likely
		time.Sleep(time.Minute)
		c.Hear(time.Now(), []byte(`{"error":{"code":503}}`))
		if at, want := c.Now(), time.Date(2031, 1, 2, 3, 5, 6, 0, time.UTC); !at.Equal(want) {
			t.Errorf("it is %s, not %s", at, want)
		}
	})
}
