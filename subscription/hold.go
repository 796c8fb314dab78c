package subscription

import (
	"container/heap"
	"strings"
	"time"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/queue"

	"github.com/hookstream/hookstream/hub"
)

// key names what a home holds: an event, or a replayed entry.
type key struct {
	replay bool
	seq    uint64
}

// stage is how far a hold has come.
type stage int

const (
	waiting  stage = iota // for its turn: another of its entity is in force, or its wait is not over
	ready                 // for a consumer with room
	boxed                 // chosen for a consumer, not sent yet
	given                 // in force
	settling              // its settlement is being kept
)

// hold is one message that JetStream handed to this gateway, until it is settled
// or given back.
type hold struct {
	key
	tally
	// queue it came from: it is that one which is told, though the subscription
	// be sought meanwhile.
	queue  *queue.Config
	turn   uint64
	pin    string // that it was handed out with
	queued int    // hand-outs as the queue counts
	event  *hub.Event
	size   int64
	entity string // set only when the subscription is ordered
	entry  *queue.ParkedEntry

	stage stage
	// sure is until when JetStream certainly hands it to nobody else.
	sure time.Time
	// asked, held and next are not zero as long as the queue's next leader would hold it for
	// less long, until next, than the one that handed it out, after it was asked to, does:
	// until held.
	asked, held, next time.Time
	// renewing: the answer to a longer hold is on its way. What is given back
	// meanwhile is owed: it is no hold of its home any more, and JetStream is told
	// after the answer, that it be handed out from returnAt on.
	renewing, owed bool
	returnAt       time.Time
	// doubtful: it was in force when its gateway was cut off, and may have been
	// settled through another one. Only its own end makes that known.
	doubtful bool
	// notBefore is when its next attempt may begin.
	notBefore time.Time
	// readyAt is since when a suspect is ready.
	readyAt time.Time

	consumer *consumer
	last     *consumer // that had it before, and did nothing with it
	releases int       // by the word of consumers
	shared   bool      // its consumer had others in hands at some time
	left     ending    // how the delivery ended when its stream was gone meanwhile
	clientID string
	deadline time.Time
	pulled   bool          // it was handed out by a Pull
	done     chan struct{} // closed when settling ends
	again    *arrival      // what JetStream handed out of it meanwhile

	alarm time.Time // when the clock has it attended to
	place int       // in the clock, when it is there
}

func (h *hold) word(say queue.Say, delay time.Duration) queue.Word {
	w := queue.Word{Seq: h.seq, Turn: h.turn, Attempt: h.queued, Say: say, Delay: delay}
	if say != queue.Settled {
		w.Until = h.until()
	}
	return w
}

// record of a hold, for parking it.
func (h *hold) record() event.Record {
	if h.entry != nil {
		return h.entry.Record
	}
	return h.event.Record()
}

// replayOf answers the name of the replay that a hold is of, if it is of one.
func (h *hold) replayOf(sub *Subscription) string {
	if h.entry == nil || h.entry.Replay == "" {
		return ""
	}
	return ReplayName(sub.ID, h.entry.Replay)
}

// clock says which holds need attention when, the earliest first. A hold is in it
// once at most, and no longer than it is held: deadlines may be an hour away, and
// most deliveries are settled at once.
type clock []*hold

func (c clock) Len() int           { return len(c) }
func (c clock) Less(i, j int) bool { return c[i].alarm.Before(c[j].alarm) }
func (c clock) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].place, c[j].place = i, j
}

func (c *clock) Push(x any) {
	h := x.(*hold)
	h.place = len(*c)
	*c = append(*c, h)
}

func (c *clock) Pop() any {
	old := *c
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*c = old[:len(old)-1]
	return h
}

// has also is right about holds of an earlier clock.
func (c clock) has(h *hold) bool { return h.place < len(c) && c[h.place] == h }

// set has a hold attended to at a time, and not at the one that was set before.
func (c *clock) set(at time.Time, h *hold) {
	h.alarm = at
	if c.has(h) {
		heap.Fix(c, h.place)
	} else {
		heap.Push(c, h)
	}
}

func (c *clock) forget(h *hold) {
	if c.has(h) {
		heap.Remove(c, h.place)
	}
}

// due answers the next hold whose time has come, nil when there is none.
func (c *clock) due(now time.Time) *hold {
	if len(*c) == 0 || (*c)[0].alarm.After(now) {
		return nil
	}
	return heap.Pop(c).(*hold)
}

// memo is what became of a hold that is gone.
type memo struct {
	hand    uint64 // number of the delivery; 0: none
	verdict Verdict
	outcome Outcome
	// by whom it was released or lost last, and how often it was released: for
	// its next hand-out.
	by       *consumer
	releases int
	// reason of the last attempt that failed, as far as it is remembered.
	reason string
}

// final reports whether the message must not be handed out again.
func (m memo) final() bool { return m.verdict == Ack || m.verdict == Skip || m.outcome == Parked }

// memos remembers the last of them.
type memos struct {
	of   map[key]memo
	keys []key // a ring
	next int
}

// maxMemos bounds what a home remembers.
const maxMemos = 16 << 10

// maxMemoReason bounds what it remembers of each reason.
const maxMemoReason = 128

func (m *memos) put(k key, v memo) {
	if m.of == nil {
		m.of = make(map[key]memo)
	}
	old, ok := m.of[k]
	if v.reason = strings.Clone(v.reason[:min(len(v.reason), maxMemoReason)]); v.reason == "" {
		v.reason = old.reason
	}
	if !ok {
		if len(m.keys) < maxMemos {
			m.keys = append(m.keys, k)
		} else {
			delete(m.of, m.keys[m.next])
			m.keys[m.next] = k
			m.next = (m.next + 1) % maxMemos
		}
	}
	m.of[k] = v
}

func (m *memos) get(k key) (memo, bool) { v, ok := m.of[k]; return v, ok }
