package queue

import (
	"context"
	"sync"
	"time"
)

// A Pin is what one gateway knows of the pin of one queue. JetStream gives it to
// the request that has waited longest, be it one of a puller that has ended, and
// answers others from then on only when they bring it along. So all pullers of the
// queue on a gateway share one Pin: what comes to any of them makes it known to
// all.
type Pin struct {
	e   *Engine
	cfg Config

	// mu guards what follows. It is taken last: pullers learn and ask under their own.
	mu       sync.Mutex
	id       string // empty: it is another gateway's, or nobody's
	released string // the last that was given up; what was under way may still bring it
}

// Pin answers the Pin of the queue for a gateway, which does not have it yet, and
// never will when the queue is not pinned.
func (e *Engine) Pin(c Config) *Pin { return &Pin{e: e, cfg: c} }

// Ours reports whether this gateway has the pin, as far as it was told.
func (p *Pin) Ours() bool { return p.known() != "" }

// Release lets another gateway be handed what there is, when this one has the
// pin. It returns at once. When JetStream does not hear of it, the queue is free
// after PinTime.
func (p *Pin) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id == "" {
		return
	}
	p.released, p.id = p.id, ""
	go p.unpin()
}

// unpinTime bounds how long JetStream may take to hear that a pin is given up.
const unpinTime = time.Second

func (p *Pin) unpin() {
	ctx, cancel := context.WithTimeout(context.Background(), unpinTime)
	defer cancel()
	st, err := p.e.JS().Stream(ctx, p.cfg.stream())
	if err == nil {
		err = st.UnpinConsumer(ctx, p.cfg.Name, pinGroup)
	}
	if err != nil {
		p.e.Logger().Debug("releasing a queue", "queue", p.cfg.Name, "err", err)
	}
}

// known answers the pin to ask with.
func (p *Pin) known() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id
}

// learn takes the pin that a message came with; empty: none. What was given up is
// not taken again: JetStream is about to forget it.
func (p *Pin) learn(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id != "" && id != p.released {
		p.id = id
	}
}

// refused forgets the pin that a request was refused with. A newer one, which came
// to another request meanwhile, stays.
func (p *Pin) refused(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id == id {
		p.id = ""
	}
}
