package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// trial is one reader with a plan of its own, held against the whole history.
type trial struct {
	t     *testing.T
	rand  *rand.Rand
	hub   *Hub
	name  string
	match func(*hookstreamv1.Event) bool
	req   Request

	next uint64 // everything before was looked at, or lost in a gap it was told of
	seen []uint64
	lost [][2]uint64
	// floating: it began with the oldest event that was there.
	floating bool
	target   uint64 // it ends when it has looked at this
}

var errEnough = errors.New("enough")

// receive checks a frame: events in order, cursors that never go back.
func (tr *trial) receive(f Frame) error {
	g := decodeFrame(tr.t, f)
	switch m := g.message.(type) {
	case *hookstreamv1.Opened:
		tr.next = g.cursor.Seq + 1
	case *hookstreamv1.Gap:
		// What it looked at without sending anything lies before the gap.
		first := g.cursor.Seq + 1 - uint64(m.MissedEvents)
		if m.MissedEvents < 1 || first < tr.next {
			tr.t.Errorf("%s: gap of %d before %d, having passed %d", tr.name, m.MissedEvents, g.cursor.Seq+1, tr.next-1)
		}
		tr.lost = append(tr.lost, [2]uint64{first, g.cursor.Seq})
	}
	for _, seq := range seqsOf(tr.t, []got{g}) {
		if seq < tr.next {
			tr.t.Errorf("%s: event %d came after %d was passed", tr.name, seq, tr.next-1)
		}
		tr.seen, tr.next = append(tr.seen, seq), seq+1
	}
	if g.cursor.Seq+1 < tr.next {
		tr.t.Errorf("%s: the cursor went back to %d from %d", tr.name, g.cursor.Seq, tr.next)
	}
	tr.next = g.cursor.Seq + 1
	if tr.rand.IntN(8) == 0 { // now and then it is slow: others go on meanwhile
		follow(tr.t, tr.hub, min(tr.next+tr.rand.Uint64N(200), tr.target))
	}
	if tr.next > tr.target {
		return errEnough
	}
	return nil
}

// run reads to the target, sometimes resuming with the last cursor.
func (tr *trial) run(ctx context.Context) error {
	for {
		breakOff := -1
		if tr.rand.IntN(2) == 0 {
			breakOff = tr.rand.IntN(6)
		}
		var last event.Cursor
		err := tr.hub.Stream(ctx, tr.req, func(f Frame) error {
			last = f.Cursor
			if err := tr.receive(f); err != nil {
				return err
			}
			if breakOff--; breakOff == 0 {
				return context.Canceled
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			return err
		}
		tr.req.Start = Start{After: &last}
	}
}

// check holds what came against what should have.
func (tr *trial) check(from uint64, history map[uint64]*hookstreamv1.Event, dropped uint64) {
	for _, l := range tr.lost {
		for seq := max(l[0], dropped+1); seq <= l[1]; seq++ {
			if history[seq] != nil {
				tr.t.Errorf("%s: told of a gap up to %d, but %d is there", tr.name, l[1], seq)
			}
		}
	}
	var want []uint64
	if tr.floating && len(tr.seen) > 0 {
		// It asked for what there is: a drop before it looked is no gap.
		from = max(from, min(tr.seen[0], dropped+1))
	}
	for seq := from; seq <= tr.target; seq++ {
		isLost := slices.ContainsFunc(tr.lost, func(l [2]uint64) bool { return l[0] <= seq && seq <= l[1] })
		if e := history[seq]; e != nil && tr.match(e) && !isLost {
			want = append(want, seq)
		}
	}
	seen := slices.DeleteFunc(slices.Clone(tr.seen), func(seq uint64) bool { return seq > tr.target })
	if diff := cmp.Diff(want, seen); diff != "" {
		tr.t.Errorf("%s from %d: %d events, want %d\n%.2000s", tr.name, from, len(seen), len(want), diff)
	}
}

// plans are selectors, and the same in plain Go.
var plans = []struct {
	in    *hookstreamv1.EventSelector
	match func(*hookstreamv1.Event) bool
}{
	{nil, func(*hookstreamv1.Event) bool { return true }},
	{&hookstreamv1.EventSelector{Types: []string{"*.done"}}, func(e *hookstreamv1.Event) bool { return e.Action == "done" }},
	{&hookstreamv1.EventSelector{Sources: []string{"s1"}}, func(e *hookstreamv1.Event) bool { return e.Source == "sources/s1" }},
	{&hookstreamv1.EventSelector{Filter: `event.yousign.event_id.endsWith("7")`}, func(e *hookstreamv1.Event) bool {
		return len(e.Raw.Body) > 2 && e.Raw.Body[len(e.Raw.Body)-3] == '7'
	}},
	{&hookstreamv1.EventSelector{Types: []string{"nothing"}}, func(*hookstreamv1.Event) bool { return false }},
}

// Every reader gets exactly the matching events, once and in order, or is told of
// the gap: whatever the ring, retention, selector, start, speed and batch.
func TestEveryReaderGetsEverythingOnce(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { t.Parallel(); oneWorld(t, seed) })
	}
}

