package subscription

import (
	"strings"
	"sync"
	"time"
)

// client names those who come again over another stream: what they call
// themselves, and where they come from. Of those who say neither, all of a
// subscription are one.
type client struct{ uid, id, host string }

func clientOf(uid string, o ConsumerOptions) client {
	host := o.Address
	// The port is another each time, whatever is said before the host.
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	return client{uid, o.ClientID, host}
}

// flaps slow down streams of a client that end again and again without having
// settled anything: each of them costs what it was handed a hand-out, and may be
// what ends it.
type flaps struct {
	// mu guards of; nothing is taken under it.
	mu sync.Mutex
	// of holds clients whose last stream settled nothing; see maxFlaps.
	of map[client]flapping
}

type flapping struct {
	ends int
	last time.Time // that one ended
	deaf bool      // it had let its deliveries expire
}

const (
	// maxFlaps bounds the clients that are remembered.
	maxFlaps = 10_000
	flapMin  = 250 * time.Millisecond
	flapMax  = 10 * time.Second
	// flapAge is when an end is forgotten.
	flapAge = time.Minute
)

// wait answers how long after the last end the next stream waits: two may end
// for nothing.
func (f flapping) wait() time.Duration {
	if f.ends <= 2 {
		return 0
	}
	return min(flapMin<<min(f.ends-3, 10), flapMax)
}

// notBefore answers when a stream that was just opened is handed something; zero
// when at once.
func (s *flaps) notBefore(c client, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.of[c]
	if at := f.last.Add(f.wait()); ok && at.After(now) {
		return at
	}
	return time.Time{}
}

// deaf reports whether the last stream of a client was, and it has settled nothing
// since.
func (s *flaps) deaf(c client) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[c].deaf
}

// ended counts a stream that was handed something and settled nothing.
func (s *flaps) ended(c client, now time.Time) {
	s.change(c, now, func(f *flapping) {
		if now.Sub(f.last) > flapAge {
			f.ends = 0
		}
		f.ends, f.last = f.ends+1, now
	})
}

// deafened notes a stream that ended while it was deaf. That is not forgotten with
// time: who comes again has it right by settling one delivery.
func (s *flaps) deafened(c client, now time.Time) {
	s.change(c, now, func(f *flapping) { f.deaf, f.last = true, now })
}

func (s *flaps) change(c client, now time.Time, do func(*flapping)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[client]flapping)
	}
	f, ok := s.of[c]
	if !ok && len(s.of) >= maxFlaps {
		s.makeRoom(now)
	}
	do(&f)
	s.of[c] = f
}

// makeRoom forgets who is old, or anybody.
func (s *flaps) makeRoom(now time.Time) {
	for c, f := range s.of {
		if now.Sub(f.last) > flapAge {
			delete(s.of, c)
		}
	}
	for c := range s.of {
		if len(s.of) < maxFlaps {
			return
		}
		delete(s.of, c)
	}
}

// settled forgets a client that settled something.
func (s *flaps) settled(c client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, c)
}
