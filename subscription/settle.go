package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// Bounds of settlements.
const (
	maxDelay     = time.Hour
	maxExtension = time.Hour
	maxReason    = 1024
)

// settleTime bounds a settlement on a cluster: who is cut off is told to try
// elsewhere.
const settleTime = 5 * time.Second

// order is one settlement on its way.
type order struct {
	token token
	Settlement
	result *Result
}

// Settle says what becomes of deliveries, and answers for each of them, in the
// same order. Tokens of another subscription than the one with the id are
// Invalid; an empty id takes those of all.
func (m *Manager) Settle(ctx context.Context, id string, in []Settlement) []Result {
	if !m.engine.Embedded() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, settleTime)
		defer cancel()
	}
	out := make([]Result, len(in))
	byHome := make(map[string][]order)
	for _, o := range m.ours(ctx, id, in, out) {
		byHome[o.token.home] = append(byHome[o.token.home], o)
	}
	for home, orders := range byHome {
		if home == m.gateway {
			m.settleHere(ctx, orders)
		} else {
			m.forward(ctx, home, orders)
		}
	}
	m.countRefused(id, out)
	return out
}

// ours answers what is to be settled, and refuses the rest: in out are the results.
func (m *Manager) ours(ctx context.Context, id string, in []Settlement, out []Result) (orders []order) {
	var unknown []order
	for i, s := range in {
		t, err := m.signer.parse(s.Token)
		s.Reason = s.Reason[:min(len(s.Reason), maxReason)]
		o := order{t, s, &out[i]}
		switch {
		case err != nil || !valid(s):
			o.result.Outcome = Invalid
		case !m.store.hasUID(t.uid):
			unknown = append(unknown, o)
		default:
			orders = append(orders, o)
		}
	}
	orders = append(orders, m.heardOf(ctx, id, unknown)...)
	return slices.DeleteFunc(orders, func(o order) bool {
		if m.belongs(o.token, id) {
			return false
		}
		o.result.Outcome = Invalid
		return true
	})
}

// heardOf answers those of orders whose subscription this gateway hears of when it asks.
// The others are over, unless nobody answered.
func (m *Manager) heardOf(ctx context.Context, id string, unknown []order) (orders []order) {
	if len(unknown) == 0 {
		return nil
	}
	err := m.inquire(ctx, id, func() bool {
		return !slices.ContainsFunc(unknown, func(o order) bool { return !m.store.hasUID(o.token.uid) })
	})
	for _, o := range unknown {
		switch {
		case m.store.hasUID(o.token.uid):
			orders = append(orders, o)
		case err != nil:
			o.result.Outcome = Unavailable
		default:
			o.result.Outcome = Gone
		}
	}
	return orders
}

func valid(s Settlement) bool {
	return s.Verdict >= Ack && s.Verdict <= Release &&
		(s.Delay == nil || *s.Delay >= 0 && *s.Delay <= maxDelay) &&
		(s.Extension == 0 || s.Extension >= minDeadline && s.Extension <= maxExtension)
}

// belongs reports whether the token is of the subscription with the id.
func (m *Manager) belongs(t token, id string) bool {
	if id == "" {
		return true
	}
	sub, err := m.Get(id)
	return err == nil && sub.UID == t.uid
}

func (m *Manager) countRefused(id string, out []Result) {
	sub, err := m.Get(id)
	if err != nil {
		return
	}
	if h := m.known(sub.UID); h != nil {
		for _, r := range out {
			if r.Outcome == Expired || r.Outcome == Invalid || r.Outcome == Gone {
				h.refused.Add(1)
			}
		}
	}
}

// settleHere settles deliveries whose home is this gateway.
func (m *Manager) settleHere(ctx context.Context, orders []order) {
	byUID := make(map[string][]order)
	for _, o := range orders {
		byUID[o.token.uid] = append(byUID[o.token.uid], o)
	}
	for uid, some := range byUID {
		if h := m.known(uid); h != nil {
			h.settle(ctx, some)
			continue
		}
		for _, o := range some { // it was here and is no more
			switch {
			case m.ctx.Err() != nil:
				o.result.Outcome = Unavailable // what pulls were handed is in force still
			case !m.store.hasUID(uid):
				o.result.Outcome = Gone
			default:
				o.result.Outcome = Expired
			}
		}
	}
}

