package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hookstream/hookstream/subscription"
)

// A world is gateways on one log, with faults. It is made of memory, or of the
// real engine.
type world interface {
	// gateways answers those that live.
	gateways() []*subscription.Manager
	// publish appends an event and answers its sequence.
	publish(typ, entity string) (uint64, error)
	// fault makes something happen to gateway n, if the world knows it.
	fault(kind string, n int)
	// heal ends all faults.
	heal()
	// describe answers what the engine has to say of its state, for a report.
	describe() string
	// forgets reports whether the engine dies with its gateway, and forgets what it
	// handed out in its last seconds.
	forgets() bool
	// drop has the log forget about everything up to seq, which droppable allows.
	drop(seq uint64)
	droppable(seq uint64) uint64
}

// A step is one thing that happens, some time after the one before.
type step struct {
	Wait time.Duration
	Do   string
	N    int    // which gateway or consumer, how many
	Kind string // of a consumer, of an event
	Seed uint64
}

func (s step) String() string {
	return fmt.Sprintf("%s %s(%s %d, seed %d)", s.Wait, s.Do, s.Kind, s.N, s.Seed)
}

// A schedule is a play of which nothing is left to chance but what goroutines
// do at the same moment.
type schedule struct {
	Settings subscription.Settings
	Steps    []step
	Seed     uint64
}

// consuming is one consumer.
type consuming struct {
	name  string
	g     *subscription.Manager
	pulls bool
	holds map[*handed]bool // under the mu of the story
	p     *play
	rand  *rand.Rand
	kind  string
	left  int // of a mortal: until it dies
	since time.Time
	end   context.CancelFunc
	done  chan struct{}
	wg    sync.WaitGroup
}

func (c *consuming) String() string { return c.name }

// play is a schedule under way.
type play struct {
	*story
	w         world
	sch       schedule
	ctx       context.Context
	end       context.CancelFunc
	consumers []*consuming
	seqs      []uint64
	dog       watchdog
}

const subID = "crm"

// run plays a schedule, and answers what became of it: an empty text when all
// promises were kept. Bound is the longest silence that no fault explains.
func (sch schedule) run(w world, bound time.Duration) string {
	p := &play{story: newStory(sch.Settings), w: w, sch: sch}
	p.ctx, p.end = context.WithCancel(context.Background())
	defer p.end()
	sub, err := w.gateways()[0].Create(p.ctx, subID, sch.Settings, subscription.Position{Earliest: true})
	if err != nil {
		return "create: " + err.Error()
	}
	p.generation(sub)
	p.story.forgets = w.forgets()
	p.dog = watchdog{calm: bound, troubled: silence, changed: time.Now()}
	watching, enough := context.WithCancel(p.ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); p.watch(watching) }()
	for _, s := range sch.Steps {
		time.Sleep(s.Wait)
		p.begins(s)
		p.step(s)
		p.ends(s)
	}
	enough()
	<-watched
	p.drain(bound)
	p.account()
	for _, c := range p.consumers {
		p.stop(c)
	}
	p.finish()
	if len(p.wrong) == 0 {
		return ""
	}
	return p.tell()
}

func (p *play) step(s step) {
	gs := p.w.gateways()
	switch s.Do {
	case "publish":
		for range s.N {
			p.publishOne(s.Kind)
		}
	case "attach":
		p.attach(gs[s.N%len(gs)], s.Kind, s.Seed)
	case "leave":
		if len(p.consumers) > 0 {
			p.stop(p.consumers[s.N%len(p.consumers)])
		}
	case "seek":
		p.seek(gs[s.N%len(gs)], s)
	case "pause", "resume":
		p.pause(gs[s.N%len(gs)], s.Do == "pause")
	case "drop":
		if len(p.seqs) > 0 {
			seq := p.w.droppable(p.seqs[int(s.Seed%uint64(len(p.seqs)))])
			time.Sleep(10 * time.Millisecond) // retention takes nothing that no gateway has seen: the hub would wait for it
			p.drops(seq)
			p.w.drop(seq)
		}
	case "replay":
		p.replay(gs[s.N%len(gs)])
	case "heal":
		p.say("all is healed")
		p.w.heal()
	case "kill":
		p.say("gateway %d dies", s.N%len(gs))
		p.dies(gs[s.N%len(gs)])
		p.w.fault(s.Do, s.N)
	default:
		p.say("%s of gateway %d", s.Do, s.N)
		p.w.fault(s.Do, s.N)
	}
}

