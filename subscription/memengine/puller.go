package memengine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// puller asks as eventlog.Puller does.
type puller struct {
	e        *Engine
	cfg      queue.Config
	pin      *pin
	received func(queue.Hand)
	ended    func()

	mu     sync.Mutex
	no     uint64
	asked  map[uint64]*asked
	empty  bool
	rest   time.Time
	absent bool
	closed time.Time // zero: not
}

type asked struct {
	n      int // may still come
	at     time.Time
	pin    string
	losses uint64 // of the connection, when it was sent
	lost   bool
}

// As those of eventlog.Puller.
const (
	pullTime   = 4 * time.Second
	glanceTime = 100 * time.Millisecond
	restTime   = 200 * time.Millisecond
	lostTime   = pullTime + time.Second
	maxPull    = 1000
	maxOpen    = 8 // 1 of what is pinned
	lingering  = 30 * time.Second
)

// Pull implements subscription.Engine.
func (e *Engine) Pull(c queue.Config, p subscription.Pin, receive func(queue.Hand), ended func()) (subscription.Puller, error) {
	return &puller{e: e, cfg: c, pin: p.(*pin), received: receive, ended: ended, asked: make(map[uint64]*asked)}, nil
}

func (p *puller) Fill(n int) {
	p.mu.Lock()
	left := p.left()
	n, empty := n-left, p.empty
	p.mu.Unlock()
	switch {
	case n <= 0 || empty && left > 0:
	case empty:
		p.ask(1, true)
	default:
		p.ask(min(n, maxPull), false)
	}
}

func (p *puller) FillOne() {
	if p.askedFor() == 0 {
		p.ask(1, true)
	}
}

func (p *puller) FillNow(n int) {
	if n -= p.askedFor(); n > 0 {
		p.ask(min(n, maxPull), false)
	}
}

func (p *puller) askedFor() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left()
}

// left answers how many may still come, and gives up pulls that were lost. The
// caller holds mu.
func (p *puller) left() (n int) {
	losses := p.e.reconnects()
	for _, a := range p.asked {
		a.lost = a.lost || a.losses != losses || time.Since(a.at) > lostTime
		if !a.lost {
			n += a.n
		}
	}
	return n
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
	p.left()
	open := 0
	for _, a := range p.asked {
		if !a.lost && a.n > 0 {
			open++
		}
	}
	if !p.closed.IsZero() || now.Before(p.rest) || open >= maxOpen || p.cfg.Pinned && open > 0 {
		p.mu.Unlock()
		return
	}
	r := &request{puller: p, no: p.no, n: n, now: !wait}
	p.no++
	if p.cfg.Pinned {
		r.pin = p.pin.known()
	}
	p.asked[r.no] = &asked{n: n, at: now, pin: r.pin, losses: p.e.reconnects()}
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

func (p *puller) receive(no uint64, h queue.Hand) {
	p.pin.learn(h.Pin)
	p.mu.Lock()
	a := p.asked[no]
	if a == nil || !p.closed.IsZero() && time.Since(p.closed) > lostTime || a.lost && time.Since(a.at) > lostTime+lingering {
		p.mu.Unlock()
		return // nobody listens
	}
	h.Asked = a.at
	if a.n--; a.n == 0 {
		delete(p.asked, no)
	}
	p.empty, p.absent = false, false
	p.mu.Unlock()
	p.received(h)
}

func (p *puller) Due() (at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.rest) {
		at = p.rest
	}
	for _, a := range p.asked {
		if lost := a.at.Add(lostTime); !a.lost && a.n > 0 && (at.IsZero() || lost.Before(at)) {
			at = lost
		}
	}
	return at
}

func (p *puller) Absent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.absent
}

func (p *puller) end(no uint64, refused, absent bool) {
	p.mu.Lock()
	if a := p.asked[no]; a != nil && refused && p.cfg.Pinned {
		p.pin.refused(a.pin)
	}
	delete(p.asked, no)
	p.empty, p.absent = true, absent
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
	cfg queue.Config

	mu           sync.Mutex
	id, released string
}

// Pin implements subscription.Engine.
func (e *Engine) Pin(c queue.Config) subscription.Pin { return &pin{e: e, cfg: c} }

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

func (b bucket) Now(ctx context.Context, key string) (eventlog.Change, error) {
	answer := make(chan eventlog.Change, 1)
	err := b.e.request(ctx, func() error {
		c, ok := b.e.s.values[key]
		if !ok {
			c.Key = key
		}
		answer <- c
		return nil
	})
	if err != nil {
		return eventlog.Change{}, err
	}
	return <-answer, nil
}

func (b bucket) Latest(ctx context.Context, after uint64, fn func(eventlog.Change)) error {
	answer := make(chan []eventlog.Change, 1)
	err := b.e.request(ctx, func() error {
		last := make(map[string]eventlog.Change)
		for _, c := range b.e.s.changes {
			if c.Revision > after {
				last[c.Key] = c
			}
		}
		answer <- slices.SortedFunc(maps.Values(last), func(x, y eventlog.Change) int { return cmp.Compare(x.Revision, y.Revision) })
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range <-answer {
		fn(c)
	}
	return nil
}

// proofTime bounds the wait for a quorum.
const proofTime = 5 * time.Second

// Proof implements eventlog.Bucket.
func (b bucket) Proof() func(context.Context) error {
	asked := time.Now()
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, proofTime)
		defer cancel()
		for b.e.Reached().Before(asked) {
			select {
			case <-time.After(beatEvery / 20):
			case <-ctx.Done():
				return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, context.Cause(ctx))
			}
		}
		return nil
	}
}

func (b bucket) Watch(ctx context.Context, fn func(eventlog.Change), ready func()) error {
	var seen uint64
	for first := true; ; first = false {
		if !b.e.whole(ctx) || !b.e.isTold(ctx) {
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