// settle settles deliveries of this home.
func (h *home) settle(ctx context.Context, orders []order) {
	for len(orders) > 0 {
		var todo []settlement
		var later []order
		var busy chan struct{}
		h.mu.Lock()
		for _, o := range orders {
			hd, wait := h.find(o)
			switch {
			case wait != nil:
				busy, later = wait, append(later, o)
			case hd != nil:
				hd.stage, hd.done = settling, make(chan struct{})
				todo = append(todo, h.settlementOf(o, hd))
			}
		}
		h.mu.Unlock()
		if len(todo) > 0 {
			h.decide(ctx, todo)
		} else if busy != nil {
			select {
			case <-busy:
			case <-ctx.Done():
				for _, o := range later {
					o.result.Outcome = Unavailable
				}
				return
			}
		}
		orders = later
	}
}

// settlement is an order and what it is about.
type settlement struct {
	order
	hold *hold
	// next is the tally when it is kept, and delay when the next delivery may
	// begin, of a Retry or Release.
	next  tally
	delay time.Duration
	// stays: the hold stays here until then, and is not JetStream's to hand out.
	stays bool
}

// settlementOf works out what an order comes to. The caller holds mu.
func (h *home) settlementOf(o order, hd *hold) settlement {
	s := settlement{order: o, hold: hd, next: hd.tally}
	s.stays = o.Verdict == Extend || h.lanes != nil && h.lanes.serving()
	switch o.Verdict {
	case Retry:
		s.next, _ = hd.ended(refused, false)
		s.delay = h.sub.backoff(s.next.Failed)
		if o.Delay != nil {
			s.delay = *o.Delay
		}
	case Release:
		s.next, s.delay = hd.over(), h.releaseDelay(hd, o.Unsent)
	}
	if !s.stays {
		s.next = s.next.told(hd.queued)
	}
	return s
}

// releaseDelay answers how long what was released waits: not at all when there is
// another consumer, else longer with every time, so that a consumer that wants none
// is not asked without end.
func (h *home) releaseDelay(hd *hold, unsent bool) time.Duration {
	const first, most = 50 * time.Millisecond, 5 * time.Second
	if unsent || hd.releases == 0 {
		return 0
	}
	for _, c := range h.consumers {
		if c != hd.consumer && c.room(h.sub) > 0 {
			return 0
		}
	}
	return min(first<<min(hd.releases-1, 10), most)
}

// find answers the hold that an order is about, or decides the order, or answers
// what to wait for: the same delivery is being settled.
func (h *home) find(o order) (*hold, chan struct{}) {
	t := o.token
	hd := h.holds[key{t.replay, t.seq}]
	switch {
	case t.generation != h.sub.Generation:
		o.result.Outcome = Expired
		return nil, nil
	case hd != nil && uint64(hd.HandOut) == t.hand && hd.stage == settling:
		return nil, hd.done
	case hd != nil && uint64(hd.HandOut) == t.hand && hd.stage == given && time.Now().Before(hd.deadline):
		return hd, nil
	}
	o.result.Outcome = Expired
	h.heardLate(key{t.replay, t.seq}, t.hand)
	if m, ok := h.memos.get(key{t.replay, t.seq}); ok && m.hand == t.hand && m.verdict == o.Verdict {
		o.result.Outcome = m.outcome // it says the same again
	}
	return nil, nil
}

// decide keeps settlements and then lets them have their effect.
func (h *home) decide(ctx context.Context, todo []settlement) {
	h.mu.Lock()
	max := h.sub.MaxAttempts
	h.mu.Unlock()
	byQueue := make(map[*queue.Config][]settlement)
	var parks []settlement
	for _, s := range todo {
		if s.Verdict == Park || s.Verdict == Retry && s.next.Failed >= max {
			parks = append(parks, s)
			continue
		}
		byQueue[s.hold.queue] = append(byQueue[s.hold.queue], s)
	}
	for queue, some := range byQueue {
		h.keepWords(ctx, *queue, some)
	}
	for _, s := range parks {
		h.park(ctx, s)
	}
}

