package subscription_test

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hookstream/hookstream/subscription"
)

// A watchdog barks at a silence in the course of a play that nothing explains:
// there has been something to be handed out for a while, and for as long somebody
// to take it, at a gateway to which nothing happens. Its fields are under the mu of
// the story.
type watchdog struct {
	// calm is how long nothing may be handed out after all was healed, and
	// troubled while something is done to other gateways.
	calm, troubled time.Duration
	changed        time.Time    // when something last happened that explains silence
	ill            map[int]bool // gateways to which something happens
	allIll         bool
}

// begins notes a step before it is taken, and ends after it.
func (p *play) begins(s step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &p.dog
	switch s.Do {
	case "publish", "attach", "leave", "clock": // which explain no silence
		return
	case "heal":
		d.ill, d.allIll = nil, false
	case "stall", "deafen", "sever", "lose", "delay", "untell":
		if d.ill == nil {
			d.ill = make(map[int]bool)
		}
		d.ill[s.N%len(p.w.gateways())] = true
	default: // until it is over
		d.allIll = d.allIll || strings.HasSuffix(s.Do, "node") || s.Do == "node dies"
	}
	d.changed = time.Now().Add(time.Hour)
}

func (p *play) ends(s step) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s.Do {
	case "publish", "attach", "leave", "clock": // which explain no silence
		return
	}
	p.dog.changed = time.Now()
}

const watchEvery = 250 * time.Millisecond

// watch barks once, until ctx ends.
func (p *play) watch(ctx context.Context) {
	for sleep(ctx, watchEvery) {
		p.learn()
		g, left := p.suspicious(nil)
		if len(left) == 0 {
			continue
		}
		parked, ok := p.parkedAt(ctx, g)
		if sub, err := g.Get(subID); !ok || err != nil || sub.Paused {
			continue
		}
		p.unresolved(parked, true)
		if _, left = p.suspicious(left); len(left) == 0 {
			continue
		}
		p.mu.Lock()
		p.broken("silence of %s in the middle: nobody is handed events %d", time.Since(p.quiet), left)
		p.describe()
		p.mu.Unlock()
		return
	}
}

// suspicious answers what should have been handed out by now, and by which gateway.
// Of all, or of some.
func (p *play) suspicious(some []uint64) (g *subscription.Manager, left []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &p.dog
	bound := d.calm
	if len(d.ill) > 0 {
		bound = max(d.calm, d.troubled)
	}
	since := time.Now().Add(-bound)
	if d.allIll || d.changed.After(since) || p.quiet.After(since) {
		return nil, nil
	}
	for i, alive := range p.w.gateways() {
		if !d.ill[i] && slices.ContainsFunc(p.consumers, func(c *consuming) bool { return c.g == alive && c.takes(since) }) {
			g = alive
		}
	}
	if g == nil {
		return nil, nil
	}
	for seq, e := range p.events {
		if e.at.Before(since) && !p.resolved(e) && (some == nil || slices.Contains(some, seq)) {
			left = append(left, seq)
		}
	}
	slices.Sort(left)
	return g, left
}

// takesFrom tells since when a consumer takes what it is handed.
func (p *play) takesFrom(c *consuming, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.since = at
}

// takes reports whether a consumer has been there since a time, and takes all it is
// handed and settles it.
func (c *consuming) takes(since time.Time) bool {
	select {
	case <-c.done:
		return false
	default:
	}
	return c.since.Before(since) && (c.kind == "healthy" || c.kind == "puller" || c.kind == "refusing")
}
