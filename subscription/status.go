package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/eventlog/queue"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// endOfOne answers when one stream ends: somewhere in the last four fifths of
// the grace period, so that not everybody connects elsewhere at once.
func (d *drain) endOfOne() time.Time {
	return d.until.Add(-time.Duration(0.8 * rand.Float64() * float64(d.grace)))
}

// stateWait is how long other gateways have to answer.
const stateWait = 200 * time.Millisecond

// part is what one gateway knows of a subscription.
type part struct {
	Gateway   string
	Consumers []Consumer
	Oldest    time.Time // of what it holds
	InForce   int
	Full      bool // its consumers hold as much as they take
	Bytes     bool // its bound of bytes is reached
	Entities  bool // all that it could hand out waits for entities
	TakesOver bool
}

// State answers what an operator wants to know. It asks all gateways and waits a
// moment for their answers.
func (m *Manager) State(ctx context.Context, id string) (*State, error) {
	sub, err := m.Find(ctx, id)
	if err != nil {
		return nil, err
	}
	s := &State{Paused: sub.Paused, Missed: m.gaps.now(sub).Events}
	q, err := m.settledState(ctx, m.mainQueue(sub))
	if err != nil && !errors.Is(err, queue.ErrNoQueue) {
		return nil, err
	}
	s.Backlog, s.Outstanding, s.Redelivered = q.Waiting, q.Held, q.Redelivered
	s.BacklogEstimated = sub.looksInside()
	if m.store.hasReplays(id) {
		r, err := m.settledState(ctx, m.replayQueue(sub))
		if err != nil && !errors.Is(err, queue.ErrNoQueue) {
			return nil, err
		}
		s.Backlog += r.Waiting
		s.Outstanding += r.Held
		s.Redelivered += r.Redelivered
	}
	if s.Parked, err = m.countParked(ctx, sub); err != nil {
		return nil, err
	}
	parts, err := m.parts(ctx, sub)
	if err != nil {
		return nil, err
	}
	s.gather(parts)
	if s.OldestUnsettled, err = m.oldest(ctx, sub, q, parts); err != nil {
		return nil, err
	}
	s.Blocked = blocked(sub, s, q, parts)
	return s, nil
}

// nobodys is the sequence of no message.
const nobodys = 1 << 62

// hearWait is how long JetStream is waited for that is to hear what was said to it.
const hearWait = time.Second

// settledState answers how a queue stands when JetStream has heard all that was settled
// before. An embedded one is told and not waited for, since what is settled is in the
// journal then; but it hears in the order in which it is told, and answers to a word
// about a message that is not there, which changes nothing.
func (m *Manager) settledState(ctx context.Context, c queue.Config) (queue.State, error) {
	st, err := m.engine.QueueState(ctx, c)
	if err != nil || st.Held == 0 || !m.engine.Embedded() {
		return st, err
	}
	hearing, cancel := context.WithTimeout(ctx, hearWait)
	defer cancel()
	_, _ = m.engine.Confirm(hearing, c, []queue.Word{{Seq: nobodys, Turn: nobodys, Attempt: 1, Say: queue.Held}})
	return m.engine.QueueState(ctx, c)
}

func (m *Manager) countParked(ctx context.Context, sub *Subscription) (int64, error) {
	n, err := m.parked.Count(ctx, sub.UID)
	return int64(n), err
}

// looksInside reports whether the gateway, and not only JetStream, decides what
// is selected.
func (s *Subscription) looksInside() bool {
	sel := s.Selector
	return len(sel.GetEnvironments()) > 0 || looksAtPayload(sel) || sel.GetFilter() != "" ||
		(len(sel.GetTypes()) > 0 || len(sel.GetSources()) > 0) && (s.subjects() == nil || slices.ContainsFunc(sel.GetTypes(), func(t string) bool { return strings.Contains(t, "*") }))
}

// looksAtPayload reports whether a selector has conditions of a provider: its only
// messages.
func looksAtPayload(sel *hookstreamv1.EventSelector) (found bool) {
	sel.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		found = f.Message() != nil
		return !found
	})
	return found
}

func (m *Manager) parts(ctx context.Context, sub *Subscription) (out []part, err error) {
	answers, err := m.bus.AskAll(ctx, askState, []byte(sub.UID), stateWait, m.complete)
	for _, a := range answers {
		var p part
		if json.Unmarshal(a, &p) == nil {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b part) int { return strings.Compare(a.Gateway, b.Gateway) })
	return out, err
}

func (m *Manager) answerState(uid []byte) []byte {
	p := part{Gateway: m.gateway}
	if h := m.known(string(uid)); h != nil {
		h.describe(&p)
	}
	data, _ := json.Marshal(p) // cannot fail
	return data
}

