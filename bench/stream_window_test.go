package bench

import (
	"testing"
	"time"

	"github.com/hookstream/hookstream/bench/load"
)

func TestStreamSample(t *testing.T) {
	s := streamSample(load.Tally{Deliveries: 400, DeliveryBytes: 360_000, Messages: 8}, 2*time.Second, 100*time.Millisecond)
	if s.Rate() != 200 || perDelivery(s.CPU, s.Events) != 250 || s.Figures[0].Value != 900 || s.Figures[1].Value != 50 {
		t.Errorf("%+v", s)
	}
	if s := streamSample(load.Tally{}, 0, 0); s.Rate() != 0 || s.Figures[0].Value != 0 {
		t.Errorf("nothing: %+v", s)
	}
}

func TestGapsAndRepetitionsAreErrors(t *testing.T) {
	for _, tc := range []struct {
		t  load.Tally
		ok bool
	}{{load.Tally{Deliveries: 5}, true}, {load.Tally{Missed: 1}, false}, {load.Tally{Repeated: 1}, false}} {
		if got := exact(tc.t) == nil; got != tc.ok {
			t.Errorf("%+v: %v", tc.t, got)
		}
	}
}
