package main

import (
	"sync"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/simulator"
)

// A ledger compares what senders were promised with what consumers got, by the
// senders' event ids.
type ledger struct {
	mu                           sync.Mutex
	sent, acknowledged, received int
	owed                         map[string]bool // acknowledged, not yet received
	early                        map[string]bool // received, not yet acknowledged, or sent by somebody else
	changed                      chan struct{}   // holds something after every change
}

func newLedger() *ledger {
	return &ledger{owed: make(map[string]bool), early: make(map[string]bool), changed: make(chan struct{}, 1)}
}

// posted notes a webhook and its answer.
func (l *ledger) posted(r simulator.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if !r.Acknowledged() {
		return
	}
	l.acknowledged++
	if l.early[r.EventID] {
		delete(l.early, r.EventID)
	} else {
		l.owed[r.EventID] = true
	}
}

// deliver notes events that came out.
func (l *ledger) deliver(events []*hookstreamv1.Event) {
	l.mu.Lock()
	for _, e := range events {
		l.received++
		if id := e.GetProviderEventId(); l.owed[id] {
			delete(l.owed, id)
		} else {
			l.early[id] = true
		}
	}
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// missing is how many acknowledged webhooks have not come out.
func (l *ledger) missing() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.owed)
}

// counts are webhooks sent, webhooks acknowledged, and events received, those of
// other senders included.
func (l *ledger) counts() (sent, acknowledged, received int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent, l.acknowledged, l.received
}

// A ledgerPrinter notes events when they can be seen, so that a number is never
// ahead of the lines above it.
type ledgerPrinter struct {
	deliveryPrinter
	ledger *ledger
	events []*hookstreamv1.Event
}

func (p *ledgerPrinter) print(d *hookstreamv1.Delivery) error {
	p.events = append(p.events, d.GetEvent())
	return p.deliveryPrinter.print(d)
}

func (p *ledgerPrinter) flush() error {
	err := p.deliveryPrinter.flush()
	p.ledger.deliver(p.events)
	p.events = nil
	return err
}
