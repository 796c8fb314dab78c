package heavy_test

import (
	"testing"

	"github.com/hookstream/hookstream/internal/heavy"
)

// What is heavy is passed over with the race detector, and never else.
func TestHeavyTestsAreRunSomewhere(t *testing.T) {
	for _, full := range []string{"", "1"} {
		t.Setenv("HOOKSTREAM_TEST_FULL", full)
		ran := false
		t.Run("full="+full, func(t *testing.T) {
			heavy.Test(t)
			ran = true
		})
		if want := !heavy.RaceDetector || full != ""; ran != want {
			t.Errorf("race detector %v, full %q: ran %v", heavy.RaceDetector, full, ran)
		}
	}
}

// So is it with what there is less of.
func TestAllIsCountedSomewhere(t *testing.T) {
	for _, full := range []string{"", "1"} {
		t.Setenv("HOOKSTREAM_TEST_FULL", full)
		want := 400
		if heavy.RaceDetector && full == "" {
			want = 8
		}
		if got := heavy.Count(400, 8); got != want {
			t.Errorf("race detector %v, full %q: %d of them", heavy.RaceDetector, full, got)
		}
	}
}