func oneWorld(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	const total = 1500
	old := rnd.Uint64N(1000)
	world := &world{t: t, log: newLog(), rand: rnd, history: make(map[uint64]*hookstreamv1.Event)}
	for range old {
		world.grow()
	}
	var l eventlog.Log = world.log
	if seed%2 == 1 { // with scans, which may break off
		l = &scanLog{Log: l, breakAfter: rnd.IntN(3) * 400}
	}
	h := running(t, newHub(t, l, func(o *Options) {
		o.RingEvents = 1 + rnd.IntN(300)
		o.RingBytes = 1 << (10 + rnd.IntN(10))
		o.ChunkBytes = 1 << (10 + rnd.IntN(10))
	}))
	var trials []*trial
	var starts []uint64
	for n := range 12 {
		tr, from := newTrial(t, h, n, seed, rnd, old+total)
		trials, starts = append(trials, tr), append(starts, from)
	}
	var wg sync.WaitGroup
	for _, tr := range trials {
		wg.Go(func() {
			if err := tr.run(t.Context()); !errors.Is(err, errEnough) {
				t.Errorf("%s: %v", tr.name, err)
			}
		})
	}
	for world.last < old+total {
		world.grow()
	}
	for world.last <= old+total {
		world.grow()
	}
	wg.Wait()
	for i, tr := range trials {
		tr.check(starts[i], world.history, world.dropped)
	}
}

func newTrial(t *testing.T, h *Hub, n int, seed uint64, rnd *rand.Rand, target uint64) (*trial, uint64) {
	plan := plans[rnd.IntN(len(plans))]
	tr := &trial{t: t, rand: rand.New(rand.NewPCG(seed, uint64(n+2))), hub: h, match: plan.match, target: target}
	b, err := h.log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := b.First
	tr.req = request(t, h, earliest, func(r *Request) {
		r.Selector, r.View = selector(t, h, plan.in), views[rnd.IntN(2)]
		r.BatchEvents, r.BatchBytes, r.SkipExpired = 1+rnd.IntN(300), 100+rnd.IntN(100_000), true
		r.Heartbeat = 20 * time.Millisecond // who matches nothing passes the target by these
		if rnd.IntN(2) == 0 {
			after := event.Cursor{Incarnation: testIncarnation, Seq: rnd.Uint64N(b.Last + 1)}
			from = after.Seq + 1
			r.Start = Start{After: &after}
		}
	})
	tr.name, tr.floating = fmt.Sprintf("reader %d of %v", n, plan.in), tr.req.Start.Earliest
	return tr, from
}

// world writes the log, and remembers it all.
type world struct {
	t       *testing.T
	log     *memlog.Log
	rand    *rand.Rand
	history map[uint64]*hookstreamv1.Event
	last    uint64
	dropped uint64 // everything up to here
}

func (w *world) grow() {
	n := w.rand.IntN(1000)
	s := sample{
		source: fmt.Sprintf("s%d", n%3), action: []string{"done", "activated"}[n%2], body: fmt.Sprintf(`{"eventId": "%d"}`, n),
	}
	switch {
	case n < 5:
		w.log.Skip(w.rand.Uint64N(300))
	case n < 8:
		w.dropped = max(w.dropped, w.last-min(w.last, w.rand.Uint64N(800)))
		w.log.Drop(w.dropped)
	}
	w.last = put(w.t, w.log, s)
	e := s.event()
	e.Raw = &hookstreamv1.RawRequest{Body: []byte(s.body)}
	w.history[w.last] = e
}
