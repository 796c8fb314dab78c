package memengine

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/subscription"
)

// Engine is one gateway's way to the store.
type Engine struct {
	s        *Store
	up, down *wire // to the store, and from it

	mu      sync.Mutex
	losses  uint64
	made    uint64 // anew
	cut     bool
	contact time.Time     // the store was reached then
	ahead   time.Duration // its clock, of ours
	heard   bool          // it was
	closed  bool
	slow    time.Duration // see Slow
	line    chan struct{} // is in it whose question is worked on
	dropped func(queue string, seq uint64)
	healed  chan struct{} // closed while nothing is wrong
	told    chan struct{} // closed while the gateway is told of changes in the bucket
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

var _ subscription.Engine = (*Engine)(nil)

// Engine opens a way.
func (s *Store) Engine() *Engine {
	e := &Engine{s: s, healed: make(chan struct{}), told: make(chan struct{}), line: make(chan struct{}, 1)}
	s.mu.Lock()
	s.engines[e] = true
	s.mu.Unlock()
	close(e.healed)
	close(e.told)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	e.contact = time.Now()
	e.up, e.down = newWire(e), newWire(e)
	if !s.opts.Journal {
		e.wg.Go(e.mind)
	}
	return e
}

// As those of eventlog.
const (
	beatEvery = time.Second
	beatTime  = 2 * time.Second
	quietTime = 4 * time.Second
	leaveTime = 5 * time.Second
)

// mind asks again and again whether the store is reached, and leaves a connection
// that is silent: what lies in it is lost.
func (e *Engine) mind() {
	for {
		sent, told := time.Now(), make(chan time.Time, 1)
		ctx, cancel := context.WithTimeout(e.ctx, beatTime)
		err := e.request(ctx, func() error { told <- e.s.time(); return nil })
		cancel()
		if err == nil {
			e.reached(sent)
			e.hear(sent, <-told)
		} else if time.Since(e.Reached()) > leaveTime && e.ctx.Err() == nil {
			e.drop()
			if e.isWhole() { // it was healed meanwhile: the next connection stands
				e.Heal()
			}
		}
		select {
		case <-time.After(beatEvery):
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) reached(at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at.Sub(e.contact) > quietTime {
		e.losses++
	}
	e.contact = at
}

// Reached implements subscription.Engine.
func (e *Engine) Reached() time.Time {
	if e.s.opts.Journal {
		return time.Now()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.contact
}

// storeAhead is how far the clock of the store is ahead: that of a cluster is none of
// its gateways'.
const storeAhead = 3 * time.Minute

func (s *Store) time() time.Time { return s.byItsClock(time.Now()) }

// byItsClock answers what the clock of the store says at a time.
func (s *Store) byItsClock(at time.Time) time.Time {
	if s.opts.Journal {
		return at
	}
	return at.Add(storeAhead)
}

func (e *Engine) hear(sent, told time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard, e.ahead = true, told.Sub(sent.Add(time.Since(sent)/2))
}

// Time implements subscription.Engine.
func (e *Engine) Time() time.Time {
	if e.s.opts.Journal {
		return time.Now()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.heard {
		return time.Time{}
	}
	return time.Now().Add(e.ahead)
}

// Embedded implements subscription.Engine.
func (e *Engine) Embedded() bool { return e.s.opts.Journal }

// WatchDropped implements subscription.Engine.
func (e *Engine) WatchDropped(fn func(queue string, seq uint64)) (stop func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped = fn
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.dropped = nil
	}, nil
}

func (e *Engine) hearDropped(queue string, seq uint64) {
	e.mu.Lock()
	fn := e.dropped
	e.mu.Unlock()
	if fn != nil {
		fn(queue, seq)
	}
}

// Stall holds everything up until Heal: a silent cut that is over before
// anybody notices.
func (e *Engine) Stall() { e.up.stall(true); e.down.stall(true); e.wound() }

// Sever loses what is under way, and what is sent until Heal: a cut that both ends
// notice.
func (e *Engine) Sever() {
	e.drop()
	e.wound()
}

func (e *Engine) drop() {
	e.mu.Lock()
	e.cut = true
	e.mu.Unlock()
	e.up.sever(true)
	e.down.sever(true)
}

// Untold has nobody tell the gateway of changes in the bucket until Heal: the node has
// died that did, and all else goes on.
func (e *Engine) Untold() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = open(e.told)
}

// Slow has each message that something is asked or confirmed of take a time, one after
// the other, until Heal. So what is handed out may be more than can be looked at, or
// renewed, while it is held. Nothing else is slower: the gateway is not cut off.
func (e *Engine) Slow(each time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slow = each
}

// work waits until the store has come to one more message, unless ctx ends before.
func (e *Engine) work(ctx context.Context) bool {
	e.mu.Lock()
	each := e.slow
	e.mu.Unlock()
	if each == 0 {
		return true
	}
	select {
	case e.line <- struct{}{}:
		defer func() { <-e.line }()
	case <-ctx.Done():
		return false
	case <-e.ctx.Done():
		return false
	}
	select {
	case <-time.After(each):
		return true
	case <-ctx.Done():
	case <-e.ctx.Done():
	}
	return false
}

func (e *Engine) wound() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.healed = open(e.healed)
}

// open answers a channel that is open: the one it is given, or a new one.
func open(c chan struct{}) chan struct{} {
	select {
	case <-c:
		return make(chan struct{})
	default:
		return c
	}
}

// shut closes a channel that may be closed.
func shut(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// Heal ends all of them.
func (e *Engine) Heal() {
	e.mu.Lock()
	if e.cut {
		e.cut = false
		e.losses++
		e.made++
	}
	e.slow = 0
	shut(e.healed)
	shut(e.told)
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
	delete(e.s.engines, e)
	e.s.mu.Unlock()
	e.wg.Wait()
}

// spawn runs fn, which ends soon after the engine does.
func (e *Engine) spawn(fn func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed { // Close may be waiting already
		go fn()
		return
	}
	e.wg.Go(fn)
}

func (e *Engine) gone() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

func (e *Engine) isWhole() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.healed:
		return true
	default:
		return false
	}
}

func (e *Engine) whole(ctx context.Context) bool {
	e.mu.Lock()
	healed := e.healed
	e.mu.Unlock()
	return e.awaits(ctx, healed)
}

// awaits waits for a channel to be closed.
func (e *Engine) awaits(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
	case <-e.ctx.Done():
	}
	return false
}

