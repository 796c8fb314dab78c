package memengine

import (
	"context"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/subscription"
)

// puller asks as eventlog.Puller does.
type puller struct {
	e     *Engine
	cfg   eventlog.QueueConfig
	pin   *pin
	take  func(eventlog.Hand)
	ended func()

	mu     sync.Mutex
	no     uint64
	left   int
	asked  map[uint64]asked
	empty  bool
	rest   time.Time
	closed time.Time // zero: not
}

type asked struct {
	n   int
	at  time.Time
	pin string
}

// As those of eventlog.Puller.
const (
	pullTime   = 4 * time.Second
	glanceTime = 100 * time.Millisecond
	restTime   = 200 * time.Millisecond
	lostTime   = pullTime + time.Second
	maxPull    = 1000
)

// Pull implements subscription.Engine.
func (e *Engine) Pull(c eventlog.QueueConfig, p subscription.Pin, take func(eventlog.Hand), ended func()) (subscription.Puller, error) {
	return &puller{e: e, cfg: c, pin: p.(*pin), take: take, ended: ended, asked: make(map[uint64]asked)}, nil
}

func (p *puller) Fill(n int) {
	p.mu.Lock()
	p.expire()
	n, empty := n-p.left, p.empty
	waits := empty && p.left > 0
	p.mu.Unlock()
	switch {
	case n <= 0 || waits:
	case empty:
		p.ask(1, true)
	default:
		p.ask(min(n, maxPull), false)
	}
}

func (p *puller) FillNow(n int) {
	p.mu.Lock()
	p.expire()
	n -= p.left
	p.mu.Unlock()
	if n > 0 {
		p.ask(min(n, maxPull), false)
	}
}

func (p *puller) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.IsZero() {
		p.closed = time.Now()
	}
}

func (p *puller) ask(n int, wait bool) {
	p.mu.Lock()
	now := time.Now()
	if !p.closed.IsZero() || now.Before(p.rest) {
		p.mu.Unlock()
		return
	}
	r := &request{puller: p, no: p.no, n: n, now: !wait}
	p.no++
	if p.cfg.Pinned {
		r.pin = p.pin.known()
	}
	p.asked[r.no] = asked{n, now, r.pin}
	p.left += n
	p.mu.Unlock()
	p.e.up.put(func() {
		r.until = time.Now().Add(glanceTime)
		if wait {
			r.until = time.Now().Add(pullTime)
		}
		p.e.s.mu.Lock()
		defer p.e.s.mu.Unlock()
		p.e.s.ask(p.cfg.Name, r)
	})
}

// expire forgets what was answered, and what was lost. The caller holds mu.
func (p *puller) expire() {
	for no, a := range p.asked {
		if time.Since(a.at) > lostTime {
			delete(p.asked, no)
		}
	}
	if len(p.asked) == 0 || p.left <= 0 {
		p.left = 0
		clear(p.asked)
	}
}

func (p *puller) receive(h eventlog.Hand) {
	p.pin.learn(h.Pin)
	p.mu.Lock()
	if !p.closed.IsZero() && time.Since(p.closed) > lostTime {
		p.mu.Unlock()
		return
	}
	p.expire()
	h.Asked = time.Now()
	if len(p.asked) == 0 {
		h.Asked = h.Asked.Add(-lostTime)
	}
	for _, a := range p.asked {
		if a.at.Before(h.Asked) {
			h.Asked = a.at
		}
	}
	p.left--
	p.empty = false
	p.expire()
	p.mu.Unlock()
	p.take(h)
}

func (p *puller) end(no uint64, left int, refused bool) {
	p.mu.Lock()
	if refused && p.cfg.Pinned {
		p.pin.refused(p.asked[no].pin)
	}
	delete(p.asked, no)
	p.left -= left
	p.expire()
	p.empty = true
	if refused {
		p.rest = time.Now().Add(restTime)
	}
	open := p.closed.IsZero()
	p.mu.Unlock()
	if open {
		p.ended()
	}
}

// pin is as eventlog.Pin.
type pin struct {
	e   *Engine
	cfg eventlog.QueueConfig

	mu           sync.Mutex
	id, released string
}

// Pin implements subscription.Engine.
func (e *Engine) Pin(c eventlog.QueueConfig) subscription.Pin { return &pin{e: e, cfg: c} }

func (p *pin) Ours() bool { return p.known() != "" }

func (p *pin) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id == "" {
		return
	}
	p.released, p.id = p.id, ""
	p.e.up.put(func() {
		p.e.s.mu.Lock()
		defer p.e.s.mu.Unlock()
		if q := p.e.s.queues[p.cfg.Name]; q != nil {
			q.pin = "" // whoever's: JetStream is not told which is meant
			p.e.s.pump(q)
		}
	})
}

func (p *pin) known() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id
}

func (p *pin) learn(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id != "" && id != p.released {
		p.id = id
	}
}

func (p *pin) refused(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id == id {
		p.id = ""
	}
}

// bucket of the store, seen from one gateway.
type bucket struct{ e *Engine }

// Bucket implements subscription.Engine. There is one.
func (e *Engine) Bucket(context.Context, string) (eventlog.Bucket, error) { return bucket{e}, nil }

func (b bucket) write(ctx context.Context, key string, value []byte, check func(old eventlog.Change, ok bool) bool) (rev uint64, err error) {
	answer := make(chan uint64, 1)
	err = b.e.request(ctx, func() error {
		s := b.e.s
		if old, ok := s.values[key]; !check(old, ok) {
			return eventlog.ErrConflict
		}
		c := eventlog.Change{Key: key, Value: value, Revision: uint64(len(s.changes) + 1)}
		s.changes = append(s.changes, c)
		if s.values[key] = c; value == nil {
			delete(s.values, key)
		}
		close(s.changed)
		s.changed = make(chan struct{})
		answer <- c.Revision
		return nil
	})
	if err != nil {
		return 0, err
	}
	return <-answer, nil
}

func (b bucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	return b.write(ctx, key, value, func(_ eventlog.Change, ok bool) bool { return !ok })
}

func (b bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return b.write(ctx, key, value, func(old eventlog.Change, ok bool) bool { return ok && old.Revision == revision })
}

func (b bucket) Delete(ctx context.Context, key string, revision uint64) error {
	_, err := b.write(ctx, key, nil, func(old eventlog.Change, ok bool) bool { return ok && old.Revision == revision })
	return err
}

func (b bucket) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	var seen uint64
	for first := true; ; first = false {
		if !b.e.whole(ctx) {
			break
		}
		s := b.e.s
		s.mu.Lock()
		news, changed := s.changes[seen:], s.changed
		s.mu.Unlock()
		for _, c := range news {
			fn(c)
			seen = c.Revision
		}
		if first {
			ready()
		}
		select {
		case <-changed:
		case <-ctx.Done():
		case <-b.e.ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return eventlog.ErrUnavailable
}
