package server

import (
	"runtime"
	"time"
)

// turns are what streams over REST take to make and to write JSON, half as many as
// there are processors. When thousands open at once, those that have none wait in a
// line of their own: in that of the scheduler they would stand before the requests of
// senders at every step, and a scheduler that has no idle processor does not look
// for 10 ms at a time whether the network brought one.
type turns chan struct{}

func newTurns() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

func (t turns) acquire() { t <- struct{}{} }

func (t turns) give() { <-t }

// quickWrite is how long a client may take what is written until its stream is
// slow: longer than it takes to copy a page.
const quickWrite = time.Millisecond

// write calls do, which writes to a client, for a stream that has a turn. To fill
// what the way there buffers is most of the work for a client that never reads, so
// that the turn is kept; but nobody waits for such a client longer than once.
func (t turns) write(slow *bool, do func() error) error {
	if *slow {
		t.give()
		start := time.Now()
		err := do()
		*slow = time.Since(start) >= quickWrite
		t.acquire()
		return err
	}
	others := time.AfterFunc(quickWrite, t.give)
	err := do()
	if !others.Stop() {
		*slow = true
		t.acquire()
	}
	return err
}
