package simulate

import (
	"context"
	"sync"
)

// background is work that nobody waits for until it is to stop.
type background struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped bool
	work    sync.WaitGroup
}

// run starts a piece of work, unless it was stopped.
func (b *background) run(f func(context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.work.Go(func() { f(b.ctx) })
	}
}

// stop ends the work that runs, waits for that, and lets no more begin.
func (b *background) stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.cancel()
	b.work.Wait()
}
