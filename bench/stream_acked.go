package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookstream/hookstream/bench/load"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const (
	// ackedOutstanding is how many events may be unsettled.
	ackedOutstanding = 10_000
	// ackCalls is how many calls of a consumer may be on the way.
	ackCalls = 4
	// ackedLimit is how long it may take: the stream of a subscription does not end
	// when there is nothing left.
	ackedLimit = 2 * time.Minute
)

// An acked scenario has consumers of a durable subscription read the log from its
// beginning to its end and acknowledge every event.
type acked struct{ consumers int64 }

func ackedScenarios() (all []Scenario) {
	for _, a := range []acked{{1}, {10}} {
		all = append(all, Scenario{
			Name:    fmt.Sprintf("acked/%d", a.consumers),
			About:   fmt.Sprintf("a durable subscription over a log of %d events, consumers: %d; an event counts when its ack is confirmed", replayEvents, a.consumers),
			Measure: a.measure,
		})
	}
	return all
}

func (a acked) measure(ctx context.Context, b *Bench) (Result, error) {
	dir, err := b.oldLog(ctx)
	if err != nil {
		return Result{}, err
	}
	r, err := b.Hold(ctx, Contest{
		Subject: Contender{Name: "gateway", Round: func(ctx context.Context, _ time.Duration) (Sample, error) {
			return a.gateway(ctx, b, dir)
		}},
		Baselines: []Contender{a.baseline(b, dir, jetStreamDoubleAck), a.baseline(b, dir, jetStreamAck)},
	})
	r.Notes = append(r.Notes,
		fmt.Sprintf("the log holds %d events, and the gateway was started for each round", b.some(replayEvents)),
		fmt.Sprintf("each batch of the gateway's is acknowledged by one call, up to %d at once for each consumer; what it confirms is on the disk", ackCalls),
		jetStreamDoubleAck+" confirms each ack, "+jetStreamAck+" none; neither has it on the disk by then",
		"both fetch 256 in the process of the log, without any network")
	return r, err
}

func (a acked) baseline(b *Bench, dir, name string) Contender {
	return Contender{Name: name, Round: func(ctx context.Context, _ time.Duration) (Sample, error) {
		return b.readByBaseline(ctx, b.some(replayEvents), name, dir, strconv.FormatInt(a.consumers, 10))
	}}
}

func (a acked) gateway(ctx context.Context, b *Bench, dir string) (Sample, error) {
	g, err := b.StartGateway(ctx, dir)
	if err != nil {
		return Sample{}, err
	}
	profiled := b.profile(ctx, g.Process) // of every round: each has a gateway of its own
	sample, err := a.consume(ctx, g, b.some(replayEvents))
	profiled()
	_, sample.Peak, _ = g.Memory() // elsewhere than on Linux it is not known
	return sample, errors.Join(err, g.Stop())
}

// consume has the n events of the log acknowledged, by a subscription that is
// there only meanwhile: the log is shared.
func (a acked) consume(ctx context.Context, g *Gateway, n int64) (Sample, error) {
	subscriptions := hookstreamv1.NewSubscriptionServiceClient(g.api)
	made, err := subscriptions.CreateSubscription(ctx, &hookstreamv1.CreateSubscriptionRequest{
		SubscriptionId: "bench",
		Subscription:   &hookstreamv1.Subscription{MaxOutstandingEvents: ackedOutstanding},
		Start:          &hookstreamv1.CreateSubscriptionRequest_Earliest{Earliest: true},
	})
	if err != nil {
		return Sample{}, fmt.Errorf("bench: create a subscription: %w", err)
	}
	sample, err := acknowledgeAll(ctx, g.server(load.Handed, &hookstreamv1.SubscribeRequest{
		Subscription: made.GetName(), View: hookstreamv1.EventView_EVENT_VIEW_METADATA,
	}), a.consumers, n)
	_, failed := subscriptions.DeleteSubscription(ctx, &hookstreamv1.DeleteSubscriptionRequest{Name: made.GetName()})
	return sample, errors.Join(err, failed)
}

// acknowledgeAll opens consumers of a subscription, which acknowledge what they
// are handed until each of n events is.
func acknowledgeAll(ctx context.Context, s streamServer, consumers, n int64) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, ackedLimit)
	defer cancel()
	streaming, stop := context.WithCancel(ctx)
	defer stop()
	c := &confirmations{done: make([]bool, n), stop: stop}
	_, sample, err := s.once(streaming, consumers, func(st *load.Stream) error { return c.consume(ctx, streaming, st) })
	sample.Events = c.n
	if err == nil && c.n != n {
		err = fmt.Errorf("bench: %d acks were confirmed in %s, want %d", c.n, sample.Took, n)
	}
	return sample, err
}

// confirmations are the events of a log whose acks were confirmed.
type confirmations struct {
	stop func() // called with the last one, and when one fails

	mu   sync.Mutex
	done []bool // by sequence, from 1
	n    int64
}

// consume is one consumer, until streaming ends.
func (c *confirmations) consume(ctx, streaming context.Context, st *load.Stream) error {
	var calls errgroup.Group
	calls.SetLimit(ackCalls)
	err := receive(st, func(h load.Hand) {
		calls.Go(func() error { return c.acknowledge(ctx, st, h) })
	})
	if streaming.Err() != nil {
		err = nil // all is done, or a call says why not
	}
	return errors.Join(calls.Wait(), err)
}

// receive calls take with what the stream is handed until it ends.
func receive(st *load.Stream, take func(load.Hand)) error {
	for {
		if err := st.Next(); err != nil {
			return fmt.Errorf("bench: consume: %w", err)
		}
		if h := st.Hand(); len(h.Seqs) > 0 {
			take(h)
		}
	}
}

func (c *confirmations) acknowledge(ctx context.Context, st *load.Stream, h load.Hand) error {
	err := st.Acknowledge(ctx, h)
	if err == nil {
		err = c.add(h.Seqs)
	}
	if err != nil {
		c.stop()
	}
	return err
}

// add counts events whose acks were confirmed. None may be confirmed twice.
func (c *confirmations) add(seqs []uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, seq := range seqs {
		if seq < 1 || seq > uint64(len(c.done)) {
			return fmt.Errorf("bench: the ack of event %d was confirmed, of a log of %d", seq, len(c.done))
		}
		if c.done[seq-1] {
			return fmt.Errorf("bench: the ack of event %d was confirmed twice", seq)
		}
		c.done[seq-1] = true
		c.n++
	}
	if c.n == int64(len(c.done)) {
		c.stop()
	}
	return nil
}
