package load

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A percentile is never below the exact one, and at most a 64th above it.
func TestHistogramAgainstSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h, half Histogram
	all := make([]time.Duration, 20_000)
	for i := range all {
		all[i] = time.Duration(random.ExpFloat64() * float64(time.Millisecond) * float64(1+i%1000))
		if i%2 == 0 {
			h.Record(all[i])
		} else {
			half.Record(all[i])
		}
	}
	h.Add(&half)
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		exact := all[int(q*float64(len(all))+0.5)-1]
		if got := h.Quantile(q); got < exact || got > exact+exact/64+1 {
			t.Errorf("quantile %v is %v, exactly %v", q, got, exact)
		}
	}
	if h.Count() != int64(len(all)) || h.Max() != all[len(all)-1] {
		t.Errorf("%d, longest %v", h.Count(), h.Max())
	}
}

func TestHistogramAtItsEnds(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	h.Record(-time.Second)
	if h.Quantile(1) != 0 {
		t.Errorf("below zero: %v", h.Quantile(1))
	}
	const longest = time.Duration(1<<63 - 1)
	h.Record(longest)
	if h.Quantile(1) != longest {
		t.Errorf("longest: %v", h.Quantile(1))
	}
}
