package main

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 30 * day, "1.5d": 36 * time.Hour, "12h": 12 * time.Hour, "90s": 90 * time.Second, "0s": 0, "0d": 0,
	} {
		var s span
		if err := s.UnmarshalText([]byte(text)); err != nil || time.Duration(s) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(s), err)
		}
	}
	for _, text := range []string{"", "d", "30", "-1h", "-1d", "1e300d", "NaNd", "Infd", "yesterday"} {
		if err := new(span).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for a duration", text)
		}
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1048576": 1 << 20, "512KiB": 512 << 10, "10GB": 10e9, "1 TiB": 1 << 40, "7B": 7, "3kB": 3000,
	} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err != nil || int64(s) != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "B", "-1", "1.5GiB", "9223372036854775807KiB", "10 parsecs"} {
		if err := new(size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken for a size", text)
		}
	}
}

// What help prints as a default can be given back.
func TestQuantitiesReadWhatTheyWrite(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second, 90 * time.Second, time.Hour, 36 * time.Hour, 30 * day, 1500 * time.Millisecond} {
		var got span
		if err := got.UnmarshalText([]byte(span(d).String())); err != nil || time.Duration(got) != d {
			t.Errorf("%s is written as %s", d, span(d))
		}
	}
	for _, n := range []int64{0, 1, 1000, 1 << 10, 1<<20 + 1, 256 << 20, 1 << 40, 3 << 50} {
		var got size
		if err := got.UnmarshalText([]byte(size(n).String())); err != nil || int64(got) != n {
			t.Errorf("%d is written as %s", n, size(n))
		}
	}
}
