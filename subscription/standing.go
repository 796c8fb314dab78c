package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/queue"
	"github.com/hookstream/hookstream/hub"
)

// StandingState is what has become of an event for a subscription.
type StandingState int

const (
	// StandingUnknown: it was handed out, and whether it was settled since cannot be
	// told. See the Reason.
	StandingUnknown StandingState = iota
	// NotSelected: the selector, as it is now, does not select it.
	NotSelected
	// BeforeStart: it lies before where the subscription was created or sought to.
	BeforeStart
	// Pending: it waits to be handed out, and no attempt has failed.
	Pending
	// Outstanding: it was handed out and is not settled. A consumer has it, or had it, or
	// it was given back before one did.
	Outstanding
	// SettledForGood: it was acknowledged or skipped, or the selector did not select it
	// when it came. What is kept does not tell these apart.
	SettledForGood
	// SetAside: it is parked.
	SetAside
)

// A Standing is how one event stands with one subscription.
type Standing struct {
	Subscription *Subscription
	State        StandingState
	// Attempts that failed or are under way; -1 when that is not known.
	Attempts int
	// Reason of the last failed attempt, as far as a gateway remembers, or why the state
	// is unknown.
	Reason string
	// ClientID of the consumer that has it, and until when; ParkTime since when it is
	// parked, and ParkedID under which id.
	ClientID string
	Deadline time.Time
	ParkedID uint64
	ParkTime time.Time
}

// why the state of what was handed out is not known.
const (
	notKept  = "it was handed out; which of what was handed out is settled is not kept on a cluster, and no gateway remembers"
	silent   = "it was handed out, and a gateway that may have it does not answer"
	notThere = "the queue of the subscription is not there, and is made when a consumer comes"
)

