package client_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hookstream/hookstream/client"
)

// moods are a handler that takes its time and answers as it likes, until it is
// calm: then it takes less and answers nil.
type moods struct {
	mu      sync.Mutex
	rand    *rand.Rand
	longest time.Duration
	quiet   bool
}

// Each stands for a verdict.
var errNotYet, errHopeless, errLater = errors.New("not yet"), errors.New("hopeless"), errors.New("later")

func (m *moods) calm() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quiet = true
}

func (m *moods) next() (takes time.Duration, answer int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quiet {
		return time.Duration(m.rand.Int64N(int64(min(m.longest, 2*time.Second)))), 0
	}
	if m.rand.IntN(3) == 0 {
		takes = time.Duration(m.rand.Int64N(int64(m.longest)))
	}
	return takes, m.rand.IntN(12)
}

func (m *moods) handle(ctx context.Context, _ *delivery) error {
	takes, answer := m.next()
	select {
	case <-ctx.Done():
		return errNotYet
	case <-time.After(takes):
	}
	switch answer {
	case 0, 1, 2, 3, 4, 5:
		return nil
	case 6:
		return client.Park(errHopeless)
	case 7:
		return client.Release(errLater)
	case 8:
		return client.RetryAfter(0, errNotYet)
	case 9:
		panic("ouch")
	}
	return errNotYet
}

func verdictName(err error) string {
	switch {
	case err == nil:
		return "ack"
	case errors.Is(err, errHopeless):
		return "park"
	case errors.Is(err, errLater):
		return "release"
	}
	return "retry"
}