// keepWords keeps settlements of one queue.
func (h *home) keepWords(ctx context.Context, queue queue.Config, some []settlement) {
	sent := time.Now()
	var finals []settlement
	var others []settlement
	for _, s := range some {
		if s.Verdict == Ack || s.Verdict == Skip {
			finals = append(finals, s)
		} else {
			others = append(others, s)
		}
	}
	if len(finals) > 0 {
		h.conclude(finals, h.m.keepFinal(ctx, queue, wordsOf(h, finals)))
	}
	if len(others) == 0 {
		return
	}
	if err := h.count(ctx, others); err != nil {
		h.effect(others, sent, make([]bool, len(others)))
		return
	}
	h.effect(others, sent, h.m.confirm(ctx, queue, wordsOf(h, others)))
}

// count keeps what the settlements say of the deliveries before their next: whoever
// is handed them then must know.
func (h *home) count(ctx context.Context, some []settlement) error {
	var all []queue.Attempted
	for _, s := range some {
		if s.Verdict == Retry || s.Verdict == Release {
			all = append(all, h.m.tallies.note(s.hold.queue.Name, s.hold.seq, s.next)...)
		}
	}
	return h.m.tallies.keep(ctx, all)
}

func wordsOf(h *home, some []settlement) []queue.Word {
	h.mu.Lock()
	defer h.mu.Unlock()
	words := make([]queue.Word, len(some))
	for i, s := range some {
		switch {
		case s.Verdict == Ack || s.Verdict == Skip:
			words[i] = s.hold.word(queue.Settled, 0)
		case s.stays:
			words[i] = s.hold.word(queue.Held, 0)
		default:
			words[i] = s.hold.word(queue.Back, s.delay)
		}
	}
	return words
}

// keepFinal keeps that messages are settled for good, and answers for which of
// them that survives whatever happens.
func (m *Manager) keepFinal(ctx context.Context, q queue.Config, words []queue.Word) []bool {
	if m.acks == nil {
		return m.confirm(ctx, q, words)
	}
	ok := make([]bool, len(words))
	if len(words) == 0 {
		return ok
	}
	acks := make([]queue.Ack, len(words))
	for i, w := range words {
		acks[i] = queue.Ack{Queue: q.Name, Seq: w.Seq}
	}
	if err := m.acks.Keep(ctx, acks); err != nil {
		return ok
	}
	// JetStream need not answer: what it forgets is in the journal.
	m.engine.Say(q, words...)
	for i := range ok {
		ok[i] = true
	}
	return ok
}

func (m *Manager) confirm(ctx context.Context, queue queue.Config, words []queue.Word) []bool {
	ok, err := m.engine.Confirm(ctx, queue, words)
	if err != nil && ctx.Err() == nil {
		m.logger.Warn("settlements could not be kept", "queue", queue.Name, "err", err)
	}
	if len(ok) < len(words) {
		ok = make([]bool, len(words))
	}
	return ok
}

// conclude ends holds that are settled for good.
func (h *home) conclude(some []settlement, ok []bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, s := range some {
		if !h.concludeOne(s, ok[i] && h.inTime(s.hold)) {
			continue
		}
		s.result.Outcome = Done
		if s.Verdict == Ack {
			h.acked.Add(1)
		} else {
			h.skipped.Add(1)
		}
		h.finish(s, Done)
	}
	h.poke()
}

// inTime reports whether an answer that has just come says anything about a hold:
// JetStream confirms words about what it has handed to somebody else as well. What
// an embedded engine has written down is settled, whenever.
func (h *home) inTime(hd *hold) bool {
	return h.m.acks != nil || time.Now().Before(hd.sure)
}

