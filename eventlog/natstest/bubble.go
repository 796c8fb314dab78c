package natstest

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"
)

// bubble is held by the one that is there.
var bubble sync.Mutex

// ticking has the clock of nats-server's stores tick in real time: as a child of a
// bubble it would never be at rest.
var ticking = sync.OnceFunc(ats.Register)

// Bubble runs a test in a bubble of testing/synctest in which servers of NATS live:
// embedded ones, and those that StartInside starts. Their hours take no time.
//
// The stores' own clock stands still, about at the time when the bubble begins, so
// that nothing grows too old in it.
//
// The client of NATS keeps timers for whoever needs one next, and one of a bubble
// ends the process when it is met outside. So there is one bubble at a time, and the
// test must not run in parallel with tests of NATS that are in none.
func Bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	ticking()
	bubble.Lock()
	defer bubble.Unlock()
	forgetTimers()
	defer forgetTimers()
	began := time.Now().Round(0)
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Minute) }) // for who looks now and then whether it has ended
		time.Sleep(time.Until(began))
		test(t)
	})
}

// forgetTimers empties every sync.Pool: what was not used since one collection is
// dropped in the next.
func forgetTimers() {
	runtime.GC()
	runtime.GC()
}
