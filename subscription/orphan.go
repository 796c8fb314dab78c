package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
)

const (
	// claimWait is how long any gateway has to say that it holds what a dead one
	// had handed out, and claimTime how long those have that are known: less than
	// JetStream holds it beyond the deadline. Only tokens of dead gateways wait.
	claimWait = 250 * time.Millisecond
	claimTime = 5 * time.Second
)

// claim asks every gateway whether it holds messages, and if not, not to hand
// them out any more.
type claim struct {
	UID        string
	Generation int
	Replay     []bool
	Seq        []uint64
	// Final: their consumer has done with them. Not of those to be parked, which
	// may fail.
	Final []bool
}

// claimed is the answer of one gateway.
type claimed struct {
	Gateway string
	Mine    []bool
}

// settleOrphans settles deliveries whose home is dead. Until their deadline
// JetStream hands them to nobody, unless their home had given them back before
// it died: then another gateway may hold them, which is asked first.
//
// Unheard: their home was asked and died with the question. It may have settled
// what it is too late for now.
func (m *Manager) settleOrphans(ctx context.Context, orders []order, unheard bool) {
	type generation struct {
		uid string
		n   int
	}
	groups := make(map[generation][]order)
	for _, o := range orders {
		o.result.Outcome = Expired
		switch {
		case m.now().Before(o.token.deadline) && !m.gone(o.token.home):
			o.result.Outcome = Unavailable // it may only be cut off
		case m.now().Before(o.token.deadline):
			k := generation{o.token.uid, o.token.generation}
			groups[k] = append(groups[k], o)
		case unheard:
			o.result.Outcome = Unavailable
		}
	}
	for k, some := range groups {
		sub, over := m.ofGeneration(ctx, k.uid, k.n)
		if sub == nil {
			for _, o := range some {
				o.result.Outcome = over
			}
			continue
		}
		free, err := m.claim(ctx, sub, some)
		if err != nil {
			unavailableAll(some)
			continue
		}
		m.settleFree(ctx, sub, free)
	}
}

// claim answers the orders about messages that no gateway holds.
func (m *Manager) claim(ctx context.Context, sub *Subscription, orders []order) (free []order, err error) {
	c := claim{UID: sub.UID, Generation: sub.Generation}
	for _, o := range orders {
		c.Replay, c.Seq = append(c.Replay, o.token.replay), append(c.Seq, o.token.seq)
		c.Final = append(c.Final, o.Verdict == Ack || o.Verdict == Skip)
	}
	data, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	taken := make([]bool, len(orders))
	if err := m.askClaims(ctx, data, taken); err != nil {
		return nil, err
	}
	for i, o := range orders {
		if !taken[i] {
			free = append(free, o)
		}
	}
	return free, ctx.Err()
}

// askClaims marks what a gateway holds. All that were heard of lately must have
// answered or be gone: one that is only slow may hold it.
func (m *Manager) askClaims(ctx context.Context, data []byte, taken []bool) error {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	answers, err := m.bus.AskAll(ctx, askClaim, data, claimWait, func([][]byte) bool { return false })
	if err != nil {
		return err
	}
	silent := m.peers.lately()
	for _, answer := range answers {
		if by, ok := readClaimed(answer, taken); ok {
			delete(silent, by)
		}
	}
	for name := range silent {
		answer, err := m.bus.Ask(ctx, name, askClaim, data)
		if errors.Is(err, queue.ErrNoGateway) && m.gone(name) {
			continue
		}
		if err != nil {
			return err
		}
		if _, ok := readClaimed(answer, taken); !ok {
			return fmt.Errorf("%w: an answer that cannot be read", eventlog.ErrUnavailable)
		}
	}
	return nil
}

// readClaimed adds what one gateway holds, and answers which one it is.
func readClaimed(answer []byte, taken []bool) (gateway string, ok bool) {
	var c claimed
	if json.Unmarshal(answer, &c) != nil || len(c.Mine) != len(taken) {
		return "", false
	}
	for i, mine := range c.Mine {
		taken[i] = taken[i] || mine
	}
	return c.Gateway, true
}

