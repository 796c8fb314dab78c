package memengine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

type parkedEntry struct {
	queue.ParkedEntry

	uid    string
	replay bool
}

// parking is what was parked, seen from one gateway.
type parking struct{ e *Engine }

// OpenParked implements subscription.Engine.
func (e *Engine) OpenParked(context.Context) (subscription.Parking, error) { return parking{e}, nil }

func (p parking) Put(ctx context.Context, uid, once string, in queue.ParkedEntry) error {
	return p.put(ctx, uid, once, false, in)
}

func (p parking) Replay(ctx context.Context, uid string, in queue.ParkedEntry) error {
	return p.put(ctx, uid, fmt.Sprintf("replay-%s-%d", uid, in.ID), true, in)
}

func (p parking) Feed(ctx context.Context, uid, replay string, rec event.Record) error {
	return p.put(ctx, uid, fmt.Sprintf("feed-%s-%s-%d", uid, replay, rec.Seq), true, queue.ParkedEntry{Record: rec, Replay: replay})
}

func (p parking) Fed(ctx context.Context, uid string) (map[string]int, error) {
	answer := make(chan map[string]int, 1)
	err := p.e.request(ctx, func() error {
		n := make(map[string]int)
		for _, e := range p.e.s.parked {
			if e.uid == uid && e.Replay != "" {
				n[e.Replay]++
			}
		}
		answer <- n
		return nil
	})
	if err != nil {
		return nil, err
	}
	return <-answer, nil
}

func (p parking) put(ctx context.Context, uid, once string, replay bool, in queue.ParkedEntry) error {
	return p.e.request(ctx, func() error {
		s := p.e.s
		if s.once[once] {
			return nil
		}
		s.once[once] = true
		s.nextID++
		in.ID, in.Time = s.nextID, time.Now()
		s.parked = append(s.parked, parkedEntry{in, uid, replay})
		s.pumpAll()
		return nil
	})
}

func (p parking) Next(ctx context.Context, uid string, from uint64) (queue.ParkedEntry, error) {
	return p.next(ctx, uid, false, from)
}

func (p parking) NextFed(ctx context.Context, uid string, from uint64) (queue.ParkedEntry, error) {
	return p.next(ctx, uid, true, from)
}

func (p parking) next(ctx context.Context, uid string, replay bool, from uint64) (queue.ParkedEntry, error) {
	answer := make(chan queue.ParkedEntry, 1)
	err := p.e.request(ctx, func() error {
		for _, e := range p.e.s.parked {
			if e.uid == uid && e.replay == replay && e.ID >= from {
				answer <- e.ParkedEntry
				return nil
			}
		}
		return eventlog.ErrNotFound
	})
	if err != nil {
		return queue.ParkedEntry{}, err
	}
	return <-answer, nil
}

func (p parking) Last(ctx context.Context, uid string, seq uint64, replayed bool) (queue.ParkedEntry, error) {
	answer := make(chan queue.ParkedEntry, 1)
	err := p.e.request(ctx, func() error {
		for _, e := range slices.Backward(p.e.s.parked) {
			if e.uid == uid && e.replay == replayed && e.Record.Seq == seq {
				answer <- e.ParkedEntry
				return nil
			}
		}
		return eventlog.ErrNotFound
	})
	if err != nil {
		return queue.ParkedEntry{}, err
	}
	return <-answer, nil
}

func (p parking) Count(ctx context.Context, uid string) (int, error) {
	answer := make(chan int, 1)
	err := p.e.request(ctx, func() error {
		n := 0
		for _, e := range p.e.s.parked {
			if e.uid == uid && !e.replay {
				n++
			}
		}
		answer <- n
		return nil
	})
	if err != nil {
		return 0, err
	}
	return <-answer, nil
}

func (p parking) QueueNames(ctx context.Context, prefix string) ([]string, error) {
	return p.e.queueNames(ctx, prefix, true)
}

