package queue

import (
	"cmp"
	"slices"
	"sync"
)

// settledSet is what was settled of each queue: everything up to a floor, and runs
// above it.
//
// mu guards all of it, the queues in it included. It is taken last: homes ask here
// with every message.
type settledSet struct {
	mu sync.Mutex
	of map[string]*settledQueue
}

type settledQueue struct {
	floor uint64
	runs  []settledRun // in order, apart from each other
	// fresh are not in runs yet: putting them there one by one would cost as much
	// each as there are runs.
	fresh map[uint64]struct{}
	// touched since the floor was asked for last.
	touched bool
}

// settledRun is a range of sequences, both ends included.
type settledRun struct{ first, last uint64 }

func (s *settledSet) queue(name string) *settledQueue {
	q := s.of[name]
	if q == nil {
		if s.of == nil {
			s.of = make(map[string]*settledQueue)
		}
		q = &settledQueue{fresh: make(map[uint64]struct{})}
		s.of[name] = q
	}
	return q
}

func (s *settledSet) add(acks []Ack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range acks {
		q := s.queue(a.Queue)
		q.touched = true
		if a.Seq > q.floor {
			q.fresh[a.Seq] = struct{}{}
		}
		if len(q.fresh) > max(1024, len(q.runs)) {
			q.merge()
		}
	}
}

// restore adds what a snapshot says.
func (s *settledSet) restore(name string, floor uint64, runs []settledRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue(name)
	q.touched = true
	q.floor, q.runs = max(q.floor, floor), append(q.runs, runs...)
	q.merge()
}

// raise notes that everything up to floor is settled.
func (s *settledSet) raise(name string, floor uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.of[name]; q != nil && floor > q.floor {
		q.floor = floor
		q.merge()
	}
}

func (s *settledSet) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.of, name)
}

// cut forgets what lies behind the last message of a queue's stream, and reports
// whether there was any: the stream is another one.
func (s *settledSet) cut(name string, last uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.of[name]
	if q == nil {
		return false
	}
	q.merge()
	end := q.floor
	if n := len(q.runs); n > 0 {
		end = q.runs[n-1].last
	}
	if end <= last {
		return false
	}
	delete(s.of, name)
	return true
}

func (s *settledSet) has(name string, seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.of[name]
	if q == nil {
		return false
	}
	if _, ok := q.fresh[seq]; ok || seq <= q.floor {
		return true
	}
	_, found := slices.BinarySearchFunc(q.runs, seq, func(r settledRun, seq uint64) int {
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

// names answers the queues there are; with touched only those that something was
// settled of since they were asked for so.
func (s *settledSet) names(touched bool) (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, q := range s.of {
		if !touched || q.touched {
			out = append(out, name)
		}
		q.touched = q.touched && !touched
	}
	slices.Sort(out)
	return out
}

// at answers a queue as a snapshot has it.
func (s *settledSet) at(name string) (floor uint64, runs []settledRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.of[name]
	if q == nil {
		return 0, nil
	}
	q.merge()
	return q.floor, slices.Clone(q.runs)
}

// merge puts what is fresh into the runs, joins them, and lets the floor swallow
// those that it reaches.
func (q *settledQueue) merge() {
	for seq := range q.fresh {
		q.runs = append(q.runs, settledRun{seq, seq})
	}
	clear(q.fresh)
	slices.SortFunc(q.runs, func(a, b settledRun) int { return cmp.Compare(a.first, b.first) })
	joined := q.runs[:0]
	for _, r := range q.runs {
		if r.first <= q.floor+1 {
			q.floor = max(q.floor, r.last)
			continue
		}
		if n := len(joined); n > 0 && r.first <= joined[n-1].last+1 {
			joined[n-1].last = max(joined[n-1].last, r.last)
			continue
		}
		joined = append(joined, r)
	}
	q.runs = joined
}
