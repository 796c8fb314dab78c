package memengine

import (
	"context"
	"fmt"
	"sync"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// tries is what was handed out in vain, seen from one gateway.
type tries struct {
	e      *Engine
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

type tryKey struct {
	queue string
	seq   uint64
}

// OpenAttempts implements subscription.Engine.
func (e *Engine) OpenAttempts(_ context.Context, heard func(queue.Attempted)) (subscription.Attempts, error) {
	a := &tries{e: e}
	a.ctx, a.cancel = context.WithCancel(e.ctx)
	e.s.mu.Lock()
	old := len(e.s.tried)
	for _, v := range e.s.tried {
		heard(v)
	}
	e.s.mu.Unlock()
	a.wg.Go(func() { a.follow(old, heard) })
	return a, nil
}

func (a *tries) follow(seen int, heard func(queue.Attempted)) {
	for a.e.whole(a.ctx) {
		a.e.s.mu.Lock()
		news, changed := a.e.s.tried[seen:], a.e.s.triedMore
		a.e.s.mu.Unlock()
		for _, v := range news {
			heard(v)
		}
		seen += len(news)
		if len(news) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-a.ctx.Done():
			return
		}
	}
}

func (a *tries) Put(some []queue.Attempted, done func(error)) {
	answer := make(chan error, 1)
	a.e.up.put(func() {
		s := a.e.s
		s.mu.Lock()
		for _, v := range some {
			s.tried = append(s.tried, v)
			if v.Value == nil {
				delete(s.tries, tryKey{v.Queue, v.Seq})
			} else {
				s.tries[tryKey{v.Queue, v.Seq}] = v.Value
			}
		}
		close(s.triedMore)
		s.triedMore = make(chan struct{})
		s.mu.Unlock()
		a.e.down.put(func() { answer <- nil })
	})
	a.e.spawn(func() {
		ctx, cancel := context.WithTimeout(a.e.ctx, answerTime)
		defer cancel()
		var err error
		select {
		case err = <-answer:
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w", eventlog.ErrUnavailable, context.Cause(ctx))
		}
		if done != nil {
			done(err)
		}
	})
}

func (a *tries) Keep(ctx context.Context, some []queue.Attempted) error {
	if len(some) == 0 {
		return nil
	}
	kept := make(chan error, 1)
	a.Put(some, func(err error) { kept <- err })
	select {
	case err := <-kept:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (a *tries) Read(ctx context.Context, queue string, seq uint64) ([]byte, error) {
	if !a.e.work(ctx) {
		return nil, fmt.Errorf("%w: it took too long", eventlog.ErrUnavailable)
	}
	answer := make(chan []byte, 1)
	err := a.e.request(ctx, func() error {
		answer <- a.e.s.tries[tryKey{queue, seq}]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return <-answer, nil
}

func (a *tries) ForgetQueue(ctx context.Context, queue string) error {
	return a.e.request(ctx, func() error {
		for k := range a.e.s.tries {
			if k.queue == queue {
				delete(a.e.s.tries, k)
			}
		}
		return nil
	})
}

func (a *tries) Close() {
	a.cancel()
	a.wg.Wait()
}