// concludeOne reports whether a settlement was kept; if not the delivery is in force as
// before.
func (h *home) concludeOne(s settlement, ok bool) bool {
	hd := s.hold
	h.endSettling(hd) // before it may begin anew, with another end
	if !ok {
		s.result.Outcome, h.doubted = Unavailable, true
		h.poke()
		if h.holds[hd.key] == hd {
			hd.stage = given
			h.orphaned(hd)
		}
		return false
	}
	h.heard(hd)
	return true
}

// orphaned looks after a delivery that could not be settled: its stream may have
// gone meanwhile.
func (h *home) orphaned(hd *hold) {
	h.clock.set(hd.deadline, hd)
	if hd.consumer == nil && !hd.pulled {
		h.fail(hd, hd.left, "the stream of the last attempt was gone")
	}
}

// finish forgets a hold of which a settlement was kept. One of an earlier
// generation says nothing of the same event in this one: it comes again.
func (h *home) finish(s settlement, outcome Outcome) {
	hd := s.hold
	m := memo{hand: uint64(hd.HandOut), verdict: s.Verdict, outcome: outcome, by: hd.consumer, releases: hd.releases, reason: s.Reason}
	if m.final() {
		h.m.tallies.settled(hd.queue.Name, hd.seq)
		if hd.replay {
			go h.m.forget(hd.seq)
		}
	}
	if h.holds[hd.key] != hd {
		return
	}
	h.memos.put(hd.key, m)
	h.drop(hd)
}

// effect lets retries, releases and extensions have theirs.
func (h *home) effect(some []settlement, sent time.Time, ok []bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, s := range some {
		if !h.concludeOne(s, ok[i] && h.inTime(s.hold)) {
			continue
		}
		hd := s.hold
		s.result.Outcome = Done
		if h.holds[hd.key] != hd {
			continue
		}
		if s.Verdict == Extend {
			h.extend(s, sent)
			continue
		}
		if s.Verdict == Retry {
			h.retried.Add(1)
		} else if !s.Unsent {
			hd.releases++
		}
		hd.tally = s.next.and(hd.tally)
		if !s.stays {
			h.finish(s, Done)
			continue
		}
		h.prolong(hd, sent)
		h.stay(s)
	}
	h.poke()
}

// stay keeps the hold of a Retry or Release for its next delivery, unless this
// gateway has ceased to hand out meanwhile.
func (h *home) stay(s settlement) {
	hd := s.hold
	h.memos.put(hd.key, memo{hand: uint64(hd.HandOut), verdict: s.Verdict, outcome: Done, reason: s.Reason})
	hd.last = hd.consumer
	h.withdraw(hd)
	if h.lanes.serving() {
		h.wait(hd, s.delay)
		return
	}
	h.drop(hd)
	h.back(hd, s.delay)
}

func (h *home) extend(s settlement, sent time.Time) {
	hd := s.hold
	h.extended.Add(1)
	by := s.Extension
	if by == 0 {
		by = h.sub.AckDeadline
	}
	hd.stage = given
	h.prolong(hd, sent)
	hd.deadline = time.Now().Add(by)
	h.clock.set(hd.deadline, hd)
	s.result.Deadline, s.result.Token = hd.deadline, h.m.signer.sign(h.tokenOf(hd))
	if hd.consumer == nil && !hd.pulled {
		h.orphaned(hd)
	}
}

// questions between gateways.
const (
	askSettle    = "settle"
	askClaim     = "claim"
	askState     = "state"
	askTurns     = "turns"
	askFates     = "fates"
	askStandings = "standings"
	tellReplayed = "replayed"
	tellHello    = "hello"
	tellBye      = "bye"
)

func (m *Manager) listen() (err error) {
	if m.bus, err = m.engine.Bus(m.gateway); err != nil {
		return err
	}
	m.peers.since = time.Now()
	for question, answer := range map[string]func([]byte) []byte{
		askSettle: m.answerSettle, askClaim: m.answerClaim, askState: m.answerState, askTurns: m.answerTurns, askFates: m.answerFates, askStandings: m.answerStandings,
		tellReplayed: m.hearReplayed, tellHello: m.peers.hear, tellBye: m.peers.leave,
	} {
		if err := m.bus.Serve(question, answer); err != nil {
			return err
		}
	}
	m.wg.Go(m.greet)
	return nil
}

