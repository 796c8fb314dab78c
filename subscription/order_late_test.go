package subscription_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// latecomer is an engine from which the second event comes, the first time, when it is held
// no more.
type latecomer struct{ subscription.Engine }

func (e latecomer) Pull(c queue.Config, pin subscription.Pin, take func(queue.Hand), ended func()) (subscription.Puller, error) {
	return e.Engine.Pull(c, pin, func(h queue.Hand) {
		if h.Seq == 2 && h.Attempt == 1 {
			h.Asked = h.Asked.Add(-time.Hour)
		}
		take(h)
	}, ended)
}

// What is let go of, since it is held no more, keeps its place: what follows of its entity
// waits until it has come again.
func TestWhatComesTooLateKeepsItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := emptyMemory(1, false)
		m.wrap = func(_ int, e subscription.Engine) subscription.Engine { return latecomer{e} }
		m.begin()
		defer m.close()
		m.created(t, subscription.Settings{Ordering: subscription.OrderByEntity, AckDeadline: 10 * time.Second})
		s := acked(t, &gateway{Manager: m.alive[0].Manager})
		defer s.stop()
		for range 4 {
			m.published(t, "a")
			time.Sleep(2 * time.Second)
		}
		waitFor(t, "all", func() bool { return s.count() == 4 })
		if got := seqsOf(s.deliveries()); !slices.IsSorted(got) {
			t.Errorf("handed out: %v", got)
		}
		time.Sleep(time.Second)
	})
}