func (h *home) describe(p *part) {
	h.mu.Lock()
	defer h.mu.Unlock()
	room := false
	for _, c := range h.consumers {
		p.Consumers = append(p.Consumers, Consumer{
			ClientID: c.opts.ClientID, Address: c.opts.Address, Gateway: p.Gateway, Since: c.since,
			Outstanding: len(c.held), OutstandingBytes: c.bytes, Phase: h.phase(), Unresponsive: c.deaf || c.unread(),
		})
		room = room || c.room(h.sub) > 0
	}
	waits := 0
	for _, hd := range h.holds {
		if t := hd.event.Time(); p.Oldest.IsZero() || t.Before(p.Oldest) {
			p.Oldest = t
		}
		if hd.stage == waiting {
			waits++
		}
	}
	p.InForce = h.force
	p.Full = len(h.consumers) > 0 && !room
	p.Bytes = h.bytes >= h.sub.MaxOutstandingBytes
	if h.lanes != nil {
		p.TakesOver = h.lanes.phase == collecting
		p.Entities = h.lanes.serving() && waits > 0 && len(h.ready)+len(h.suspects) == 0
	}
}

func (s *State) gather(parts []part) {
	for _, p := range parts {
		s.Gateways = append(s.Gateways, p.Gateway)
		s.Consumers = append(s.Consumers, p.Consumers...)
	}
}

// maxLook bounds how far the oldest event is looked for.
const maxLook = 256

// oldest answers when the oldest event was stored that waits or is held.
func (m *Manager) oldest(ctx context.Context, sub *Subscription, q queue.State, parts []part) (time.Time, error) {
	var oldest time.Time
	for _, p := range parts {
		if !p.Oldest.IsZero() && (oldest.IsZero() || p.Oldest.Before(oldest)) {
			oldest = p.Oldest
		}
	}
	from := max(q.Last+1, sub.Start)
	if q.Held > 0 && oldest.IsZero() {
		from = max(q.Floor+1, sub.Start) // in back-off, or of a gateway that did not answer
	} else if q.Waiting == 0 || !oldest.IsZero() {
		return oldest, nil
	}
	match, err := m.compile(sub.Selector)
	if err != nil {
		return oldest, err
	}
	recs, err := m.engine.Events().Read(ctx, from, maxLook, 1<<20)
	if err != nil {
		return oldest, err
	}
	for _, rec := range recs {
		if match(ctx, m.hub.Of(rec)) {
			return rec.Time, nil
		}
	}
	return oldest, nil
}

// blocked says why delivery stands still, if it does.
func blocked(sub *Subscription, s *State, q queue.State, parts []part) BlockedReason {
	all := func(is func(part) bool) bool {
		consuming := false
		for _, p := range parts {
			if len(p.Consumers) == 0 {
				continue
			}
			if !is(p) {
				return false
			}
			consuming = true
		}
		return consuming
	}
	some := func(is func(part) bool) bool { return slices.ContainsFunc(parts, is) }
	switch {
	case s.Paused:
		return BlockedPaused
	case s.Backlog == 0 && s.Outstanding == 0:
		return NotBlocked
	case len(s.Consumers) == 0:
		return BlockedNoConsumer
	case some(func(p part) bool { return p.TakesOver }):
		return BlockedTakeover
	case some(func(p part) bool { return p.Entities && p.InForce < sub.MaxOutstandingEvents }):
		return BlockedEntity
	case !slices.ContainsFunc(s.Consumers, func(c Consumer) bool { return !c.Unresponsive }):
		return BlockedUnresponsive
	case s.Backlog == 0:
		return NotBlocked
	case sub.Ordering == Unordered && q.Held >= int64(sub.MaxOutstandingEvents), some(func(p part) bool { return p.InForce >= sub.MaxOutstandingEvents }):
		return BlockedOutstanding
	case all(func(p part) bool { return p.Bytes }):
		return BlockedBytes
	case all(func(p part) bool { return p.Full }):
		return BlockedConsumers
	}
	return NotBlocked
}

// Stats answers figures by id of the subscription, of this gateway. Those that nobody
// has consumed here have them too: who watches a figure has to see it grow from 0.
func (m *Manager) Stats() map[string]Stats {
	out := make(map[string]Stats)
	for _, sub := range m.List() {
		out[sub.ID] = Stats{}
	}
	for _, h := range m.allHomes() {
		h.mu.Lock()
		id := h.sub.ID
		s := Stats{Outstanding: int64(h.force), OutstandingBytes: h.bytes, Consumers: len(h.consumers)}
		h.mu.Unlock()
		s.Delivered, s.Redelivered = h.delivered.Load(), h.redelivered.Load()
		s.Acked, s.Retried, s.Skipped, s.Extended = h.acked.Load(), h.retried.Load(), h.skipped.Load(), h.extended.Load()
		s.Parked, s.Expired, s.Released = h.parked.Load(), h.expired.Load(), h.released.Load()
		s.Refused, s.Pulls = h.refused.Load(), h.pulls.Load()
		out[id] = s
	}
	m.gaps.mu.Lock()
	defer m.gaps.mu.Unlock()
	for uid, n := range m.gaps.seen {
		if sub := m.store.byUID(uid); sub != nil {
			s := out[sub.ID]
			s.Missed = n
			out[sub.ID] = s
		}
	}
	return out
}
