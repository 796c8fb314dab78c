// Package question has many who want to know the same ask it once.
package question

import (
	"context"
	"sync"
)

// Shared asks questions by key, once for all who want the answer at that moment: one at
// a time of each key, and each answer is as of some time after the call of everybody who
// is given it. Its methods may be called from many goroutines at once.
type Shared[K comparable, T any] struct {
	// Ask answers the question. It calls sent when it is about to be on its way: what
	// changes from then on the answer may miss, so who comes later waits for the next.
	// Before that it may wait, so that more share it. Nobody's leaving ends it.
	Ask func(key K, sent func()) (T, error)

	// mu guards what follows. Nobody holds it while something is asked.
	mu   sync.Mutex
	open map[K]*turns[T]
}

// turns are the questions of one key; there are none when nobody waits.
type turns[T any] struct {
	next *answer[T] // nil: nobody waits for one that is not sent
}

// answer is that of one question. What follows known may be read when that is closed.
type answer[T any] struct {
	known chan struct{}
	value T
	err   error
}

// Get answers the next question of the key, or the cause that ended the context.
func (s *Shared[K, T]) Get(ctx context.Context, key K) (T, error) {
	a := s.join(key)
	select {
	case <-a.known:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// join answers the next question, and has it asked.
func (s *Shared[K, T]) join(key K) *answer[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, asking := s.open[key]
	if !asking {
		if s.open == nil {
			s.open = make(map[K]*turns[T])
		}
		t = new(turns[T])
		s.open[key] = t
		go s.run(key, t)
	}
	if t.next == nil {
		t.next = &answer[T]{known: make(chan struct{})}
	}
	return t.next
}

// run asks until nobody waits.
func (s *Shared[K, T]) run(key K, t *turns[T]) {
	for a := s.waiting(key, t); a != nil; a = s.waiting(key, t) {
		sent := sync.OnceFunc(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			t.next = nil
		})
		a.value, a.err = s.Ask(key, sent)
		sent()
		close(a.known)
	}
}

// waiting answers the question that somebody waits for; nil when nobody does, and then
// the key is forgotten.
func (s *Shared[K, T]) waiting(key K, t *turns[T]) *answer[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.next == nil {
		delete(s.open, key)
	}
	return t.next
}
