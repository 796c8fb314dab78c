package subscription_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/subscription"
)

// What was published long before it is handed out is held as long as anything when the
// queue is given another leader, who knows of it only when it was published: nobody else
// has it while it is in force, nor when it is acknowledged.
func TestWhatWaitedLongIsHeldWhenItsQueueChangesItsLeader(t *testing.T) {
	for name, ordering := range map[string]subscription.Ordering{"unordered": subscription.Unordered, "by entity": subscription.OrderByEntity} {
		t.Run(name, func(t *testing.T) {
			inItsOwnProcess(t, 1, func(t *testing.T) {
				natstest.Bubble(t, func(t *testing.T) { handOutAndChangeLeaders(t, ordering) })
			})
		})
	}
}

func handOutAndChangeLeaders(t *testing.T, ordering subscription.Ordering) {
	c := natstest.StartInside(t)
	open := func(name string) *gateway {
		o := options(t, t.TempDir())
		o.URL, o.NATS, o.Replicas = c.URL(), c.Options(), 3
		return openGateway(t, openEngine(t, o), name)
	}
	a, b := open("a"), open("b")
	r := &rig{t: t, log: a.engine.Events(), a: a, b: b, cluster: c}
	sub := r.create("crm", subscription.Settings{Ordering: ordering, AckDeadline: 30 * time.Second})
	r.publish("", "signature_requests/1")
	time.Sleep(45 * time.Second) // longer than it is held
	got := pull(t, a, sub.ID, 1)
	changeLeaders(t, a.engine)
	nothingThere(t, b, sub.ID, 5*time.Second)
	ack(t, a, got...)
	nothingThere(t, b, sub.ID, 5*time.Second)
	nothingThere(t, a, sub.ID, 5*time.Second)
}

// changeLeaders has all queues of events choose another leader.
func changeLeaders(t testing.TB, e *jetstream.Engine) {
	t.Helper()
	st, err := e.JS().Stream(t.Context(), jetstream.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	leader := func(name string) string {
		c, err := st.Consumer(t.Context(), name)
		if err != nil || c.CachedInfo().Cluster == nil {
			return ""
		}
		return c.CachedInfo().Cluster.Leader
	}
	for name := range st.ConsumerNames(t.Context()).Name() {
		if !strings.HasPrefix(name, "sub-") {
			continue
		}
		was := leader(name)
		m, err := e.JS().Conn().RequestWithContext(t.Context(), e.API("CONSUMER.LEADER.STEPDOWN."+jetstream.StreamEvents+"."+name), nil)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Success bool }
		if json.Unmarshal(m.Data, &answer) != nil || !answer.Success {
			t.Fatalf("the leader of %s stays: %s", name, m.Data)
		}
		waitFor(t, "another leader", func() bool { now := leader(name); return now != "" && now != was })
	}
}
