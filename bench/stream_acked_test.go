package bench

import "testing"

func TestConfirmationsCountEachEventOfTheLogOnce(t *testing.T) {
	for _, tc := range []struct {
		name      string
		confirmed [][]uint64
		ok, done  bool
	}{
		{"all, in any order", [][]uint64{{3, 1}, {2}}, true, true},
		{"not all", [][]uint64{{1}, {2}}, true, false},
		{"one twice", [][]uint64{{1, 2}, {2, 3}}, false, false},
		{"none of the log", [][]uint64{{1, 2, 4}}, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			done := false
			c := &confirmations{done: make([]bool, 3), stop: func() { done = true }}
			var err error
			for _, seqs := range tc.confirmed {
				err = c.add(seqs)
			}
			if (err == nil) != tc.ok || done != tc.done {
				t.Errorf("%v, all done: %t", err, done)
			}
		})
	}
}
