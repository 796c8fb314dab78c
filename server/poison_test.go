package server

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// victims are consumers that one event kills, each time with whatever else they
// hold.
type victims struct {
	w      *subscriptionWorld
	by     way
	name   string
	poison string

	mu     sync.Mutex
	deaths int
	done   map[string]bool // by the provider's id, confirmed
}

// run is one of them: as soon as it is dead there is another.
func (v *victims) run(ctx context.Context) {
	for ctx.Err() == nil {
		life, end := context.WithCancel(ctx)
		c, err := v.by.open(life, v.w.addrs(), &hookstreamv1.SubscribeRequest{
			Subscription: v.name, ClientId: "victim", FlowControl: &hookstreamv1.FlowControl{MaxOutstandingEvents: 20},
		})
		if err == nil {
			v.live(ctx, c)
			c.die()
		}
		end()
	}
}

func (v *victims) live(ctx context.Context, c caller) {
	for {
		f, err := c.next()
		if err != nil {
			return
		}
		var handled []*hookstreamv1.Delivery
		for _, d := range f.GetBatch().GetDeliveries() {
			if d.GetEvent().GetProviderEventId() == v.poison {
				v.confirm(ctx, handled)
				v.mu.Lock()
				v.deaths++
				v.mu.Unlock()
				return
			}
			handled = append(handled, d)
		}
		v.confirm(ctx, handled)
	}
}

func (v *victims) confirm(ctx context.Context, ds []*hookstreamv1.Delivery) {
	if len(ds) == 0 {
		return
	}
	resp, err := v.w.subs.Acknowledge(ctx, acksOf(v.name, tokensOf(ds)...))
	if err != nil {
		return // they come again
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, r := range resp.GetResults() {
		if r.GetOutcome() == hookstreamv1.AckOutcome_ACK_OUTCOME_DONE {
			v.done[ds[i].GetEvent().GetProviderEventId()] = true
		}
	}
}

// check waits until nothing is left: all but the poison were done, and that is
// parked after as many attempts as are allowed.
func (v *victims) check(t *testing.T, good []string, attempts int32) {
	t.Helper()
	eventually(t, "nothing is left", func() bool {
		s := v.w.state(v.name)
		return s.GetBacklogEvents() == 0 && s.GetOutstandingEvents() == 0
	})
	parked, err := v.w.subs.ListParkedDeliveries(t.Context(), &hookstreamv1.ListParkedDeliveriesRequest{Parent: v.name})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parked.GetParkedDeliveries() {
		if p.GetEvent().GetProviderEventId() != v.poison || p.GetAttempts() != attempts {
			t.Errorf("parked: %s after %d attempts, %s", p.GetEvent().GetProviderEventId(), p.GetAttempts(), p.GetReason())
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if n := len(parked.GetParkedDeliveries()); n != 1 || v.deaths < int(attempts) {
		t.Errorf("%d are parked, after %d deaths", n, v.deaths)
	}
	for _, id := range good {
		if !v.done[id] {
			t.Errorf("%s was never confirmed", id)
		}
	}
}

// A trial is a subscription, and how its consumers read.
type trial struct {
	by       way
	ordering hookstreamv1.Ordering
	attempts int32
	id       string
}

// trialsOfPoison make a subscription for each way and each order.
func (w *subscriptionWorld) trialsOfPoison() (all []trial) {
	w.t.Helper()
	for i, by := range ways {
		for _, ordering := range []hookstreamv1.Ordering{hookstreamv1.Ordering_ORDERING_UNORDERED, hookstreamv1.Ordering_ORDERING_BY_ENTITY} {
			tr := trial{by, ordering, int32(i + 1), fmt.Sprintf("trial-%d", len(all))}
			deadline := 10 * time.Second
			if by.pull { // the end of a connection says nothing: each attempt takes a deadline
				tr.attempts, deadline = 2, time.Second
			}
			w.create(tr.id, &hookstreamv1.Subscription{
				Ordering: ordering, MaxAttempts: tr.attempts, AckDeadline: durationpb.New(deadline), BackoffMin: durationpb.New(0),
			})
			all = append(all, tr)
		}
	}
	return all
}

// One event among 200 kills every consumer that is handed it. It is parked, and
// only it, whatever the consumers read by.
func TestOnlyThePoisonIsParked(t *testing.T) {
	t.Parallel()
	w := startSubscriptions(t)
	trials := w.trialsOfPoison()
	good, poison := w.putAround(200)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	all := make([]*victims, len(trials))
	for i, tr := range trials { // all at once: most of it is waiting
		all[i] = &victims{w: w, by: tr.by, name: "subscriptions/" + tr.id, poison: poison, done: make(map[string]bool)}
		for range 2 {
			wg.Go(func() { all[i].run(ctx) })
		}
	}
	for i, tr := range trials {
		if !t.Run(tr.by.name+" "+tr.ordering.String(), func(t *testing.T) { all[i].check(t, good, tr.attempts) }) {
			return
		}
	}
}

// putAround appends n events of seven entities with another in the middle of them.
func (w *subscriptionWorld) putAround(n int) (good []string, odd string) {
	w.t.Helper()
	for i := range n + 1 {
		id := fmt.Sprintf("p%d", i)
		data, err := event.Encode(&hookstreamv1.Event{
			Source: "sources/open", Provider: "yousign", Topic: "signer", Action: "done", Type: "signer.done",
			Entity: fmt.Sprintf("signers/%d", i%7), ProviderEventId: id,
		}, &hookstreamv1.RawRequest{Body: []byte("{}"), ContentType: "application/json"})
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := w.engine.Events().Append(w.t.Context(), eventlog.Entry{Source: "open", Topic: "signer", Action: "done", DedupKey: id, Data: data}); err != nil {
			w.t.Fatal(err)
		}
		if i == n/2 {
			odd = id
		} else {
			good = append(good, id)
		}
	}
	return good, odd
}