// isTold waits until the gateway is told of changes.
func (e *Engine) isTold(ctx context.Context) bool {
	e.mu.Lock()
	told := e.told
	e.mu.Unlock()
	return e.awaits(ctx, told)
}

// reconnects answers how often the connection was made anew.
func (e *Engine) reconnects() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.made
}

// Connection implements subscription.Engine.
func (e *Engine) Connection() (uint64, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.losses, !e.cut && !e.closed && (e.s.opts.Journal || time.Since(e.contact) <= quietTime)
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
func (e *Engine) Events() subscription.Log { return e.s.log }

// Holes implements subscription.Engine.
func (e *Engine) Holes(ctx context.Context) (out []eventlog.Missing, err error) {
	answer := make(chan []eventlog.Missing, 1)
	err = e.request(ctx, func() error {
		answer <- e.s.log.Holes()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return <-answer, nil
}

// MakeQueue implements subscription.Engine.
func (e *Engine) MakeQueue(ctx context.Context, c queue.Config) error {
	return e.request(ctx, func() error {
		if e.s.queues[c.Name] == nil {
			e.s.queues[c.Name] = newQueue(c)
			e.s.pump(e.s.queues[c.Name])
		}
		return nil
	})
}

// UpdateQueue implements subscription.Engine.
func (e *Engine) UpdateQueue(ctx context.Context, c queue.Config) error {
	return e.request(ctx, func() error {
		q := e.s.queues[c.Name]
		if q == nil {
			return queue.ErrNoQueue
		}
		c.From, c.Pinned = q.cfg.From, q.cfg.Pinned
		for _, p := range q.pending { // as of what was handed out before
			p.due, p.told, p.before = p.due.Add(c.Hold-q.cfg.Hold), p.told.Add(c.Hold-q.cfg.Hold), p.before.Add(c.Hold-q.cfg.Hold)
		}
		q.cfg = c
		e.s.pump(q)
		return nil
	})
}

// DeleteQueue implements subscription.Engine.
func (e *Engine) DeleteQueue(ctx context.Context, c queue.Config) error {
	return e.request(ctx, func() error {
		if q := e.s.queues[c.Name]; q != nil {
			for _, r := range q.waiting {
				r.endAbsent()
			}
		}
		delete(e.s.queues, c.Name)
		delete(e.s.synced, c.Name)
		return nil
	})
}

// Leading implements subscription.Engine. The leader heard of the others a moment before
// it was asked.
func (e *Engine) Leading(ctx context.Context, c queue.Config) (queue.Leading, error) {
	sent := time.Now()
	answer := make(chan time.Duration, 1)
	err := e.request(ctx, func() error {
		q := e.s.queues[c.Name]
		if q == nil {
			return queue.ErrNoQueue
		}
		answer <- time.Since(q.led)
		return nil
	})
	if err != nil {
		return queue.Leading{}, err
	}
	return queue.Leading{Since: time.Now().Add(-<-answer), Reached: sent.Add(-e.s.latency())}, nil
}

// QueueState implements subscription.Engine.
func (e *Engine) QueueState(ctx context.Context, c queue.Config) (queue.State, error) {
	answer := make(chan queue.State, 1)
	err := e.request(ctx, func() error {
		q := e.s.queues[c.Name]
		if q == nil {
			return queue.ErrNoQueue
		}
		st := q.state()
		c.From, c.Pinned = q.cfg.From, q.cfg.Pinned
		st.AsAsked = reflect.DeepEqual(c, q.cfg)
		if q.cfg.Replays == "" {
			st.Waiting = e.s.waits(q)
		}
		answer <- st
		return nil
	})
	if err != nil {
		return queue.State{}, err
	}
	return <-answer, nil
}

// QueueNames implements subscription.Engine.
func (e *Engine) QueueNames(ctx context.Context, prefix string) ([]string, error) {
	return e.queueNames(ctx, prefix, false)
}

func (e *Engine) queueNames(ctx context.Context, prefix string, replays bool) ([]string, error) {
	answer := make(chan []string, 1)
	err := e.request(ctx, func() error {
		var out []string
		for name, q := range e.s.queues {
			if (q.cfg.Replays != "") == replays && strings.HasPrefix(name, prefix) {
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
func (e *Engine) Say(c queue.Config, words ...queue.Word) {
	while := time.Duration(0)
	if !e.Embedded() {
		while = leaveTime
	}
	words = slices.DeleteFunc(slices.Clone(words), func(w queue.Word) bool { return late(w, while) })
	e.up.put(func() {
		e.s.mu.Lock()
		defer e.s.mu.Unlock()
		for _, w := range words {
			e.s.hear(c.Name, w)
		}
	})
}

// late reports whether it is too late to say a word that takes a while to arrive.
func late(w queue.Word, while time.Duration) bool {
	return !w.Until.IsZero() && time.Until(w.Until) <= while
}

// Confirm implements subscription.Engine. JetStream does not answer to a word
// about what it has not handed out.
func (e *Engine) Confirm(ctx context.Context, c queue.Config, words []queue.Word) ([]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	ok := make([]bool, len(words))
	for at := 0; at < len(words); {
		n := e.worked(ctx, len(words)-at)
		if n == 0 {
			return ok, fmt.Errorf("%w: %w", eventlog.ErrUnavailable, context.Cause(ctx))
		}
		if err := e.confirm(ctx, c, words[at:at+n], ok[at:at+n]); err != nil {
			return ok, err
		}
		at += n
	}
	if slices.Contains(ok, false) {
		return ok, fmt.Errorf("%w: not all words were answered", eventlog.ErrUnavailable)
	}
	return ok, nil
}

// worked answers of how many of n words the store has come to: of all, or of one after
// the other while it is slow.
func (e *Engine) worked(ctx context.Context, n int) int {
	e.mu.Lock()
	slow := e.slow > 0
	e.mu.Unlock()
	switch {
	case !slow:
		return n
	case e.work(ctx):
		return 1
	}
	return 0
}

func (e *Engine) confirm(ctx context.Context, c queue.Config, words []queue.Word, ok []bool) error {
	answer := make(chan []bool, 1)
	said := slices.Clone(words)
	err := e.request(ctx, func() error {
		heard := make([]bool, len(said))
		for i, w := range said {
			heard[i] = !late(w, 0) && e.s.hear(c.Name, w)
		}
		answer <- heard
		return nil
	})
	if err == nil {
		copy(ok, <-answer)
	}
	return err
}

// OpenAcks implements subscription.Engine.
func (e *Engine) OpenAcks(context.Context) (subscription.Journal, error) {
	if !e.Embedded() {
		return nil, nil
	}
	return journal{e}, nil
}

type journal struct{ e *Engine }

func (j journal) Keep(ctx context.Context, acks []queue.Ack) error {
	return j.e.request(ctx, func() error {
		for _, a := range acks {
			j.e.s.acks[a] = true
		}
		return nil
	})
}

func (j journal) Settled(q string, seq uint64) bool {
	j.e.s.mu.Lock()
	defer j.e.s.mu.Unlock()
	return j.e.s.acks[queue.Ack{Queue: q, Seq: seq}]
}

func (j journal) Queues() []string {
	j.e.s.mu.Lock()
	defer j.e.s.mu.Unlock()
	names := make(map[string]bool)
	for a := range j.e.s.acks {
		names[a.Queue] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (j journal) Forget(q string) {
	j.e.s.mu.Lock()
	defer j.e.s.mu.Unlock()
	maps.DeleteFunc(j.e.s.acks, func(a queue.Ack, _ bool) bool { return a.Queue == q })
}
