package hub

import (
	"context"
	"sync"

	"github.com/hookstream/hookstream/eventlog"
)

// sharedBounds asks the log for its bounds, once for all who ask meanwhile: a
// question is one of JetStream's, and thousands of streams that open at once would
// have it answer them before the events of senders.
type sharedBounds struct {
	ask func() (eventlog.Bounds, error)

	// mu guards what follows. Nobody holds it while the log is asked.
	mu     sync.Mutex
	asking bool
	next   *boundsAnswer // of the question that begins when this one is answered
}

type boundsAnswer struct {
	known chan struct{} // closed when what follows is set
	eventlog.Bounds
	err error
}

// get answers bounds as they were at some time after the call: a question that is
// under way already may miss what its caller has seen stored.
func (s *sharedBounds) get(ctx context.Context) (eventlog.Bounds, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = &boundsAnswer{known: make(chan struct{})}
	}
	answer := s.next
	if !s.asking {
		s.asking = true
		go s.run()
	}
	s.mu.Unlock()
	select {
	case <-answer.known:
		return answer.Bounds, answer.err
	case <-ctx.Done():
		return eventlog.Bounds{}, context.Cause(ctx)
	}
}

// run asks until nobody waits.
func (s *sharedBounds) run() {
	for {
		s.mu.Lock()
		answer := s.next
		s.next, s.asking = nil, answer != nil
		s.mu.Unlock()
		if answer == nil {
			return
		}
		answer.Bounds, answer.err = s.ask()
		close(answer.known)
	}
}
