package memengine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/subscription"
)

// Engine is one gateway's way to the store.
type Engine struct {
	s        *Store
	up, down *wire // to the store, and from it

	mu     sync.Mutex
	losses uint64
	cut    bool
	closed bool
	healed chan struct{} // closed while nothing is wrong
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

var _ subscription.Engine = (*Engine)(nil)

// Engine opens a way.
func (s *Store) Engine() *Engine {
	e := &Engine{s: s, healed: make(chan struct{})}
	close(e.healed)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.up, e.down = newWire(e), newWire(e)
	return e
}

// Stall holds everything up until Heal: a silent cut that is over before
// anybody notices.
func (e *Engine) Stall() { e.up.stall(true); e.down.stall(true); e.wound() }

// Sever loses what is under way, and what is sent until Heal: a cut that both ends
// notice.
func (e *Engine) Sever() {
	e.mu.Lock()
	e.cut = true
	e.mu.Unlock()
	e.up.sever(true)
	e.down.sever(true)
	e.wound()
}

func (e *Engine) wound() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.healed:
		e.healed = make(chan struct{})
	default:
	}
}

// Heal ends both.
func (e *Engine) Heal() {
	e.mu.Lock()
	if e.cut {
		e.cut = false
		e.losses++
	}
	select {
	case <-e.healed:
	default:
		close(e.healed)
	}
	e.mu.Unlock()
	for _, w := range []*wire{e.up, e.down} {
		w.sever(false)
		w.stall(false)
	}
}

// Close ends it without a word to anybody: the process is gone.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.s.mu.Lock()
	for name, b := range e.s.buses {
		if b.e == e {
			delete(e.s.buses, name)
		}
	}
	e.s.mu.Unlock()
	e.wg.Wait()
}

func (e *Engine) gone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

func (e *Engine) whole(ctx context.Context) bool {
	e.mu.Lock()
	healed := e.healed
	e.mu.Unlock()
	select {
	case <-healed:
		return true
	case <-ctx.Done():
	case <-e.ctx.Done():
	}
	return false
}

// Connection implements subscription.Engine.
func (e *Engine) Connection() (uint64, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.losses, !e.cut && !e.closed
}

// answerTime bounds the wait for the store, as the client of NATS does.
const answerTime = 5 * time.Second

// request has the store do something and waits for the answer.
func (e *Engine) request(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answer := make(chan error, 1)
	e.up.put(func() {
		e.s.mu.Lock()
		err := do()
		e.s.mu.Unlock()
		e.down.put(func() { answer <- err })
	})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, context.Cause(ctx))
	case <-e.ctx.Done():
		return fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
	}
}

// Events implements subscription.Engine.
func (e *Engine) Events() eventlog.Log { return e.s.log }

// EnsureQueue implements subscription.Engine.
func (e *Engine) EnsureQueue(ctx context.Context, c eventlog.QueueConfig) (made bool, err error) {
	var was bool
	err = e.request(ctx, func() error {
		q := e.s.queues[c.Name]
		if was = q == nil; was {
			q = newQueue(c)
			e.s.queues[c.Name] = q
		}
		c.From, c.Pinned = q.cfg.From, q.cfg.Pinned
		q.cfg = c
		e.s.pump(q)
		return nil
	})
	return err == nil && was, err
}

// DeleteQueue implements subscription.Engine.
func (e *Engine) DeleteQueue(ctx context.Context, c eventlog.QueueConfig) error {
	return e.request(ctx, func() error {
		if q := e.s.queues[c.Name]; q != nil {
			for _, r := range q.waiting {
				r.end(true)
			}
		}
		delete(e.s.queues, c.Name)
		delete(e.s.synced, c.Name)
		return nil
	})
}

// QueueState implements subscription.Engine.
func (e *Engine) QueueState(ctx context.Context, c eventlog.QueueConfig) (eventlog.QueueState, error) {
	answer := make(chan eventlog.QueueState, 1)
	err := e.request(ctx, func() error {
		q := e.s.queues[c.Name]
		if q == nil {
			return eventlog.ErrNoQueue
		}
		st := q.state()
		if q.cfg.Replays == "" {
			b, _ := e.s.log.Bounds(context.Background())
			st.Waiting = int64(b.Last+1) - int64(q.next)
		}
		answer <- st
		return nil
	})
	if err != nil {
		return eventlog.QueueState{}, err
	}
	return <-answer, nil
}

// QueueNames implements subscription.Engine.
func (e *Engine) QueueNames(ctx context.Context, prefix string) ([]string, error) {
	answer := make(chan []string, 1)
	err := e.request(ctx, func() error {
		var out []string
		for name, q := range e.s.queues {
			if q.cfg.Replays == "" && strings.HasPrefix(name, prefix) {
				out = append(out, name)
			}
		}
		answer <- out
		return nil
	})
	if err != nil {
		return nil, err
	}
	return <-answer, nil
}

// Say implements subscription.Engine.
func (e *Engine) Say(c eventlog.QueueConfig, words ...eventlog.Word) {
	e.up.put(func() {
		e.s.mu.Lock()
		defer e.s.mu.Unlock()
		for _, w := range words {
			e.s.hear(c.Name, w)
		}
	})
}

// Confirm implements subscription.Engine. JetStream does not answer to a word
// about what it has not handed out.
func (e *Engine) Confirm(ctx context.Context, c eventlog.QueueConfig, words []eventlog.Word) ([]bool, error) {
	answer := make(chan []bool, 1)
	err := e.request(ctx, func() error {
		ok := make([]bool, len(words))
		for i, w := range words {
			ok[i] = e.s.hear(c.Name, w)
		}
		answer <- ok
		return nil
	})
	if err != nil {
		return make([]bool, len(words)), err
	}
	ok := <-answer
	if slices.Contains(ok, false) {
		err = fmt.Errorf("%w: not all words were answered", eventlog.ErrUnavailable)
	}
	return ok, err
}

// OpenAcks implements subscription.Engine.
func (e *Engine) OpenAcks(_ context.Context, fn func([]eventlog.Ack)) (subscription.Journal, error) {
	if !e.s.opts.Journal {
		return nil, nil
	}
	e.s.mu.Lock()
	acks := append([]eventlog.Ack(nil), e.s.acks...)
	e.s.mu.Unlock()
	fn(acks)
	return journal{e}, nil
}

type journal struct{ e *Engine }

func (j journal) Keep(ctx context.Context, acks []eventlog.Ack) error {
	return j.e.request(ctx, func() error {
		j.e.s.acks = append(j.e.s.acks, acks...)
		return nil
	})
}
