package subscription

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"math/bits"
	"slices"
	"time"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// place is how far a queue had come at a look: what lies up to last was handed out
// with a turn up to this one, or was passed by while it was there, or is counted.
//
// What JetStream says of it is not enough. It passes by what the log has dropped as it
// does by what is not selected.
type place struct{ turn, last uint64 }

// clearing is a run of sequences in which nothing is left to be handed out: nothing of
// it was selected.
type clearing struct {
	Over span   `json:"over"`
	Of   uint64 `json:"of"` // see selected
}

// selects tells one choice of a queue from another.
func selects(q queue.Config) uint64 {
	h := fnv.New64a()
	for _, s := range q.Subjects {
		_, _ = h.Write(append([]byte(s), 0)) // cannot fail
	}
	return h.Sum64()
}

// clear answers what is known to hold nothing for the queue.
func (v *missed) clear(q queue.Config) span {
	if v.Clear == nil || q.Subjects == nil || v.Clear.Of != selects(q) {
		return span{}
	}
	return v.Clear.Over
}

// passed answers up to before where nothing can be missing any more.
func (v *missed) passed(q queue.Config, begin uint64) uint64 {
	begin = max(begin, v.UpTo)
	if c := v.clear(q); c[0] <= begin {
		return max(begin, c[1])
	}
	return begin
}

// end is where the log ended at some time.
type end struct {
	seq uint64
	at  time.Time
}

// surelySeen is after how long JetStream has what was published taken into account in
// what a queue has left. On a cluster the answer may be that of a replica that lags.
func (m *Manager) surelySeen() time.Duration {
	if m.engine.Embedded() {
		return gapEvery / 2
	}
	return 10 * time.Second
}

// ends notes where the log ends now, and answers where it ended when JetStream has
// surely seen it. The caller holds mu.
func (g *gaps) ended(now end, surely time.Duration) uint64 {
	g.ends = append(g.ends, now)
	for len(g.ends) > 1 && now.at.Sub(g.ends[1].at) >= surely {
		g.ends = g.ends[1:]
	}
	if now.at.Sub(g.ends[0].at) < surely {
		return 0
	}
	return g.ends[0].seq
}

// nearness answers up to before where the log may soon begin. What a queue is known to
// have passed lies behind that, or it is asked anew: so what is jumped over later can be
// compared with it. The caller holds mu.
func (g *gaps) nearness(first, last uint64) uint64 {
	before := cmp.Or(g.first, first)
	return first + max(lookAhead*(first-before), (max(last, first)-first)/4)
}

// growth changes when the log has grown by about an eighth.
func growth(first, last uint64) uint64 {
	return last >> max(bits.Len64(max(last, first)-first)-3, 0)
}

// place answers how far the queue had come at the last look; of one that was never
// looked at, that it had handed out nothing before the first turn.
func (g *gaps) place(q queue.Config) (p place, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p, known = g.places[q.Name]; !known {
		p.last = max(q.From, 1) - 1
	}
	return p, known
}

var errUnsure = errors.New("what a queue handed out is not known yet")

// lookForGap counts what the log dropped and the queue had not handed out by then. It
// asks JetStream only when what it knows does not say that there is nothing, and will be
// nothing soon.
func (m *Manager) lookForGap(ctx context.Context, sub *Subscription, now looks) error {
	q := m.mainQueue(sub)
	v := m.gaps.now(sub)
	was, known := m.gaps.place(q)
	if now.near <= v.passed(q, was.last+1) {
		return nil
	}
	st, err := m.engine.QueueState(ctx, q)
	if err != nil {
		return err
	}
	b, err := m.engine.Events().Bounds(ctx)
	if err != nil {
		return err
	}
	// What the queue had passed and is dropped it may have passed by without a word. What it
	// had not, and is dropped by now, it may have handed out meanwhile.
	first := max(now.first, min(b.First, st.Last+1))
	gap := span{max(was.last+1, v.UpTo), first}
	if parts := (spans{v.clear(q)}).without(gap); len(parts) > 0 {
		lost, sure := m.notHandedOut(ctx, q, sub, was, st, first)
		if !sure {
			if (known || !m.engine.Embedded()) && m.gaps.waitsFor(q) {
				return errUnsure
			}
			if !known {
				lost = nil // who knows when that was jumped over
			}
			lost = append(lost, span{st.Last + 1, first})
		}
		if err := m.missed(ctx, sub, first, m.perhaps(ctx, sub, inside(gap, lost))...); err != nil {
			return err
		}
	}
	at := place{st.Turn, max(was.last, first-1, st.Last)}
	m.gaps.move(q, at)
	if q.Subjects == nil || st.Waiting > 0 {
		return nil
	}
	return m.keepClear(ctx, sub, q, span{max(at.last+1, b.First), now.ended + 1})
}