const (
	// forwardTime bounds the wait for another gateway.
	forwardTime = 3 * time.Second
	// askAgain is when it is asked once more: it may have died with the question,
	// of which nobody is told. Settling twice is settling once.
	askAgain = time.Second
)

// forward has the home of deliveries settle them. When it is not there any more
// JetStream is told in its place.
func (m *Manager) forward(ctx context.Context, home string, orders []order) {
	for some := range parcels(orders) {
		m.forwardOne(ctx, home, some)
	}
}

// parcelBytes bounds one question. NATS takes 1 MiB unless told otherwise.
const parcelBytes = 256 << 10

// parcels are the orders in runs that fit into a question.
func parcels(orders []order) iter.Seq[[]order] {
	return func(yield func([]order) bool) {
		for len(orders) > 0 {
			n, size := 0, 0
			for n < len(orders) && (n == 0 || size < parcelBytes) {
				// Of a reason a byte may become six; the rest is names and numbers.
				size += len(orders[n].Token) + 6*len(orders[n].Reason) + 160
				n++
			}
			if !yield(orders[:n]) {
				return
			}
			orders = orders[n:]
		}
	}
}

func (m *Manager) forwardOne(ctx context.Context, home string, orders []order) {
	in := make([]Settlement, len(orders))
	for i, o := range orders {
		in[i] = o.Settlement
	}
	data, err := json.Marshal(in)
	if err != nil {
		unavailableAll(orders)
		return
	}
	answer, unheard, err := m.ask(ctx, home, data)
	var results []answered
	switch {
	case errors.Is(err, queue.ErrNoGateway):
		m.settleOrphans(ctx, orders, unheard)
	case err != nil || json.Unmarshal(answer, &results) != nil || len(results) != len(orders):
		unavailableAll(orders)
	default:
		for i, o := range orders {
			*o.result = results[i].ours()
			if unheard && results[i].Outcome == Expired {
				// The question before may have settled it without our hearing of it.
				o.result.Outcome = Unavailable
			}
		}
	}
}

// answered is a Result on its way from one gateway to another.
type answered struct {
	Result

	// Left is how long it is to the deadline: their clocks may differ by anything.
	Left time.Duration `json:",omitzero"`
}

// ours answers the result with the deadline by our clock. A gateway of before says only
// what it is by its own.
func (a answered) ours() Result {
	if a.Left > 0 {
		a.Deadline = time.Now().Add(a.Left)
	}
	return a.Result
}

func unavailableAll(orders []order) {
	for _, o := range orders {
		o.result.Outcome = Unavailable
	}
}

// ask asks the home of deliveries to settle them, and reports whether a question
// before the one that was answered was not.
func (m *Manager) ask(ctx context.Context, home string, data []byte) (answer []byte, unheard bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, forwardTime)
	defer cancel()
	for {
		asking, cancel := context.WithTimeout(ctx, askAgain)
		answer, err = m.bus.Ask(asking, home, askSettle, data)
		late := asking.Err() != nil
		cancel()
		if err == nil || !late || ctx.Err() != nil {
			return answer, unheard, err
		}
		unheard = true
	}
}

func (m *Manager) answerSettle(data []byte) []byte {
	var in []Settlement
	if json.Unmarshal(data, &in) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(m.ctx, forwardTime)
	defer cancel()
	out := make([]Result, len(in))
	var orders []order
	for i, s := range in {
		t, err := m.signer.parse(s.Token)
		if err != nil || t.home != m.gateway || !valid(s) {
			out[i].Outcome = Invalid
			continue
		}
		orders = append(orders, order{t, s, &out[i]})
	}
	m.settleHere(ctx, orders)
	answers := make([]answered, len(out))
	for i, r := range out {
		answers[i].Result = r
		if !r.Deadline.IsZero() {
			answers[i].Left = time.Until(r.Deadline)
		}
	}
	answer, _ := json.Marshal(answers) // cannot fail
	return answer
}
