package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// What the log drops after it was handed out and before it was settled is missed, one
// by one, as soon as it is in nobody's hands any more.

// drops are such events of a queue, by sequence, with whether this gateway has held the
// event since: then nobody else has.
type drops map[uint64]bool

// hearDropped hears of an event that the log dropped before it was settled. On a cluster
// all gateways are told.
func (m *Manager) hearDropped(queue string, seq uint64) {
	m.gaps.mu.Lock()
	defer m.gaps.mu.Unlock()
	if m.gaps.dropped[queue] == nil {
		m.gaps.dropped[queue] = make(drops)
	}
	m.gaps.dropped[queue][seq] = m.engine.Embedded()
}

// lookAtDropped counts those that are in nobody's hands.
func (m *Manager) lookAtDropped(ctx context.Context) {
	m.gaps.mu.Lock()
	all := m.gaps.dropped
	m.gaps.dropped = make(map[string]drops)
	m.gaps.mu.Unlock()
	for queue, some := range all {
		sub := m.store.byUID(uidOfQueue(queue))
		if sub == nil || queueName(sub) != queue {
			continue
		}
		again := m.countDropped(ctx, sub, queue, some)
		m.gaps.mu.Lock()
		maps.Copy(again, m.gaps.dropped[queue])
		if len(again) > 0 {
			m.gaps.dropped[queue] = again
		}
		m.gaps.mu.Unlock()
	}
}

// countDropped counts what is in nobody's hands, and answers what is to be looked at
// again.
func (m *Manager) countDropped(ctx context.Context, sub *Subscription, queue string, some drops) (again drops) {
	again = make(drops)
	fates := m.fates(asksFates{sub.UID, queue, slices.Collect(maps.Keys(some))})
	var others []uint64
	for i, seq := range fates.Seqs {
		switch {
		case fates.Held[i]:
			again[seq] = true
		case fates.Settled[i]:
		case some[seq]:
			m.missDropped(sub, seq)
		default:
			others = append(others, seq)
		}
	}
	if len(others) == 0 {
		return again
	}
	elsewhere, err := m.knownElsewhere(ctx, asksFates{sub.UID, queue, others})
	for _, seq := range others {
		switch {
		case err != nil:
			again[seq] = false
		case !elsewhere[seq]: // who holds it counts it
			m.missDropped(sub, seq)
		}
	}
	return again
}

// missDropped counts an event, which nobody here is handed any more.
func (m *Manager) missDropped(sub *Subscription, seq uint64) {
	if h := m.known(sub.UID); h != nil {
		h.mu.Lock()
		if h.sub.Generation == sub.Generation {
			h.memos.put(key{seq: seq}, skippedMemo)
		}
		h.mu.Unlock()
	}
	m.wg.Go(func() { m.keepMissing(m.ctx, sub, span{seq, seq + 1}) })
}

// skippedMemo is of what nobody can be handed any more.
var skippedMemo = memo{verdict: Skip, outcome: Done}

// asksFates asks a gateway what became of events of a queue.
type asksFates struct {
	UID, Queue string
	Seqs       []uint64
}

// fates is what it answers of each.
type fates struct {
	Gateway       string
	Seqs          []uint64
	Held, Settled []bool
}

// fates answers what became of events here.
func (m *Manager) fates(a asksFates) fates {
	out := fates{Gateway: m.gateway, Seqs: a.Seqs, Held: make([]bool, len(a.Seqs)), Settled: make([]bool, len(a.Seqs))}
	for i, seq := range a.Seqs {
		out.Settled[i] = m.wasSettled(a.Queue, seq)
	}
	h := m.known(a.UID)
	if h == nil {
		return out
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.queue.Name != a.Queue {
		return out
	}
	for i, seq := range a.Seqs {
		k := key{seq: seq}
		out.Held[i] = h.holds[k] != nil
		memo, _ := h.memos.get(k)
		out.Settled[i] = out.Settled[i] || memo.final()
	}
	return out
}

func (m *Manager) answerFates(data []byte) []byte {
	var a asksFates
	if json.Unmarshal(data, &a) != nil {
		return nil
	}
	data, _ = json.Marshal(m.fates(a)) // cannot fail
	return data
}

// knownElsewhere answers which events a gateway holds, or knows to be settled. All that
// were heard of lately must answer.
func (m *Manager) knownElsewhere(ctx context.Context, a asksFates) (map[uint64]bool, error) {
	data, _ := json.Marshal(a) // cannot fail
	answers, err := m.bus.AskAll(ctx, askFates, data, stateWait, m.complete)
	if err != nil {
		return nil, err
	}
	silent := m.peers.lately()
	delete(silent, m.gateway) // it knows nothing
	known := make(map[uint64]bool)
	for _, answer := range answers {
		var by fates
		if json.Unmarshal(answer, &by) != nil || len(by.Held) != len(by.Seqs) || len(by.Settled) != len(by.Seqs) {
			continue
		}
		delete(silent, by.Gateway)
		for i, seq := range by.Seqs {
			known[seq] = known[seq] || by.Held[i] || by.Settled[i]
		}
	}
	if len(silent) > 0 {
		return nil, errSilent
	}
	return known, nil
}

var errSilent = errors.New("a gateway does not answer")
