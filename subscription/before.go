package subscription

import (
	"cmp"
	"slices"
	"sync"

	"github.com/hookstream/hookstream/eventlog"
)

// settledBefore is what earlier lives of an embedded engine settled in their
// last minutes, by queue: JetStream may have forgotten it and hand it out again.
type settledBefore struct {
	mu     sync.Mutex
	sorted bool
	seqs   map[string][]run
}

// run is a range of sequences, both ends included.
type run struct{ first, last uint64 }

func (s *settledBefore) add(acks []eventlog.Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seqs == nil {
		s.seqs = make(map[string][]run)
	}
	for _, a := range acks {
		runs := s.seqs[a.Queue]
		if n := len(runs); n > 0 && runs[n-1].last+1 == a.Seq {
			runs[n-1].last++
			continue
		}
		s.seqs[a.Queue] = append(runs, run{a.Seq, a.Seq})
	}
	s.sorted = false
}

// has reports whether seq of the queue was settled.
func (s *settledBefore) has(queue string, seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.sorted {
		s.sort()
	}
	_, found := slices.BinarySearchFunc(s.seqs[queue], seq, func(r run, seq uint64) int {
		switch {
		case r.last < seq:
			return -1
		case r.first > seq:
			return 1
		}
		return 0
	})
	return found
}

// sort joins the runs: most of what is settled lies together.
func (s *settledBefore) sort() {
	for queue, runs := range s.seqs {
		slices.SortFunc(runs, func(a, b run) int { return cmp.Compare(a.first, b.first) })
		joined := runs[:1]
		for _, r := range runs[1:] {
			if last := &joined[len(joined)-1]; r.first <= last.last+1 {
				last.last = max(last.last, r.last)
				continue
			}
			joined = append(joined, r)
		}
		s.seqs[queue] = slices.Clip(joined)
	}
	s.sorted = true
}
