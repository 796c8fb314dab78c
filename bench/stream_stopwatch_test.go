package bench

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestStopwatchTakesTimeFromTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStopwatch()
		for _, id := range []string{"late", "early", "refused"} {
			w.send([]byte(id))
		}
		w.receive([]byte("early"))
		time.Sleep(time.Millisecond)
		w.answer([]byte("late"), time.Now())
		w.answer([]byte("early"), time.Now())
		time.Sleep(3 * time.Millisecond)
		w.receive([]byte("late"))
		w.receive([]byte("late")) // a second subscriber
		w.receive([]byte("refused"))
		w.receive([]byte("stranger"))

		h := w.histogram()
		if h.Count() != 3 || h.Quantile(0.3) != 0 || h.Max() != 3*time.Millisecond || w.strangers != 1 {
			t.Errorf("%d receipts, p30 %s, longest %s, %d strangers", h.Count(), h.Quantile(0.3), h.Max(), w.strangers)
		}
	})
}
