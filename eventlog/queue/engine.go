// Package queue is what subscriptions are built on: queues that hand out the events
// of the log to the gateways, the journal of what was settled, the counts of what was
// handed out in vain, what was parked, and the bus on which gateways ask each other.
// It stands on the engine in eventlog/jetstream.
package queue

import (
	"sync"

	"github.com/hookstream/hookstream/eventlog/jetstream"
)

// Engine is the queues of an engine, and what goes with them.
type Engine struct {
	*jetstream.Engine

	acks oneAcks

	// mu guards confirms, and is held while they are made: there is one.
	mu       sync.Mutex
	confirms *confirms
}

// On answers the queues of an engine, always the same: a snapshot of one of two
// journals would purge what the other knows.
func On(e *jetstream.Engine) *Engine {
	return e.Companion(func() any { return &Engine{Engine: e} }).(*Engine)
}

// confirming answers who asks for confirmations, on the connection that all
// queues share.
func (e *Engine) confirming() (*confirms, error) {
	nc, err := e.Deliveries()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.confirms == nil {
		c := newConfirms(nc)
		if err := c.listen(); err != nil {
			return nil, err
		}
		e.confirms = c
	}
	return e.confirms, nil
}