// dies tells that nobody hears of a gateway any more.
func (p *play) dies(g *subscription.Manager) {
	p.mu.Lock()
	p.dead[g] = true
	p.deaths = append(p.deaths, p.now)
	p.mu.Unlock()
	for _, c := range p.consumers {
		if c.g == g {
			p.gone(c)
			c.end()
		}
	}
}

func (p *play) publishOne(entity string) {
	typ := "signature_request.done"
	if entity == "unselected" {
		typ = "signer.done"
	}
	p.mu.Lock() // a consumer may be faster than we are
	defer p.mu.Unlock()
	seq, err := p.w.publish(typ, entity)
	if err != nil {
		p.tick("publish: %v", err)
		return
	}
	p.seqs = append(p.seqs, seq)
	e := p.event(seq)
	e.entity, e.selected = entity, entity != "unselected"
	e.at = time.Now()
	e.published = p.tick("event %d of %q is published", seq, entity)
}

func (p *play) seek(g *subscription.Manager, s step) {
	to := subscription.Position{Earliest: s.Kind == "earliest"}
	if s.Kind == "middle" {
		at := p.began.Add(time.Duration(s.Seed % uint64(time.Since(p.began)+1)))
		to.At = &at
	}
	p.seeking()
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	for {
		sub, err := g.Seek(ctx, subID, "", to)
		if err == nil {
			p.generation(sub)
			return
		}
		p.say("seek: %v", err)
		if ctx.Err() != nil {
			return // it may have been or not
		}
		p.w.heal()
		gs := p.w.gateways()
		g = gs[0]
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *play) pause(g *subscription.Manager, pause bool) {
	do := g.Resume
	if pause {
		do = g.Pause
	}
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	_, err := do(ctx, subID, "")
	p.say("paused %v: %v", pause, err)
}

// replay hands out again what is parked.
func (p *play) replay(g *subscription.Manager) {
	parked, ok := p.parked()
	if !ok || len(parked) == 0 {
		return
	}
	at := p.replaying(parked)
	which := subscription.Selection{}
	for _, d := range parked {
		which.IDs = append(which.IDs, d.ID)
	}
	ctx, cancel := context.WithTimeout(p.ctx, 10*time.Second)
	defer cancel()
	n, err := g.ReplayParked(ctx, subID, which, false)
	p.replayed(at, parked, n, err)
}

func (p *play) attach(g *subscription.Manager, kind string, seed uint64) *consuming {
	c := &consuming{
		name: fmt.Sprintf("%s-%d", kind, len(p.consumers)), g: g, p: p, kind: kind, rand: rand.New(rand.NewPCG(seed, 1)),
		holds: make(map[*handed]bool), done: make(chan struct{}), left: int(seed%5) + 1,
		pulls: kind == "puller", since: time.Now(),
	}
	ctx, cancel := context.WithCancel(p.ctx)
	c.end = cancel
	p.mu.Lock()
	p.consumers = append(p.consumers, c)
	p.mu.Unlock()
	o := subscription.ConsumerOptions{ClientID: c.name, MaxEvents: []int{0, 1, 3, 10}[seed%4]}
	p.say("%s begins, takes %d", c, o.MaxEvents)
	go func() {
		defer close(c.done)
		if c.pulls {
			c.pull(ctx, g, o)
			return
		}
		err := g.Attach(ctx, subID, o, func(f subscription.Frame) error { return c.take(ctx, f) })
		p.say("%s has ended: %v", c, err)
		p.gone(c)
	}()
	return c
}

func (c *consuming) pull(ctx context.Context, g *subscription.Manager, o subscription.ConsumerOptions) {
	for ctx.Err() == nil {
		some, err := g.Pull(ctx, subID, o, 2*time.Second)
		if errors.Is(err, subscription.ErrClosed) || c.p.isDead(g) {
			c.p.lost(c, some)
			return
		}
		if len(some) > 0 {
			c.p.takesFrom(c, time.Now().Add(time.Hour)) // not before it is done with these
		}
		for _, h := range c.p.handed(c, some) {
			c.handle(ctx, h)
		}
		if len(some) > 0 {
			c.p.takesFrom(c, time.Now())
		}
		if err != nil {
			time.Sleep(200 * time.Millisecond)
		}
	}
}

var errDead = errors.New("the consumer is dead")

func (c *consuming) take(ctx context.Context, f subscription.Frame) error {
	if len(f.Deliveries) == 0 {
		return nil
	}
	if c.p.isDead(c.g) {
		c.p.lost(c, f.Deliveries)
		return errDead
	}
	some := c.p.handed(c, f.Deliveries)
	if c.kind == "mortal" {
		if c.left -= len(some); c.left <= 0 {
			c.p.gone(c)
			return errDead
		}
	}
	if c.kind == "frozen" {
		<-ctx.Done()
		return ctx.Err()
	}
	for _, h := range some {
		r := rand.New(rand.NewPCG(c.rand.Uint64(), 2))
		c.wg.Go(func() { c.handleWith(ctx, h, r) })
	}
	return nil
}

func (c *consuming) handle(ctx context.Context, h *handed) { c.handleWith(ctx, h, c.rand) }

// handleWith does with a delivery what a consumer of the kind does.
func (c *consuming) handleWith(ctx context.Context, h *handed, r *rand.Rand) {
	short := time.Duration(r.Int64N(int64(50 * time.Millisecond)))
	long := time.Duration(r.Int64N(int64(2 * c.p.sch.Settings.AckDeadline)))
	s := subscription.Settlement{Verdict: subscription.Ack}
	switch c.kind {
	case "deaf", "frozen":
		return
	case "refusing":
		if r.IntN(10) == 0 {
			s.Verdict = subscription.Retry
		}
	case "slow":
		short = long
	case "flaky":
		c.flaky(ctx, h, r, short, long)
		return
	}
	if sleep(ctx, short) {
		c.settle(ctx, h, r, s)
	}
}

func (c *consuming) flaky(ctx context.Context, h *handed, r *rand.Rand, short, long time.Duration) {
	s := subscription.Settlement{Verdict: subscription.Ack}
	switch n := r.IntN(20); {
	case n < 6:
		s.Verdict = subscription.Retry
		if n < 2 {
			delay := time.Duration(r.Int64N(int64(2 * time.Second)))
			s.Delay = &delay
		}
	case n == 6:
		s.Verdict = subscription.Skip
	case n == 7:
		s.Verdict = subscription.Park
	case n == 8:
		short = long
	case n < 11:
		if !sleep(ctx, short) {
			return
		}
		c.settle(ctx, h, r, subscription.Settlement{Verdict: subscription.Extend, Extension: time.Second + long})
		short = long
	case n == 11:
		return
	case n < 14:
		s.Verdict = subscription.Release
	}
	if sleep(ctx, short) {
		c.settle(ctx, h, r, s)
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle says a word through whichever gateway, again while it is unavailable.
func (c *consuming) settle(ctx context.Context, h *handed, r *rand.Rand, s subscription.Settlement) {
	w := c.p.word(h, s.Verdict)
	s.Token = h.Token
	for n := range 20 {
		gs := c.p.w.gateways()
		g := gs[r.IntN(len(gs))]
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		res := g.Settle(asking, subID, []subscription.Settlement{s})[0]
		cancel()
		c.p.answered(h, w, res)
		if res.Outcome != subscription.Unavailable || n > 2 && ctx.Err() != nil || !sleep(c.p.ctx, 200*time.Millisecond) {
			return
		}
	}
}

// stop ends a consumer as a process that dies does.
func (p *play) stop(c *consuming) {
	p.gone(c)
	c.end()
	<-c.done
	c.wg.Wait()
}

// drain heals everything and waits until nothing is left to be handed out, or
// nothing has been for too long.
func (p *play) drain(bound time.Duration) {
	p.say("the end: all is healed")
	p.w.heal()
	p.learnAll(bound)
	for _, c := range p.consumers {
		if c.kind != "healthy" && c.kind != "puller" {
			p.stop(c)
		}
	}
	for _, g := range p.w.gateways() {
		p.attach(g, "healthy", 0)
	}
	p.mu.Lock()
	p.quiet = time.Now()
	p.mu.Unlock()
	for began := time.Now(); ; time.Sleep(250 * time.Millisecond) {
		p.learn()
		p.resume()
		left, quiet := p.unresolved(p.parked())
		if len(left) == 0 {
			return
		}
		if quiet > bound || time.Since(began) > 20*bound {
			p.mu.Lock()
			p.broken("silence of %s: events %d are neither acknowledged nor parked, and nobody is handed them", quiet, left)
			p.describe()
			p.mu.Unlock()
			return
		}
	}
}

// account compares how many events are missed with what nobody was handed, where
// nothing happened to a gateway.
func (p *play) account() {
	for _, s := range p.sch.Steps {
		if !slices.Contains([]string{"publish", "attach", "leave", "seek", "pause", "resume", "drop", "replay"}, s.Do) {
			return
		}
	}
	time.Sleep(5 * time.Second) // the gateways look
	st, err := p.w.gateways()[0].State(p.ctx, subID)
	if err != nil {
		p.say("state: %v", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if least, most := p.missed(); st.Missed < least || st.Missed > most {
		p.broken("%d events are missed, and %d to %d must be", st.Missed, least, most)
		p.describe()
	}
}

// describe tells of the engine and its gateways. The caller holds mu.
func (p *play) describe() {
	p.tick("the engine: %s", p.w.describe())
	for _, g := range p.w.gateways() {
		p.tick("gateway %s", g.Describe(subID))
	}
}

// resume ends a pause that is in force, be it one of which no answer came.
func (p *play) resume() {
	for _, g := range p.w.gateways() {
		if sub, err := g.Get(subID); err == nil && sub.Paused {
			p.pause(g, false)
			return
		}
	}
}

// learn tells of a generation that a gateway knows: a seek of which no answer came may
// be in force.
func (p *play) learn() {
	for _, g := range p.w.gateways() {
		if sub, err := g.Get(subID); err == nil {
			p.generation(sub)
		}
	}
}

// learnAll waits until it is known whether each seek is in force of which no answer
// came: all is healed. What is changed in nothing is answered as the bucket has it.
func (p *play) learnAll(bound time.Duration) {
	ctx, cancel := context.WithTimeout(p.ctx, bound)
	defer cancel()
	for ctx.Err() == nil {
		sub, err := p.w.gateways()[0].Update(ctx, subID, "", func(*subscription.Settings) error { return nil })
		if err == nil {
			p.generation(sub)
			return
		}
		p.say("what is in force: %v", err)
		sleep(ctx, 250*time.Millisecond)
	}
}

// parked answers what is parked, and whether that is all.
func (p *play) parked() (out []subscription.ParkedDelivery, ok bool) {
	return p.parkedAt(p.ctx, p.w.gateways()[0])
}

func (p *play) parkedAt(ctx context.Context, g *subscription.Manager) (out []subscription.ParkedDelivery, ok bool) {
	page := ""
	for {
		some, next, err := g.ListParked(ctx, subID, 100, page)
		if err != nil {
			p.say("list parked: %v", err)
			return out, false
		}
		if out = append(out, some...); next == "" {
			return out, true
		}
		page = next
	}
}
