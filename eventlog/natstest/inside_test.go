package natstest_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookstream/hookstream/eventlog/natstest"
)

// A cluster in a bubble is one: it goes on without a node that dies or is cut off,
// and not without two. None of its minutes takes any time.
func TestInside(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		c := natstest.StartInside(t)
		js := connect(t, c)
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3}); err != nil {
			t.Fatal(err)
		}
		waitPublish(t, js)
		leader := c.Leader("S")
		c.Kill(leader)
		waitPublish(t, js)
		c.Revive(leader)
		time.Sleep(time.Minute)
		leader = c.Leader("S")
		c.Isolate(leader)
		time.Sleep(time.Minute)
		c.Isolate((leader + 1) % 3)
		if _, err := js.Publish(t.Context(), "s", nil); err == nil {
			t.Error("a cluster without a quorum took a message")
		}
		c.Rejoin(leader)
		c.Rejoin((leader + 1) % 3)
		waitPublish(t, js)
	})
}

func connect(t *testing.T, c *natstest.Cluster) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(c.URL(), append(c.Options(), nats.MaxReconnects(-1), nats.PingInterval(time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func waitPublish(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for range 120 {
		if _, err := js.Publish(t.Context(), "s", nil); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatal("nothing can be published")
}