func (m *Manager) answerClaim(data []byte) []byte {
	var c claim
	if json.Unmarshal(data, &c) != nil {
		return nil
	}
	mine := make([]bool, len(c.Seq))
	if h := m.known(c.UID); h != nil {
		h.mu.Lock()
		for i, seq := range c.Seq {
			k := key{c.Replay[i], seq}
			_, mine[i] = h.holds[k]
			// Of another generation than that of the claim it says nothing. What is replayed
			// outlives them.
			mine[i] = mine[i] && (k.replay || c.Generation == h.sub.Generation)
			if !mine[i] && c.Final[i] && c.Generation == h.sub.Generation {
				h.memos.put(k, memo{verdict: Ack, outcome: Done})
			}
		}
		h.mu.Unlock()
	}
	answer, _ := json.Marshal(claimed{m.gateway, mine}) // cannot fail
	return answer
}

// settleFree settles what nobody holds.
func (m *Manager) settleFree(ctx context.Context, sub *Subscription, orders []order) {
	for _, o := range orders {
		q := m.mainQueue(sub)
		if o.token.replay {
			q = m.replayQueue(sub)
		}
		w := queue.Word{Seq: o.token.seq, Turn: o.token.turn, Attempt: o.token.attempt}
		var ok bool
		switch {
		case o.Verdict == Extend:
			m.extendOrphan(ctx, q, w, o)
			continue
		case o.Verdict == Park || o.Verdict == Retry && m.tallies.get(q.Name, w.Seq).attempt() >= sub.MaxAttempts:
			m.parkOrphan(ctx, sub, q, w, o)
			continue
		case o.Verdict == Retry || o.Verdict == Release:
			ok = m.returnOrphan(ctx, sub, q, w, o)
		default:
			// Past its deadline it may be in other hands, and the answer says nothing.
			ok = m.keepFinal(ctx, q, []queue.Word{w})[0] && m.now().Before(o.token.deadline)
			if ok {
				m.tallies.settled(q.Name, w.Seq)
			}
			if ok && o.token.replay {
				m.forget(o.token.seq)
			}
		}
		o.result.Outcome = Unavailable
		if ok {
			o.result.Outcome = Done
		}
	}
}

// returnOrphan gives a delivery back as its consumer says.
func (m *Manager) returnOrphan(ctx context.Context, sub *Subscription, q queue.Config, w queue.Word, o order) bool {
	t := m.tallies.get(q.Name, w.Seq)
	counted := t.Told >= o.token.attempt
	t = t.told(o.token.attempt).over()
	t.HandOut = max(t.HandOut, int64(o.token.hand))
	w.Say = queue.Back
	if o.Verdict == Retry {
		if !counted { // else it was kept before, and only the answer was not
			t, _ = t.ended(refused, false)
		}
		w.Delay = sub.backoff(t.Failed)
		if o.Delay != nil {
			w.Delay = *o.Delay
		}
	}
	return m.tallies.keep(ctx, m.tallies.note(q.Name, w.Seq, t)) == nil && m.confirm(ctx, q, []queue.Word{w})[0] &&
		m.now().Before(o.token.deadline)
}

// extendOrphan keeps a delivery in force for as long as JetStream holds it.
func (m *Manager) extendOrphan(ctx context.Context, q queue.Config, w queue.Word, o order) {
	by := o.Extension
	if by == 0 || by > q.Hold-m.opts.holdMargin {
		by = q.Hold - m.opts.holdMargin
	}
	w.Say = queue.Held
	t := o.token
	deadline := time.Now().Add(by)
	t.deadline = m.toAll(deadline)
	o.result.Outcome = Unavailable
	if m.confirm(ctx, q, []queue.Word{w})[0] && m.now().Before(o.token.deadline) {
		*o.result = Result{Outcome: Done, Deadline: deadline, Token: m.signer.sign(t)}
	}
}

func (m *Manager) parkOrphan(ctx context.Context, sub *Subscription, q queue.Config, w queue.Word, o order) {
	o.result.Outcome = Unavailable
	entry := queue.ParkedEntry{Attempts: m.tallies.get(q.Name, w.Seq).attempt(), Reason: o.Reason, HandOut: int64(o.token.hand)}
	if o.token.replay {
		return // its entry is at its queue: it comes back, and can be parked then
	}
	e, err := m.hub.At(ctx, o.token.seq)
	if err != nil {
		return
	}
	entry.Record = e.Record()
	if m.parked.Put(ctx, sub.UID, onceFor(q, w), entry) == nil && m.keepFinal(ctx, q, []queue.Word{w})[0] {
		m.tallies.settled(q.Name, w.Seq)
		o.result.Outcome = Parked
	}
}