// Standings answers how an event stands with subscriptions, in their order. It asks all
// gateways once, and the log for each of them. What is answered was so at some moment
// meanwhile, of each by itself.
func (m *Manager) Standings(ctx context.Context, e *hub.Event, subs []*Subscription) ([]Standing, error) {
	out := make([]Standing, len(subs))
	states := make([]queue.State, len(subs))
	var asked []string
	for i, sub := range subs {
		out[i] = Standing{Subscription: sub, Attempts: -1}
		match, err := m.compile(sub.Selector)
		if err != nil {
			return nil, err
		}
		switch {
		case e.Seq() < sub.Start:
			out[i].State, out[i].Attempts = BeforeStart, 0
		case !match(ctx, e):
			out[i].State, out[i].Attempts = NotSelected, 0
		default:
			// Before the gateways: what is handed out meanwhile is theirs by then.
			if states[i], err = m.settledState(ctx, m.mainQueue(sub)); errors.Is(err, queue.ErrNoQueue) {
				out[i].Reason = notThere
			} else if err != nil {
				return nil, err
			}
		}
		asked = append(asked, sub.UID)
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx) // a selector may have said no for it
	}
	known, all, err := m.remembered(ctx, asksStandings{e.Seq(), asked})
	if err != nil {
		return nil, err
	}
	for i := range out {
		s := &out[i]
		inQueue := s.State == StandingUnknown && s.Reason == ""
		m.recall(s, e.Seq(), known[s.Subscription.UID])
		if inQueue && s.State == StandingUnknown {
			m.judge(s, e.Seq(), states[i], all)
		}
		if err := m.lookAtParked(ctx, s, e.Seq(), known[s.Subscription.UID]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// recall takes what gateways remember of the event.
func (m *Manager) recall(s *Standing, seq uint64, by []remembrance) {
	for _, r := range by {
		if r.Replay != 0 || r.Generation != s.Subscription.Generation {
			continue
		}
		if r.Reason != "" {
			s.Reason = r.Reason
		}
		if r.Held && s.State != SettledForGood {
			r.describe(s)
		}
		if r.Final { // whoever has it by mistake
			s.State, s.Attempts, s.ClientID, s.Deadline = SettledForGood, -1, "", time.Time{}
		}
	}
}

// describe says of what is held how it stands.
func (r remembrance) describe(s *Standing) {
	s.State, s.Attempts = Pending, r.Failed
	if r.Failed > 0 {
		s.State = Outstanding
	}
	if r.Given {
		s.State, s.Attempts, s.ClientID, s.Deadline = Outstanding, r.Failed+1, r.ClientID, r.Deadline
	}
}

// judge says by the queue how an event stands that no gateway holds.
func (m *Manager) judge(s *Standing, seq uint64, q queue.State, all bool) {
	name := queueName(s.Subscription)
	t := m.tallies.get(name, seq)
	switch {
	case m.acks != nil && m.acks.Settled(name, seq), seq <= q.Floor, seq <= q.Last && q.Held == 0:
		s.State = SettledForGood
	case seq > q.Last:
		s.State, s.Attempts = Pending, 0
	case m.acks != nil, t != tally{}: // forgotten when it is settled
		s.State, s.Attempts = Outstanding, t.Failed
	case !all:
		s.Reason = silent
	default:
		s.Reason = notKept
	}
}

// lookAtParked says whether the event is set aside, or was and is handed out again. What
// has not been settled otherwise stays what it is: it was parked before a Seek.
func (m *Manager) lookAtParked(ctx context.Context, s *Standing, seq uint64, by []remembrance) error {
	open := s.State == Pending || s.State == Outstanding
	p, err := m.parked.Last(ctx, s.Subscription.UID, seq, false)
	if err == nil {
		s.ParkedID, s.ParkTime = p.ID, p.Time
		if !open {
			s.State, s.Attempts, s.Reason, s.ClientID = SetAside, p.Attempts, p.Reason, p.ClientID
		}
		return nil
	}
	if !errors.Is(err, eventlog.ErrNotFound) {
		return err
	}
	if open || !m.store.hasReplays(s.Subscription.ID) {
		return nil
	}
	p, err = m.parked.Last(ctx, s.Subscription.UID, seq, true)
	if errors.Is(err, eventlog.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return m.lookAtReplay(ctx, s, p, by)
}

// lookAtReplay says how an event stands that was parked and is handed out again. Its
// entry is there until it is settled, and may be left over.
func (m *Manager) lookAtReplay(ctx context.Context, s *Standing, p queue.ParkedEntry, by []remembrance) error {
	q, err := m.settledState(ctx, m.replayQueue(s.Subscription))
	if err != nil && !errors.Is(err, queue.ErrNoQueue) {
		return err
	}
	for _, r := range by {
		if r.Replay == p.ID && r.Held {
			r.describe(s)
			return nil
		}
	}
	name := replayName(s.Subscription)
	switch {
	case p.ID <= q.Floor || m.acks != nil && m.acks.Settled(name, p.ID): // left over
	case p.ID > q.Last:
		s.State, s.Attempts, s.Reason = Pending, 0, p.Reason
	default:
		s.State, s.Attempts, s.Reason = Outstanding, m.tallies.get(name, p.ID).Failed, p.Reason
	}
	return nil
}

// asksStandings asks a gateway what it remembers of an event.
type asksStandings struct {
	Seq  uint64
	UIDs []string
}

// remembers is what it answers.
type remembers struct {
	Gateway string
	Of      map[string][]remembrance // by uid
}

// remembrance is what a home knows of an event, or of an entry that is replayed.
type remembrance struct {
	Generation int
	Replay     uint64 `json:",omitempty"` // the entry; 0: the event itself
	Held       bool   `json:",omitempty"`
	Given      bool   `json:",omitempty"` // to a consumer
	Final      bool   `json:",omitempty"` // it is settled for good
	Failed     int    `json:",omitempty"` // attempts
	ClientID   string `json:",omitempty"`
	Deadline   time.Time
	Reason     string `json:",omitempty"`
}

// remembered answers what all gateways remember, by uid, and whether all have answered
// that are known.
func (m *Manager) remembered(ctx context.Context, a asksStandings) (known map[string][]remembrance, all bool, err error) {
	data, _ := json.Marshal(a) // cannot fail
	// One that has just begun has not heard of all others.
	complete := func(answers [][]byte) bool { return m.complete(answers) && time.Since(m.peers.since) > 2*greetEvery }
	answers, err := m.bus.AskAll(ctx, askStandings, data, stateWait, complete)
	if err != nil {
		return nil, false, err
	}
	known = make(map[string][]remembrance)
	for _, answer := range answers {
		var by remembers
		if json.Unmarshal(answer, &by) != nil {
			continue
		}
		for uid, some := range by.Of {
			known[uid] = append(known[uid], some...)
		}
	}
	return known, complete(answers), nil
}

func (m *Manager) answerStandings(data []byte) []byte {
	var a asksStandings
	if json.Unmarshal(data, &a) != nil {
		return nil
	}
	out := remembers{Gateway: m.gateway, Of: make(map[string][]remembrance)}
	for _, uid := range a.UIDs {
		if h := m.known(uid); h != nil {
			if some := h.remembered(a.Seq); len(some) > 0 {
				out.Of[uid] = some
			}
		}
	}
	data, _ = json.Marshal(out) // cannot fail
	return data
}

// remembered answers what is known here of an event.
func (h *home) remembered(seq uint64) (out []remembrance) {
	h.mu.Lock()
	defer h.mu.Unlock()
	memo, some := h.memos.get(key{seq: seq})
	if hd := h.holds[key{seq: seq}]; hd != nil {
		r := h.remembrance(hd)
		r.Reason = memo.reason
		out = append(out, r)
	} else if some {
		out = append(out, remembrance{Generation: h.sub.Generation, Final: memo.final(), Reason: memo.reason})
	}
	if !h.m.store.hasReplays(h.sub.ID) {
		return out
	}
	for k, hd := range h.holds {
		if k.replay && hd.event.Seq() == seq {
			r := h.remembrance(hd)
			r.Replay = k.seq
			out = append(out, r)
		}
	}
	return out
}

// remembrance of a hold. The caller holds mu.
func (h *home) remembrance(hd *hold) remembrance {
	r := remembrance{Generation: h.sub.Generation, Held: true, Failed: hd.Failed}
	if hd.stage == given || hd.stage == settling {
		r.Given, r.ClientID, r.Deadline = true, hd.clientID, hd.deadline
	}
	return r
}
