package bench

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// contender answers rates, one a round, and writes down its turns.
func contender(name string, turns *[]string, rates ...int64) Contender {
	round := 0
	return Contender{Name: name, Round: func(context.Context, time.Duration) (Sample, error) {
		*turns = append(*turns, name)
		s := Sample{Events: rates[round], Took: time.Second, CPU: time.Duration(rates[round]) * 2 * time.Microsecond}
		round++
		return s, nil
	}}
}

// The ratio is the median of each round's, not that of the medians: here the
// medians' would be 0.5.
func TestRatioIsTheMedianOfTheRounds(t *testing.T) {
	var turns []string
	b := &Bench{Options: Options{Rounds: 3}}
	r, err := b.Hold(t.Context(), Contest{
		Subject:   contender("gateway", &turns, 10, 50, 80),
		Baselines: []Contender{contender("http", &turns, 100, 50, 100)},
		Targets:   map[string]float64{"http": 0.9},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Ratio{{Against: "http", Value: 0.8, Target: AtLeast(0.9)}}
	if d := cmp.Diff(want, r.Ratios); d != "" {
		t.Error(d)
	}
	if r.Rows[0].Rate != 50 || r.Rows[0].CPU != 2 || r.Rows[0].P99 != unknown {
		t.Errorf("row %+v", r.Rows[0])
	}
	if got := strings.Join(turns, " "); got != "gateway http http gateway gateway http" {
		t.Errorf("turns: %s", got)
	}
	if len(r.Misses()) != 1 {
		t.Errorf("misses: %q", r.Misses())
	}
}

func TestWarmUpIsForgotten(t *testing.T) {
	var turns []string
	r, err := (&Bench{Options: Options{Rounds: 1}}).Hold(t.Context(), Contest{
		Subject:   contender("gateway", &turns, 1, 30),
		Baselines: []Contender{contender("http", &turns, 1, 60)},
		WarmUp:    true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows[0].Rate != 30 || r.Rows[1].Rate != 60 || r.Ratios[0].Value != 0.5 {
		t.Errorf("%+v", r)
	}
	if got := strings.Join(turns, " "); got != "gateway http gateway http" {
		t.Errorf("turns: %s", got)
	}
}

func TestMoreRoundsForASmallDifference(t *testing.T) {
	var turns []string
	r, err := (&Bench{Options: Options{Rounds: 1}}).Hold(t.Context(), Contest{
		Subject:   contender("gateway", &turns, 10, 20, 30),
		Baselines: []Contender{contender("http", &turns, 10, 10, 10)},
		Times:     3,
	})
	if err != nil || len(turns) != 6 || r.Ratios[0].Value != 2 {
		t.Errorf("%+v, %v, turns %q", r, err, turns)
	}
}

func TestAFailedRoundNamesTheContender(t *testing.T) {
	broken := Contender{Name: "http", Round: func(context.Context, time.Duration) (Sample, error) {
		return Sample{}, errors.New("no answer")
	}}
	_, err := (&Bench{}).Hold(t.Context(), Contest{Subject: broken})
	if err == nil || err.Error() != "http: no answer" {
		t.Error(err)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{7, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := medianOf(len(c.values), func(i int) float64 { return c.values[i] }); got != c.want {
			t.Errorf("median of %v is %v", c.values, got)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		target *Target
		value  float64
		met    bool
	}{
		{nil, 0, true},
		{AtLeast(0.38), 0.38, true},
		{AtLeast(0.38), 0.379, false},
		{AtMost(50), 50, true},
		{AtMost(50), 50.1, false},
	} {
		if got := c.target.Met(c.value); got != c.met {
			t.Errorf("%v met by %v: %v", c.target, c.value, got)
		}
	}
}
