package queue_test

import (
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/natstest"
)

// A queue of which nothing comes is asked again each four seconds and no more often:
// thousands of subscriptions are idle most of the time. That is what TestIdleSubscriptionsAskLittle
// takes for given of the engine in memory.
func TestIdleQueueIsPulledSeldom(t *testing.T) {
	natstest.Bubble(t, func(t *testing.T) {
		p := unpinned(t)
		out := p.puller(p.e.Pin(p.queue))
		const minutes = 5
		pulls := 0
		for end := time.Now().Add(minutes * time.Minute); time.Now().Before(end); pulls++ {
			out.Fill(10)
			<-out.ended
		}
		if pulls < 14*minutes || pulls > 15*minutes+2 {
			t.Errorf("%d pulls in %d minutes", pulls, minutes)
		}
	})
}
