package server

import "runtime"

// turns are what streams over REST take to make JSON, as many as there are
// processors. When thousands open at once, those that have none wait in a line of
// their own: in that of the scheduler they would stand before the requests of
// senders at every step.
type turns chan struct{}

func newTurns() turns { return make(turns, runtime.GOMAXPROCS(0)) }

func (t turns) take() { t <- struct{}{} }

func (t turns) give() { <-t }