func (p parking) Owners(ctx context.Context) ([]string, error) {
	answer := make(chan []string, 1)
	err := p.e.request(ctx, func() error {
		uids := make(map[string]bool)
		for _, e := range p.e.s.parked {
			uids[e.uid] = true
		}
		answer <- slices.Sorted(maps.Keys(uids))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return <-answer, nil
}

func (p parking) forget(ctx context.Context, which func(parkedEntry) bool) error {
	return p.e.request(ctx, func() error {
		p.e.s.parked = slices.DeleteFunc(p.e.s.parked, which)
		return nil
	})
}

func (p parking) Forget(ctx context.Context, id uint64) error {
	return p.forget(ctx, func(e parkedEntry) bool { return e.ID == id })
}

func (p parking) ForgetAll(ctx context.Context, uid string, replays bool) error {
	return p.forget(ctx, func(e parkedEntry) bool { return e.uid == uid && (replays || !e.replay) })
}

func (p parking) Sync(ctx context.Context) error { return ctx.Err() }

// bus of one gateway.
type bus struct {
	e    *Engine
	name string

	mu       sync.Mutex
	handlers map[string]func([]byte) []byte
}

// Bus implements subscription.Engine.
func (e *Engine) Bus(gateway string) (subscription.Bus, error) {
	b := &bus{e: e, name: gateway, handlers: make(map[string]func([]byte) []byte)}
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if e.s.buses[gateway] != nil {
		return nil, errors.New("memengine: the gateway is there already")
	}
	e.s.buses[gateway] = b
	return b, nil
}

func (b *bus) Serve(question string, fn func([]byte) []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers[question] = fn
	return nil
}

// deliver has a gateway answer; back gets the answer in the store. The caller
// holds the mu of the store.
func (b *bus) deliver(question string, data []byte, back func([]byte)) {
	b.e.down.put(func() {
		b.mu.Lock()
		fn := b.handlers[question]
		b.mu.Unlock()
		if fn == nil {
			return
		}
		b.e.spawn(func() {
			if answer := fn(data); answer != nil && back != nil {
				b.e.up.put(func() { back(answer) })
			}
		})
	})
}

func (b *bus) Ask(ctx context.Context, gateway, question string, data []byte) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	answer := make(chan result, 1)
	back := func(r result) { b.e.down.put(func() { answer <- r }) }
	b.e.up.put(func() {
		b.e.s.mu.Lock()
		defer b.e.s.mu.Unlock()
		to := b.e.s.buses[gateway]
		if to == nil {
			back(result{nil, fmt.Errorf("%w: %s", queue.ErrNoGateway, gateway)})
			return
		}
		to.deliver(question, data, func(d []byte) { back(result{d, nil}) })
	})
	select {
	case r := <-answer:
		return r.data, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, context.Cause(ctx))
	case <-b.e.ctx.Done():
		return nil, fmt.Errorf("%w: closed", eventlog.ErrUnavailable)
	}
}

func (b *bus) AskAll(ctx context.Context, question string, data []byte, wait time.Duration, enough func([][]byte) bool) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answers := make(chan []byte, 16)
	b.tellAll(question, data, func(d []byte) {
		b.e.down.put(func() {
			select {
			case answers <- d:
			default:
			}
		})
	})
	var out [][]byte
	for !enough(out) {
		select {
		case d := <-answers:
			out = append(out, d)
		case <-ctx.Done():
			return out, nil
		case <-b.e.ctx.Done():
			return out, nil
		}
	}
	return out, nil
}

func (b *bus) Tell(question string, data []byte) { b.tellAll(question, data, nil) }

func (b *bus) tellAll(question string, data []byte, back func([]byte)) {
	b.e.up.put(func() {
		b.e.s.mu.Lock()
		defer b.e.s.mu.Unlock()
		for _, to := range b.e.s.buses {
			to.deliver(question, data, back)
		}
	})
}

func (b *bus) Close() {
	b.e.s.mu.Lock()
	defer b.e.s.mu.Unlock()
	if b.e.s.buses[b.name] == b {
		delete(b.e.s.buses, b.name)
	}
}
