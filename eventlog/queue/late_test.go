package queue_test

import (
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/eventlog/queue"
)

// A word that it is too late to say keeps none of the others from being said.
func TestALateWordKeepsNoOtherFromBeingSaid(t *testing.T) {
	t.Parallel()
	p := newPinned(t)
	if err := p.e.MakeQueue(t.Context(), p.queue); err != nil {
		t.Fatal(err)
	}
	hands := make(chan queue.Hand, 2)
	out, err := p.e.Pull(p.queue, p.e.Pin(p.queue), func(h queue.Hand) { hands <- h }, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Stop()
	for n := range 2 {
		if _, err := p.e.Events().Append(t.Context(), logtest.Entry("a", n)); err != nil {
			t.Fatal(err)
		}
	}
	out.FillNow(2)
	var words []queue.Word
	for range 2 {
		select {
		case h := <-hands:
			words = append(words, queue.Word{Seq: h.Seq, Turn: h.Turn, Attempt: h.Attempt})
		case <-t.Context().Done():
			t.Fatal("it was not handed out")
		}
	}
	words[0].Until = time.Now()
	ok, err := p.e.Confirm(t.Context(), p.queue, words)
	if ok[0] || !ok[1] || err == nil {
		t.Errorf("confirmed %v, %v: the first is too late, and the second is not", ok, err)
	}
}
