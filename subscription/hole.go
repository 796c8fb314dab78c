package subscription

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/hookstream/hookstream/eventlog"

	"github.com/hookstream/hookstream/eventlog/queue"
)

// A hole of the log is a gap of every subscription that has not passed it, whatever
// it selects: nobody knows what was there. It is counted as soon as it is known,
// mostly long before the queue comes to it.

// holes are those of the log.
type holes struct {
	runs    []span
	version int // grows when they change
}

// replace takes what the log says, and reports whether that is new.
func (o *holes) replace(lost []eventlog.Missing) bool {
	runs := make([]span, len(lost))
	for i, l := range lost {
		runs[i] = span{l.From, l.To + 1}
	}
	if slices.Equal(runs, o.runs) {
		return false
	}
	o.runs, o.version = runs, o.version+1
	return true
}

// lookForHoles counts those of the log that the subscription has not passed, and
// those that its queue has jumped over here before they were known. What was passed
// earlier was there then, as far as anybody knows.
func (m *Manager) lookForHoles(ctx context.Context, sub *Subscription, found holes) error {
	q := m.mainQueue(sub)
	m.gaps.mu.Lock()
	judged := m.gaps.judged[q.Name] == found.version
	m.gaps.mu.Unlock()
	if judged {
		return nil
	}
	v := m.gaps.now(sub)
	if parts := v.uncounted(found.runs, sub.Start); len(parts) > 0 {
		st, err := m.engine.QueueState(ctx, q)
		if err != nil {
			return err
		}
		if st.Turn == 0 { // it was handed nothing, and what it begins behind was gone
			st.Last = 0
		}
		if err := m.missed(ctx, sub, 0, m.notPassed(sub.UID, parts, st.Last)...); err != nil {
			return err
		}
	}
	m.gaps.mu.Lock()
	defer m.gaps.mu.Unlock()
	m.gaps.judged[q.Name] = found.version
	return nil
}

// uncounted answers what of the runs, from start on, is not counted yet.
func (v *missed) uncounted(runs []span, start uint64) (parts []span) {
	for _, r := range runs {
		r[0] = max(r[0], start)
		parts = append(parts, v.Spans.without(r)...)
	}
	return parts
}

// notPassed answers those parts, and parts of them, that nobody was handed by a
// queue that has come to last.
func (m *Manager) notPassed(uid string, parts []span, last uint64) (out []span) {
	h := m.known(uid)
	for _, p := range parts {
		if passed := (span{p[0], min(p[1], last+1)}); h != nil && !passed.empty() {
			out = append(out, h.jumpedOver(passed)...)
		}
		if ahead := (span{max(p[0], last+1), p[1]}); !ahead.empty() {
			out = append(out, ahead)
		}
	}
	return out
}

// passedTime is how long, at least, a queue has passed what is taken for handed out
// while it was there. A hole is mostly found by who reads what comes after it.
const passedTime = 10 * time.Second

// unknown is a position before which nobody can say what became of anything.
const unknown = math.MaxUint64

// passOn is told that all holes that are known were looked at.
func (h *home) passOn(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.passed == unknown || now.Sub(h.passedAt) < passedTime {
		return
	}
	h.passed, h.passing, h.passedAt = h.passing, h.behind, now
}

// jumpedOver answers what of a hole the queue has passed here a short while ago, and
// nobody was handed.
func (h *home) jumpedOver(s span) (out spans) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.passed == unknown {
		return nil
	}
	for seq := max(s[0], h.passed+1); seq < s[1]; seq++ {
		k := key{seq: seq}
		memo, _ := h.memos.get(k)
		if h.holds[k] == nil && !memo.final() && !h.m.wasSettled(h.queue.Name, seq) {
			out = out.with(span{seq, seq + 1})
		}
	}
	return out
}

// begun is told how the queue stands, before it hands out anything here that has
// to be followed. The caller holds mu.
func (h *home) begun(st queue.State) {
	h.trusted, h.behind = st.Turn, max(h.behind, st.Last)
	h.turns = turns{{from: st.Turn, to: st.Turn, next: max(st.Last+1, h.sub.Start), begun: true}}
	if h.passed == unknown {
		h.passed, h.passing, h.passedAt = st.Last, st.Last, time.Now()
	}
}
