package subscription

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Each hold rings once, at the last time that was set, and not when it was
// forgotten.
func TestClock(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var c clock
		holds := make([]*hold, 40)
		for i := range holds {
			holds[i] = &hold{key: key{seq: uint64(i)}}
		}
		want := make(map[*hold]int) // seconds after start
		for range 300 {
			h := holds[r.IntN(len(holds))]
			if r.IntN(3) == 0 {
				c.forget(h)
				delete(want, h)
				continue
			}
			want[h] = r.IntN(100)
			c.set(start.Add(time.Duration(want[h])*time.Second), h)
		}
		if len(c) != len(want) {
			t.Fatalf("seed %d: %d alarms of %d", seed, len(c), len(want))
		}
		for second := range 100 {
			var rang []*hold
			for h := c.due(start.Add(time.Duration(second) * time.Second)); h != nil; h = c.due(start.Add(time.Duration(second) * time.Second)) {
				rang = append(rang, h)
			}
			for h, at := range want {
				if (at == second) != slices.Contains(rang, h) {
					t.Fatalf("seed %d: alarm of second %d at %d: %v", seed, at, second, slices.Contains(rang, h))
				}
			}
		}
		if len(c) != 0 {
			t.Errorf("seed %d: %d never rang", seed, len(c))
		}
	}
}

// A hold of an earlier generation changes nothing in the clock of this one.
func TestClockOfAnotherGeneration(t *testing.T) {
	var before, now clock
	old, held := &hold{}, &hold{}
	before.set(time.Unix(1, 0), old)
	now.set(time.Unix(2, 0), held)
	now.forget(old)
	if now.due(time.Unix(1, 0)) != nil || now.due(time.Unix(2, 0)) != held {
		t.Error("what is held does not ring at its time")
	}
}
