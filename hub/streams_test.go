package hub

import (
	"testing"
	"testing/synctest"
	"time"
)

// Memory is given back when many streams have ended, once for all of them, and not
// for those that come and go.
func TestMemoryIsGivenBackAfterManyStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s streams
		s.init(10 * manyStreams)
		given := 0
		s.free = func() { given++ }
		enter := func(n int) (all []*stream) {
			for range n {
				st := new(stream)
				if err := s.enter(st); err != nil {
					t.Fatal(err)
				}
				all = append(all, st)
			}
			return all
		}
		leave := func(all []*stream) {
			for _, st := range all {
				s.leave(st)
			}
		}
		settle := func() {
			time.Sleep(2 * givePause)
			synctest.Wait()
		}
		stay := enter(manyStreams)
		for range 3 * manyStreams {
			leave(enter(1))
		}
		if settle(); given != 0 {
			t.Fatalf("given back %d times for streams that come and go", given)
		}
		leave(enter(3 * manyStreams))
		if settle(); given != 1 {
			t.Fatalf("given back %d times, want once", given)
		}
		leave(stay)
		if settle(); given != 2 {
			t.Fatalf("given back %d times, want twice", given)
		}
	})
}
