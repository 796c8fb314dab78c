package question

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// asked counts questions, each of which is sent after gather and takes a second. One that
// fails and gathers is never sent.
type asked struct {
	gather time.Duration

	mu   sync.Mutex
	n    map[string]int
	open map[string]int
	err  error
}

func (q *asked) shared(t *testing.T) *Shared[string, int] {
	q.open = make(map[string]int)
	return &Shared[string, int]{Ask: func(key string, sent func()) (int, error) {
		if q.begin(key) > 1 {
			t.Errorf("two questions of %q are asked at a time", key)
		}
		time.Sleep(q.gather)
		q.mu.Lock()
		q.n[key]++
		n, err := q.n[key], q.err
		q.mu.Unlock()
		if q.gather == 0 || err == nil {
			sent()
		}
		time.Sleep(time.Second)
		q.mu.Lock()
		defer q.mu.Unlock()
		q.open[key]--
		return n, err
	}}
}

func (q *asked) begin(key string) (open int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open[key]++
	return q.open[key]
}

// However many ask at once, a few questions are asked, and nobody is answered what was
// sent before it came. What waits to be sent is joined, and nothing is left behind.
func TestOneQuestionForAllWhoWait(t *testing.T) {
	for name, gather := range map[string]time.Duration{"sent at once": 0, "gathered": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := (&asked{gather: gather, n: make(map[string]int)}).shared(t)
				answers := make(chan int)
				ask := func() {
					got, err := s.Get(t.Context(), "")
					if err != nil {
						t.Error(err)
					}
					answers <- got
				}
				expect := func(who string, n, want int) {
					t.Helper()
					for range n {
						if got := <-answers; got != want {
							t.Fatalf("who %s was answered the question %d, not %d", who, got, want)
						}
					}
				}
				go ask()
				synctest.Wait()
				if gather > 0 {
					for range 1000 {
						go ask()
					}
					time.Sleep(gather) // it is sent
					synctest.Wait()
				}
				for range 1000 {
					go ask()
				}
				if gather > 0 {
					expect("came before the first was sent", 1000, 1)
				}
				expect("asked first", 1, 1)
				expect("came when the first had been sent", 1000, 2)
				go ask()
				expect("came later", 1, 3)
				synctest.Wait()
				if len(s.open) > 0 {
					t.Errorf("%d keys are kept though nobody asks", len(s.open))
				}
			})
		})
	}
}

// Questions of different keys do not wait for each other, nor share an answer.
func TestQuestionsOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &asked{n: map[string]int{"a": 10, "b": 20}}
		s := q.shared(t)
		start := time.Now()
		got := make(chan int)
		go func() { a, _ := s.Get(t.Context(), "a"); got <- a }()
		if b, err := s.Get(t.Context(), "b"); b != 21 || err != nil {
			t.Errorf("b: %d, %v", b, err)
		}
		if a := <-got; a != 11 || time.Since(start) != time.Second {
			t.Errorf("a: %d after %s", a, time.Since(start))
		}
	})
}

// Who goes does not take the answer from others. An error, also of a question that was
// never sent, is that of all who waited, not of those who come after.
func TestOneWhoGoesAndAFailedQuestion(t *testing.T) {
	for name, gather := range map[string]time.Duration{"sent": 0, "not sent": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				failed := errors.New("ick")
				q := &asked{gather: gather, n: make(map[string]int), err: failed}
				s := q.shared(t)
				ctx, leave := context.WithCancelCause(t.Context())
				gone := errors.New("gone")
				left, stayed := make(chan error), make(chan error)
				go func() { _, err := s.Get(ctx, ""); left <- err }()
				synctest.Wait()
				go func() { _, err := s.Get(t.Context(), ""); stayed <- err }()
				synctest.Wait()
				leave(gone)
				if err := <-left; !errors.Is(err, gone) {
					t.Errorf("who goes is answered %v", err)
				}
				if err := <-stayed; !errors.Is(err, failed) {
					t.Errorf("who stays is answered %v", err)
				}
				q.mu.Lock()
				q.err = nil
				before := q.n[""]
				q.mu.Unlock()
				if n, err := s.Get(t.Context(), ""); err != nil || n != before+1 {
					t.Errorf("%d, %v", n, err)
				}
			})
		})
	}
}
