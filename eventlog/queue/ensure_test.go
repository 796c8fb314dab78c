package queue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/natstest"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// A queue that is as it should be is not written down again: thousands of streams
// that come at once, as after a restart, would wait for that one by one.
func TestUpdateQueueAsksOnce(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { t.Parallel(); testUpdateQueueAsksOnce(t, onDisk(t)) })
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		o := onDisk(t)
		o.URL, o.Replicas = natstest.Start(t).URL(), 3
		testUpdateQueueAsksOnce(t, o)
	})
}

func testUpdateQueueAsksOnce(t *testing.T, o jetstream.Options) {
	e := queue.On(logtest.Open(t, o))
	if _, err := e.OpenParked(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]queue.Config{
		"all":      {From: 1},
		"one":      {From: 1, Subjects: []string{"hookstream.events.a.>"}},
		"some":     {From: 7, Subjects: []string{"hookstream.events.a.>", "hookstream.events.b.x.y"}},
		"pinned":   {From: 1, Pinned: true},
		"replayed": {Replays: "uid"},
	} {
		c.Name, c.Hold, c.MaxHeld = name, time.Minute, 100
		ensured(t, e, "made", c, true)
		if n := ensured(t, e, "the same", c, false); n != 1 {
			t.Errorf("%s: %d questions about a queue that is as it should be", name, n)
		}
		later := c
		later.From = 9 // it stays as it was made
		ensured(t, e, "the same, from elsewhere", later, false)
		c.Hold, c.MaxHeld = 2*time.Minute, 200
		if st, err := e.QueueState(t.Context(), c); err != nil || st.AsAsked {
			t.Errorf("%s: it is to be changed: %+v, %v", name, st, err)
		}
		ensured(t, e, "changed", c, false)
		if err := e.DeleteQueue(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		ensured(t, e, "deleted by somebody", c, true)
	}
}

// ensured ensures a queue, looks whether it is as asked then, and answers how many
// questions that took.
func ensured(t *testing.T, e *queue.Engine, what string, c queue.Config, want bool) (asked uint64) {
	t.Helper()
	before := e.JS().Conn().Stats().OutMsgs
	made := false
	err := e.UpdateQueue(t.Context(), c)
	if errors.Is(err, queue.ErrNoQueue) {
		made, err = true, e.MakeQueue(t.Context(), c)
	}
	asked = e.JS().Conn().Stats().OutMsgs - before
	if err != nil || made != want {
		t.Fatalf("%s, %s: made %v, %v", c.Name, what, made, err)
	}
	if st, err := e.QueueState(t.Context(), c); err != nil || !st.AsAsked {
		t.Fatalf("%s, %s: %+v, %v", c.Name, what, st, err)
	}
	return asked
}

// A puller is told that its queue is gone, be it that it waits then or asks later.
func TestAbsent(t *testing.T) {
	t.Parallel()
	p := unpinned(t)
	out := p.puller(p.e.Pin(p.queue))
	out.wait()
	if out.Absent() {
		t.Fatal("it is there")
	}
	// One that is on its way when the queue is deleted may be answered by nobody.
	for n := 0; n != 1; time.Sleep(10 * time.Millisecond) {
		c, err := p.e.JS().Consumer(t.Context(), jetstream.StreamEvents, p.queue.Name)
		if err != nil {
			t.Fatal(err)
		}
		n = c.CachedInfo().NumWaiting
	}
	if err := p.e.DeleteQueue(t.Context(), p.queue); err != nil {
		t.Fatal(err)
	}
	out.end()
	if !out.Absent() {
		t.Error("nobody said so to a pull that waited")
	}
	for range 2 {
		out.rest()
		out.Fill(1)
		out.end()
		if !out.Absent() {
			t.Error("nobody said so to a pull that came later")
		}
	}
	if err := p.e.MakeQueue(t.Context(), p.queue); err != nil {
		t.Fatal(err)
	}
	p.append()
	out.rest()
	out.Fill(1)
	if out.pin(); out.Absent() {
		t.Error("it is there again")
	}
}

// rest waits until it may ask again.
func (p *puller) rest() {
	p.t.Helper()
	if p.Due().IsZero() {
		p.t.Fatal("nobody knows when to ask again")
	}
	time.Sleep(time.Until(p.Due()))
}
