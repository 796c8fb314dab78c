package bench

import (
	"sync"
	"time"

	"github.com/hookstream/hookstream/bench/load"
)

// A stopwatch measures the time from a sender's 200 to a subscriber's receipt of
// the same event. Both ends are this process, so there is one clock. All methods
// may be called from many goroutines at once.
type stopwatch struct {
	mu        sync.Mutex
	places    map[string]int // of an event id in answered
	answered  []time.Time
	received  []receipt
	strangers int
}

type receipt struct {
	place int
	at    time.Time
}

func newStopwatch() *stopwatch { return &stopwatch{places: make(map[string]int)} }

// send is called before an event is posted: a subscriber may have it before its
// sender has the answer.
func (s *stopwatch) send(eventID []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places[string(eventID)] = len(s.answered)
	s.answered = append(s.answered, time.Time{})
}

// answer is called when the sender has its 200.
func (s *stopwatch) answer(eventID []byte, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.places[string(eventID)]; ok {
		s.answered[i] = at
	}
}

// receive is called when a subscriber has the event.
func (s *stopwatch) receive(eventID []byte) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.places[string(eventID)]
	if !ok {
		s.strangers++
		return
	}
	s.received = append(s.received, receipt{i, now})
}

// histogram answers the time that every receipt took. One that came before the
// sender's answer took none. Receipts whose post was not answered with 200 are
// left out.
func (s *stopwatch) histogram() *load.Histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := new(load.Histogram)
	for _, r := range s.received {
		if at := s.answered[r.place]; !at.IsZero() {
			h.Record(r.at.Sub(at)) // one below zero counts as zero
		}
	}
	return h
}