// inside answers what of spans lies in another one.
func inside(in span, some []span) (out []span) {
	for _, s := range some {
		if s = (span{max(s[0], in[0]), min(s[1], in[1])}); !s.empty() {
			out = append(out, s)
		}
	}
	return out
}

// unsureLooks is for how many looks what a queue handed out may be on its way to the
// gateway that tells of it.
const unsureLooks = 5

// waitsFor reports whether it is waited for once more.
func (g *gaps) waitsFor(q queue.Config) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unsure[q.Name]++
	if g.unsure[q.Name] <= unsureLooks {
		return true
	}
	delete(g.unsure, q.Name)
	return false
}

// move notes how far a queue has come.
func (g *gaps) move(q queue.Config, to place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.places[q.Name] = to
	delete(g.unsure, q.Name)
}

// keepClear keeps that a queue has nothing left in a run of sequences, for who looks
// after a restart: in what the log had still after the queue said so.
func (m *Manager) keepClear(ctx context.Context, sub *Subscription, q queue.Config, over span) error {
	v := m.gaps.now(sub)
	if over[1] <= v.passed(q, over[0]) {
		return nil
	}
	if old := v.clear(q); !old.empty() && old[1] >= over[0] {
		over[0] = min(old[0], over[0])
	}
	v.Clear = &clearing{Over: over, Of: selects(q)}
	return m.keepMissed(ctx, sub.UID, v)
}

// notHandedOut answers what nobody was handed between two looks, and whether all is
// known that was handed out.
func (m *Manager) notHandedOut(ctx context.Context, q queue.Config, sub *Subscription, was place, st queue.State, first uint64) (lost []span, whole bool) {
	known := m.turnsOf(sub.UID, q.Name)
	lost, whole = known.between(was, st.Turn, first)
	if !whole && !m.engine.Embedded() {
		lost, whole = m.turnsOfAll(ctx, q.Name, sub.UID, known).between(was, st.Turn, first)
	}
	return lost, whole
}

// turnsOf answers which hand-outs of the queue this gateway knows of.
func (m *Manager) turnsOf(uid, queue string) turns {
	h := m.known(uid)
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.queue.Name != queue {
		return nil
	}
	return h.turns.handedOut()
}

// told of hand-outs is what a gateway answers.
type toldTurns struct {
	Gateway string
	Runs    [][4]uint64
}

type askedTurns struct{ UID, Queue string }

// turnsOfAll answers which hand-outs all gateways know of that answer.
func (m *Manager) turnsOfAll(ctx context.Context, queue, uid string, known turns) turns {
	data, _ := json.Marshal(askedTurns{uid, queue}) // cannot fail
	answers, err := m.bus.AskAll(ctx, askTurns, data, stateWait, m.complete)
	if err != nil {
		return known
	}
	for _, a := range answers {
		var by toldTurns
		if json.Unmarshal(a, &by) != nil || by.Gateway == m.gateway {
			continue
		}
		for _, r := range by.Runs {
			known = append(known, run{from: r[0], to: r[1], first: r[2], next: r[3]})
		}
	}
	slices.SortStableFunc(known, func(a, b run) int { return cmp.Compare(a.from, b.from) })
	return known
}

func (m *Manager) answerTurns(data []byte) []byte {
	var a askedTurns
	if json.Unmarshal(data, &a) != nil {
		return nil
	}
	out := toldTurns{Gateway: m.gateway}
	for _, r := range m.turnsOf(a.UID, a.Queue) {
		out.Runs = append(out.Runs, [4]uint64{r.from, r.to, r.first, r.next})
	}
	data, _ = json.Marshal(out) // cannot fail
	return data
}

// perhaps answers what of events that nobody was handed may have been selected: all
// but what is known to be otherwise.
func (m *Manager) perhaps(ctx context.Context, sub *Subscription, some []span) (out []span) {
	v := m.gaps.now(sub)
	not := spans{v.clear(m.mainQueue(sub))}
	match, err := m.compile(sub.Selector)
	if err != nil {
		return some
	}
	for _, s := range some {
		for _, e := range m.hub.InMemory(s[0], s[1]) {
			if e.Readable() && !match(ctx, e) && ctx.Err() == nil { // who is interrupted matches nothing
				not = not.with(span{e.Seq(), e.Seq() + 1})
			}
		}
		out = append(out, not.without(s)...)
	}
	return out
}
