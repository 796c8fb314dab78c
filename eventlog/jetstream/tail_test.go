package jetstream

import (
	"context"
	"testing"
)

// A tail whose consumer cannot be stopped now, because it is being made anew over a
// connection that is cut off, keeps nobody from closing the engine.
func TestATailThatCannotStopKeepsNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := make(chan struct{})
	stopped := make(chan struct{})
	s := &stream{e: &Engine{ctx: ctx}}
	s.followUntil(newFetched(), func() { close(stopped); <-never })
	<-stopped // it is stopped all the same
	close(never)
}
