package subscription

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/hub"
)

// What a test answers, or refuses, in the place of others.
const (
	AskSettle = askSettle
	AskClaim  = askClaim
	TellHello = tellHello
	KeyLives  = keyLives
)

// SelectBy has every selector select what the function says.
func (o *Options) SelectBy(selects func(context.Context) bool) {
	o.compile = func(*hookstreamv1.EventSelector) (matcher, error) {
		return func(ctx context.Context, _ *hub.Event) bool { return selects(ctx) }, nil
	}
}

// Alarms answers how many holds of a subscription the gateway is to attend to at
// some time.
func (m *Manager) Alarms(id string) int {
	sub, err := m.Get(id)
	if err != nil {
		return -1
	}
	h := m.known(sub.UID)
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.clock)
}

// HasHeardOf reports whether the gateway has heard of another lately.
func (m *Manager) HasHeardOf(gateway string) bool { return m.peers.lately()[gateway] }

// ToldKept answers of how many missed events it is kept that a consumer was told.
func (m *Manager) ToldKept(id string) int64 {
	sub, err := m.Get(id)
	if err != nil {
		return -1
	}
	return m.gaps.now(sub).Told
}

// Tallies answers of how many messages it is known that they were handed out in
// vain.
func (m *Manager) Tallies() (n int) {
	m.tallies.mu.Lock()
	defer m.tallies.mu.Unlock()
	for _, of := range m.tallies.of {
		n += len(of)
	}
	return n
}

// Spoil has what waits here be out of date: JetStream may have handed it to
// somebody else. It answers how many there are.
func (m *Manager) Spoil(id string) (n int) {
	sub, err := m.Get(id)
	if err != nil {
		panic(err)
	}
	h := m.known(sub.UID)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hd := range h.holds {
		if hd.stage == waiting || hd.stage == ready {
			hd.sure = time.Now()
			n++
		}
	}
	return n
}

// Sweep removes what belongs to no subscription, however young it is.
func (m *Manager) Sweep(ctx context.Context) error { return m.sweepOnce(ctx, 0) }

// Overlook has the gateway know nothing of a subscription that there is, as if it
// had not heard of it.
func (m *Manager) Overlook(id string) {
	m.store.Forget(id)
}

// LeaveBehind deletes a subscription as a gateway does that dies then: what
// belongs to it stays.
func (m *Manager) LeaveBehind(ctx context.Context, id string) error {
	_, err := m.store.delete(ctx, id, "")
	return err
}

// SettleElsewhere settles all that a gateway holds back, as another one does that
// was handed it when its time here was over.
func (m *Manager) SettleElsewhere(ctx context.Context, id string) (seqs []uint64, err error) {
	sub, err := m.Get(id)
	if err != nil {
		return nil, err
	}
	h := m.known(sub.UID)
	h.mu.Lock()
	var words []queue.Word
	for _, hd := range h.holds {
		if hd.stage == waiting || hd.stage == ready {
			words, seqs = append(words, hd.word(queue.Settled, 0)), append(seqs, hd.event.Seq())
		}
	}
	queue := h.queue
	h.mu.Unlock()
	_, err = m.engine.Confirm(ctx, queue, words)
	return seqs, err
}

// Generation answers which one of its subscription a token is of.
func (m *Manager) Generation(token string) int {
	t, err := m.signer.parse(token)
	if err != nil {
		return -1
	}
	return t.generation
}

// Describe tells what a gateway holds of a subscription, for the report of a test.
func (m *Manager) Describe(id string) string {
	sub, err := m.Get(id)
	if err != nil {
		return err.Error()
	}
	h := m.known(sub.UID)
	if h == nil {
		return m.gateway + " has no consumers"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: paused %v, idle %v, ready %d, suspects %d, in force %d, arrived %d", m.gateway, h.sub.Paused, h.idle(), len(h.ready), len(h.suspects), h.force, h.arrived.len())
	if h.lanes != nil {
		fmt.Fprintf(&b, ", phase %d, pin ours %v, pinless %v, foreign %d", h.lanes.phase, h.pin.Ours(), h.lanes.pinless, h.lanes.main.foreign)
	}
	for _, c := range h.consumers {
		fmt.Fprintf(&b, "\n   consumer %s: holds %d, deaf %v, stuck %v, over %v, alone %v, waits %v", c.opts.ClientID, len(c.held), c.deaf, c.stuck, c.over, c.alone, c.waits())
	}
	for _, hd := range h.holds {
		with := ""
		if hd.consumer != nil {
			with = hd.consumer.opts.ClientID
		}
		fmt.Fprintf(&b, "\n   %d (replay %v) stage %d with %q, deadline in %s, hand-outs %d, surely for %s, not for %s, doubtful %v, %+v",
			hd.seq, hd.replay, hd.stage, with, hd.deadline.Sub(now), hd.queued, hd.sure.Sub(now), hd.notBefore.Sub(now), hd.doubtful, hd.tally)
	}
	return b.String()
}

// Renewing answers how many holds of a subscription are being renewed.
func (m *Manager) Renewing(id string) (n int) {
	sub, err := m.Get(id)
	if err != nil {
		return -1
	}
	h := m.known(sub.UID)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, hd := range h.holds {
		if hd.renewing {
			n++
		}
	}
	return n
}

// GoBy sets the clock of the machine.
func (o *Options) GoBy(clock func() time.Time) { o.clock = clock }

// HoldFor sets how much longer than a delivery's deadline JetStream holds it.
func (o *Options) HoldFor(margin time.Duration) { o.holdMargin = margin }

// FindParkedOf is FindParked of a manager that looks at no more than most.
func FindParkedOf(ctx context.Context, m *Manager, id string, most int, token string, wanted func(ParkedDelivery) (bool, error)) ([]ParkedDelivery, string, error) {
	return m.findParked(ctx, id, 100, most, token, wanted)
}

// LookForGaps looks once for what the log dropped or lost.
func (m *Manager) LookForGaps(ctx context.Context) error { return m.lookForGaps(ctx) }

// Missing answers how many subscriptions have missed something.
func (m *Manager) Missing() (n int) {
	for _, sub := range m.List() {
		if m.gaps.now(sub).Events > 0 {
			n++
		}
	}
	return n
}

// Pulling answers how many subscriptions have asked for what there is here.
func (m *Manager) Pulling() (n int) {
	for _, h := range m.allHomes() {
		h.mu.Lock()
		if h.puller != nil && !h.askedAt.IsZero() {
			n++
		}
		h.mu.Unlock()
	}
	return n
}

// TellHome tells the home of a subscription here that it is as given.
func (m *Manager) TellHome(sub *Subscription) { m.known(sub.UID).change(sub) }
