package queue_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// unpinned is a log with an ordinary queue, and nothing in it.
func unpinned(t *testing.T) *pinned {
	p := newPinned(t)
	p.queue = queue.Config{Name: "plain", From: 1, Hold: time.Minute, MaxHeld: 1000}
	if err := p.e.MakeQueue(t.Context(), p.queue); err != nil {
		t.Fatal(err)
	}
	return p
}

// A pull that was answered in full is over, which nobody says. Taken for open, it
// would keep the puller from asking until it is taken for lost: a silence of
// seconds, again and again.
func TestPullsAnsweredInFullAreOver(t *testing.T) {
	t.Parallel()
	p := unpinned(t)
	out := p.puller(p.e.Pin(p.queue))
	const n = 9
	for range 20 {
		for range n {
			p.append()
		}
		for got := 0; got < n; {
			out.FillNow(n - got)
			out.FillNow(n - got + 5) // open beside the first, and ended for want of more
			select {
			case <-out.hands:
				got++
			case <-out.ended:
			case <-time.After(30 * time.Second):
				t.Fatal("waited too long for a message")
			}
		}
		// All are over within a tenth of a second; what is lost, within five.
		for begun := time.Now(); out.Asked() != 0; time.Sleep(time.Millisecond) {
			if time.Since(begun) > 4*time.Second {
				t.Fatalf("%d may still come, of pulls that are over", out.Asked())
			}
		}
	}
}

// What a pull brings that was given up long ago has been held since that pull, and
// not since the one that is open now: it may be somebody else's already.
func TestLateMessageIsDatedByItsOwnPull(t *testing.T) {
	t.Parallel()
	p := unpinned(t)
	out := p.puller(p.e.Pin(p.queue))
	out.FillOne()
	first := queue.OpenSlots(out.Puller)
	nc, err := p.e.Deliveries()
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for out.Asked() != 0 { // a pull of a connection that was is lost
		if time.Now().After(deadline) {
			t.Fatal("a pull of the connection before is waited for")
		}
		time.Sleep(time.Millisecond)
	}
	between := time.Now()
	for len(queue.OpenSlots(out.Puller)) == 0 {
		out.FillOne()
		time.Sleep(time.Millisecond)
	}
	queue.Receive(first[0], &nats.Msg{Sub: &nats.Subscription{}, Subject: "hookstream.events.a.b.c", Reply: "$JS.ACK.HOOKSTREAM_EVENTS.plain.1.7.1.1700000000000000000.0"})
	if h := <-out.hands; h.Seq != 7 || !h.Asked.Before(between) {
		t.Errorf("message %d is held since %s after its pull was given up", h.Seq, h.Asked.Sub(between))
	}
	if out.Asked() != 1 {
		t.Errorf("%d may still come of the open pull", out.Asked())
	}
}
