package hub

import (
	"context"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// streams are those that are open.
type streams struct {
	max int

	// mu guards what follows. No other is taken under it.
	mu       sync.Mutex
	open     map[*stream]struct{}
	draining chan struct{} // closed when draining begins
	grace    time.Duration
	until    time.Time
	empty    chan struct{} // closed when draining and none is open

	peak   int    // most open at a time, since memory was given back
	giving bool   // it will be given back soon
	free   func() // gives memory back
}

const (
	// manyStreams are worth giving back what they took: what one holds of the way
	// to its reader is up to some tens of KiB.
	manyStreams = 256
	// givePause is waited for what else ends with them, as their connections.
	givePause = 5 * time.Second
)

func (s *streams) init(max int) {
	s.max, s.open = max, make(map[*stream]struct{})
	s.draining, s.empty = make(chan struct{}), make(chan struct{})
	s.free = debug.FreeOSMemory
}

func (s *streams) enter(st *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.isDraining():
		return ErrDraining
	case len(s.open) >= s.max:
		return ErrTooManyStreams
	}
	s.open[st] = struct{}{}
	s.peak = max(s.peak, len(s.open))
	return nil
}

func (s *streams) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, st)
	if len(s.open) == 0 && s.isDraining() {
		close(s.empty)
	}
	if s.peak-len(s.open) >= manyStreams && !s.giving {
		s.giving = true
		time.AfterFunc(givePause, s.giveBack)
	}
}

// giveBack gives the memory of streams that ended to the system. Of itself the
// runtime takes minutes for it when little else happens: it collects every two
// minutes then, and returns pages slowly.
func (s *streams) giveBack() {
	s.mu.Lock()
	s.peak, s.giving = len(s.open), false
	s.mu.Unlock()
	s.free()
}

func (s *streams) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

func (s *streams) drain(grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isDraining() {
		return
	}
	s.grace, s.until = grace, time.Now().Add(grace)
	close(s.draining)
	if len(s.open) == 0 {
		close(s.empty)
	}
}

// drainedAt answers when one stream ends: somewhere in the last four fifths of
// the grace period, so that not everybody connects elsewhere at once.
func (s *streams) drainedAt() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until.Add(-time.Duration(0.8 * rand.Float64() * float64(s.grace)))
}

func (s *streams) lag(next uint64) (open int, lag int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.open {
		if at := st.at.Load(); at > 0 && at < next {
			lag = max(lag, int64(next-at))
		}
	}
	return len(s.open), lag
}

// Drain tells every stream that the gateway is going down and ends them within
// the grace period, each at a moment of its own. New streams are refused from
// now on. It returns when all have ended, or with ctx's error: a stream whose
// reader takes nothing ends only with its connection. Later calls only wait.
func (h *Hub) Drain(ctx context.Context, grace time.Duration) error {
	h.streams.drain(grace)
	select {
	case <-h.streams.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
