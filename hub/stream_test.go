package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

func wantKinds(t *testing.T, fs []got, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, kinds(fs)); diff != "" {
		t.Errorf("frames:\n%s", diff)
	}
}

func TestLatestBeginsWhereItOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		put(t, l, numbered(5)...)
		h := running(t, newHub(t, l))
		r := read(t, h, request(t, h))
		synctest.Wait()
		wantKinds(t, r.all(), "Opened", "CaughtUp")
		put(t, l, numbered(2)...)
		synctest.Wait()
		fs := r.all()
		if diff := cmp.Diff([]uint64{6, 7}, seqsOf(t, fs)); diff != "" {
			t.Error(diff)
		}
		if fs[0].cursor.Seq != 5 || fs[0].cursor.Time.IsZero() {
			t.Errorf("it opened at %+v", fs[0].cursor)
		}
		r.cancel()
		synctest.Wait()
	})
}

func TestEarliestReadsAllAndFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		put(t, l, numbered(600)...)
		h := running(t, newHub(t, l))
		r := read(t, h, request(t, h, earliest))
		synctest.Wait()
		put(t, l, numbered(1)...)
		synctest.Wait()
		fs := r.all()
		wantKinds(t, fs, "Opened", "batch 255", "batch 256", "batch 89", "CaughtUp", "batch 1")
		if diff := cmp.Diff(upTo(601), seqsOf(t, fs)); diff != "" {
			t.Error(diff)
		}
		if fs[0].cursor != (event.Cursor{Incarnation: testIncarnation}) || fs[5].cursor.Seq != 601 {
			t.Errorf("cursors %+v and %+v", fs[0].cursor, fs[5].cursor)
		}
		r.cancel()
		synctest.Wait()
	})
}

func TestHeartbeatOnlyWhenSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		h := running(t, newHub(t, l))
		start := time.Now()
		r := read(t, h, request(t, h, func(r *Request) {
			r.Heartbeat = 10 * time.Second
			r.Selector = selector(t, h, &hookstreamv1.EventSelector{Types: []string{"*.done"}})
		}))
		time.Sleep(7 * time.Second)
		put(t, l, sample{}) // a match: the silence begins again
		time.Sleep(4 * time.Second)
		put(t, l, sample{action: "other"}, sample{action: "other"}) // none: it goes on
		time.Sleep(17 * time.Second)
		fs := r.all()
		wantKinds(t, fs, "Opened", "CaughtUp", "batch 1", "Heartbeat", "Heartbeat")
		for i, want := range map[int]time.Duration{2: 7 * time.Second, 3: 17 * time.Second, 4: 27 * time.Second} {
			if at := fs[i].at.Sub(start); at != want {
				t.Errorf("frame %d came after %s, want %s", i, at, want)
			}
		}
		if c := fs[3].cursor; c.Seq != 3 || c.Time.IsZero() {
			t.Errorf("the heartbeat of a quiet filter is at %+v, want 3", c)
		}
		r.cancel()
		synctest.Wait()
	})
}

// A filter that matches nothing of a long history keeps its place on the way.
func TestHeartbeatWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		put(t, l, numbered(2000)...)
		h := running(t, newHub(t, slowLog{l, 4 * time.Second}))
		r := read(t, h, request(t, h, earliest, atHead, func(r *Request) {
			r.Heartbeat = 5 * time.Second
			r.Selector = selector(t, h, &hookstreamv1.EventSelector{Types: []string{"nothing"}})
		}))
		fs, err := r.end()
		beats := 0
		for _, f := range fs {
			if m, ok := f.message.(*hookstreamv1.Heartbeat); ok && m.LagEvents > 0 && f.cursor.Seq > 0 {
				beats++
			}
		}
		if err != nil || beats == 0 {
			t.Errorf("%d heartbeats on the way, %v: %v", beats, err, kinds(fs))
		}
	})
}

// slowLog takes its time to read.
type slowLog struct {
	eventlog.Log

	delay time.Duration
}

func (l slowLog) Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error) {
	time.Sleep(l.delay)
	return l.Log.Read(ctx, seq, max, maxBytes)
}

func TestBatchWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		h := running(t, newHub(t, l))
		start := time.Now()
		r := read(t, h, request(t, h, func(r *Request) { r.BatchWait, r.BatchEvents = time.Second, 4 }))
		synctest.Wait()
		for range 3 { // 0 s, 0.4 s, 0.8 s: sent together at 1 s
			put(t, l, sample{})
			time.Sleep(400 * time.Millisecond)
		}
		time.Sleep(300 * time.Millisecond)
		put(t, l, numbered(4)...) // 1.5 s: full, sent at once
		synctest.Wait()
		fs := r.all()
		wantKinds(t, fs, "Opened", "CaughtUp", "batch 3", "batch 4")
		if a, b := fs[2].at.Sub(start), fs[3].at.Sub(start); a != time.Second || b != 1500*time.Millisecond {
			t.Errorf("batches came after %s and %s", a, b)
		}
		r.cancel()
		synctest.Wait()
	})
}

// A batch that waits is a frame to come: no heartbeat is needed.
func TestBatchInsteadOfHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		h := running(t, newHub(t, l))
		start := time.Now()
		r := read(t, h, request(t, h, func(r *Request) { r.BatchWait, r.Heartbeat = time.Second, 5*time.Second }))
		time.Sleep(4500 * time.Millisecond)
		put(t, l, sample{})
		time.Sleep(time.Second)
		fs := r.all()
		wantKinds(t, fs, "Opened", "CaughtUp", "batch 1")
		if at := fs[2].at.Sub(start); at != 5*time.Second {
			t.Errorf("the batch came after %s", at)
		}
		r.cancel()
		synctest.Wait()
	})
}

func TestBatchBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		h := running(t, newHub(t, l))
		big := sample{body: `{"eventId": "` + strings.Repeat("x", 5000) + `"}`}
		put(t, l, sample{}, sample{}, big, sample{}, sample{}, sample{}, sample{}, sample{})
		synctest.Wait() // all in the ring: what comes while a stream reads is a batch of its own
		fs, err := read(t, h, request(t, h, earliest, atHead, func(r *Request) {
			r.BatchEvents, r.BatchBytes, r.View = 3, 4000, hookstreamv1.EventView_EVENT_VIEW_RAW
		})).end()
		if err != nil {
			t.Error(err)
		}
		wantKinds(t, fs, "Opened", "batch 2", "batch 1", "batch 3", "batch 2", "CaughtUp")
	})
}

func TestUntilTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		for range 5 { // at 0, 10, ... 40 s
			put(t, l, sample{})
			time.Sleep(10 * time.Second)
		}
		h := running(t, newHub(t, l))
		now := time.Now() // 50 s
		for _, c := range []struct {
			until time.Duration
			want  int
			takes time.Duration
		}{
			{-15 * time.Second, 4, 0},               // between the fourth and the fifth
			{-10 * time.Second, 5, 0},               // at the fifth, to the nanosecond
			{-10*time.Second - 1, 4, 0},             // just before
			{-time.Hour, 0, 0},                      // before all
			{20 * time.Second, 5, 21 * time.Second}, // to come
		} {
			r := read(t, h, request(t, h, earliest, func(r *Request) { r.Stop.Until = new(now.Add(c.until)) }))
			start := time.Now()
			fs, err := r.end()
			if err != nil || len(seqsOf(t, fs)) != c.want || time.Since(start) != c.takes {
				t.Errorf("until %s: %d events, %v, after %s", c.until, len(seqsOf(t, fs)), err, time.Since(start))
			}
		}
	})
}

func TestUntilTimeInTheFutureTakesWhatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		h := running(t, newHub(t, l))
		r := read(t, h, request(t, h, func(r *Request) { r.Stop.Until = new(time.Now().Add(20 * time.Second)) }))
		for range 10 { // 0, 3, ... 27 s
			synctest.Wait()
			put(t, l, sample{})
			time.Sleep(3 * time.Second)
		}
		fs, err := r.end()
		if n := len(seqsOf(t, fs)); n != 7 || err != nil {
			t.Errorf("%d events, %v: want those up to 18 s", n, err)
		}
	})
}

// What was published before the time counts, even when it takes long to appear.
func TestUntilTimeWaitsForTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		h := running(t, newHub(t, lateTail{l, 15 * time.Second}))
		r := read(t, h, request(t, h, func(r *Request) { r.Stop.Until = new(time.Now().Add(10 * time.Second)) }))
		time.Sleep(9 * time.Second)
		put(t, l, sample{})
		fs, err := r.end()
		if n := len(seqsOf(t, fs)); n != 1 || err != nil {
			t.Errorf("%d events, %v", n, err)
		}
	})
}

// lateTail takes its time to tell what was appended.
type lateTail struct {
	eventlog.Log

	delay time.Duration
}

func (l lateTail) Tail(ctx context.Context, seq uint64, fn func([]event.Record) error) error {
	return l.Log.Tail(ctx, seq, func(recs []event.Record) error {
		time.Sleep(l.delay)
		return fn(recs)
	})
}

func TestAtTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		start := time.Now()
		for range 5 {
			put(t, l, sample{})
			time.Sleep(10 * time.Second)
		}
		h := running(t, newHub(t, l))
		for at, want := range map[time.Duration][]uint64{
			-time.Hour: upTo(5), 0: upTo(5), 1: between(2, 5), 20 * time.Second: between(3, 5), time.Hour: nil,
		} {
			fs, err := read(t, h, request(t, h, atHead, func(r *Request) { r.Start.At = new(start.Add(at)) })).end()
			if diff := cmp.Diff(want, seqsOf(t, fs)); diff != "" || err != nil {
				t.Errorf("at %s: %v\n%s", at, err, diff)
			}
		}
	})
}

func TestAtHeadEndsAtTheHeadOfTheOpening(t *testing.T) {
	l := newLog()
	put(t, l, numbered(300)...)
	h := running(t, newHub(t, l))
	r := request(t, h, earliest, atHead)
	var frames []got
	err := h.Stream(t.Context(), r, func(f Frame) error {
		put(t, l, sample{}) // the head moves on while it is read
		frames = append(frames, decodeFrame(t, f))
		return nil
	})
	if diff := cmp.Diff(upTo(300), seqsOf(t, frames)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if last := frames[len(frames)-1]; last.cursor.Seq != 300 || kinds(frames)[len(frames)-1] != "CaughtUp" {
		t.Errorf("it ends with %v at %d", kinds(frames), last.cursor.Seq)
	}
}

func TestEmptyLogIsCaughtUp(t *testing.T) {
	h := running(t, newHub(t, newLog()))
	fs, err := read(t, h, request(t, h, earliest, atHead)).end()
	wantKinds(t, fs, "Opened", "CaughtUp")
	wantErr(t, err, nil)
}

func TestResume(t *testing.T) {
	l := newLog()
	put(t, l, numbered(20)...)
	h := running(t, newHub(t, l))
	put(t, l, numbered(20)...)
	all, err := read(t, h, request(t, h, earliest, atHead)).end()
	wantErr(t, err, nil)
	for _, f := range all {
		for _, d := range f.deliveries {
			c, err := event.ParseCursor(d.Cursor)
			wantErr(t, err, nil)
			fs, err := read(t, h, request(t, h, atHead, func(r *Request) { r.Start.After = &c })).end()
			if diff := cmp.Diff(between(int(c.Seq)+1, 40), seqsOf(t, fs)); diff != "" || err != nil {
				t.Fatalf("after %d: %v\n%s", c.Seq, err, diff)
			}
		}
	}
}

func TestCursorErrors(t *testing.T) {
	l := newLog()
	put(t, l, numbered(20)...)
	h := running(t, newHub(t, l))
	good, err := h.cursorAt(t.Context(), 12)
	wantErr(t, err, nil)
	atDropped, err := h.cursorAt(t.Context(), 10)
	wantErr(t, err, nil)
	l.Drop(10)
	with := func(change func(*event.Cursor)) event.Cursor { c := good; change(&c); return c }
	for _, c := range []struct {
		name   string
		cursor event.Cursor
		want   error
	}{
		{"good", good, nil},
		{"at an event that was dropped, none lost", atDropped, nil},
		{"without a time", with(func(c *event.Cursor) { c.Time = time.Time{} }), nil},
		{"another incarnation", with(func(c *event.Cursor) { c.Incarnation++ }), ErrCursorUnknown},
		{"another event at its place", with(func(c *event.Cursor) { c.Time = c.Time.Add(1) }), ErrCursorUnknown},
		{"past the head", with(func(c *event.Cursor) { c.Seq, c.Time = 21, time.Time{} }), ErrCursorUnknown},
		{"before the first", with(func(c *event.Cursor) { c.Seq = 9 }), ErrCursorExpired},
		{"before everything", event.Cursor{Incarnation: testIncarnation}, ErrCursorExpired},
	} {
		frames := 0
		r := request(t, h, atHead, func(r *Request) { r.Start.After = &c.cursor })
		err := h.Stream(t.Context(), r, func(Frame) error { frames++; return nil })
		if !errors.Is(err, c.want) || (err == nil) != (frames > 0) {
			t.Errorf("%s: %v after %d frames, want %v", c.name, err, frames, c.want)
		}
	}
}

func TestExpiredCursorMaySkip(t *testing.T) {
	l := newLog()
	put(t, l, numbered(20)...)
	h := running(t, newHub(t, l))
	l.Drop(10)
	fs, err := read(t, h, request(t, h, atHead, func(r *Request) {
		r.SkipExpired, r.Start.After = true, &event.Cursor{Incarnation: testIncarnation, Seq: 3}
	})).end()
	wantErr(t, err, nil)
	wantKinds(t, fs, "Opened", "Gap", "batch 10", "CaughtUp")
	gap := fs[1].message.(*hookstreamv1.Gap)
	if gap.MissedEvents != 7 || !gap.ResumeTime.AsTime().Equal(records(t, l)[0].Time) || fs[1].cursor.Seq != 10 {
		t.Errorf("gap %v at %d", gap, fs[1].cursor.Seq)
	}
	l.Drop(20)
	fs, err = read(t, h, request(t, h, atHead, func(r *Request) {
		r.SkipExpired, r.Start.After = true, &event.Cursor{Incarnation: testIncarnation, Seq: 3}
	})).end()
	wantErr(t, err, nil)
	wantKinds(t, fs, "Opened", "Gap", "CaughtUp")
	if gap := fs[1].message.(*hookstreamv1.Gap); gap.MissedEvents != 17 || gap.ResumeTime != nil {
		t.Errorf("gap %v", gap)
	}
}

// A backlog in the ring that is longer than a page is read page by page.
func TestLongBacklogInTheRing(t *testing.T) {
	l := newLog()
	h := running(t, newHub(t, l))
	const events = 2*pageEvents + 10
	put(t, l, numbered(events)...)
	follow(t, h, events)
	fs, err := read(t, h, request(t, h, earliest, atHead)).end()
	if diff := cmp.Diff(upTo(events), seqsOf(t, fs)); diff != "" || err != nil {
		t.Errorf("%v\n%.500s", err, diff)
	}
	if n := h.Stats().LogReads; n != 0 {
		t.Errorf("the log was read %d times", n)
	}
}

// A chunk of events that are too large to be read at once comes in parts, each of
// them read once for everybody.
func TestChunkOfLargeEventsComesInParts(t *testing.T) {
	l := newLog()
	h := running(t, newHub(t, l, func(o *Options) { o.RingEvents, o.ChunkBytes = 1, 1<<30 }))
	body := strings.Repeat("x", 1<<20)
	for range 12 {
		follow(t, h, put(t, l, sample{body: body}))
	}
	for range 3 {
		fs, err := read(t, h, request(t, h, earliest, atHead)).end()
		if diff := cmp.Diff(upTo(12), seqsOf(t, fs)); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	if n := h.Stats().LogReads; n != 4 { // of three events each: a little over 1 MiB
		t.Errorf("the log was read %d times, want 4", n)
	}
}

// Who asks for what there is has lost nothing that went before it looked.
func TestEarliestIsWhatIsThere(t *testing.T) {
	l := newLog()
	put(t, l, numbered(20)...)
	h := running(t, newHub(t, l))
	var frames []got
	err := h.Stream(t.Context(), request(t, h, earliest, atHead), func(f Frame) error {
		if frames = append(frames, decodeFrame(t, f)); len(frames) == 1 {
			l.Drop(5)
		}
		return nil
	})
	if diff := cmp.Diff(between(6, 20), seqsOf(t, frames)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	wantKinds(t, frames, "Opened", "batch 15", "CaughtUp")
}

// What the log dropped is still there for who is only a little late.
func TestRingOutlivesRetention(t *testing.T) {
	l := newLog()
	h := running(t, newHub(t, l))
	put(t, l, numbered(20)...)
	follow(t, h, 20)
	l.Drop(15)
	fs, err := read(t, h, request(t, h, atHead, func(r *Request) {
		r.Start.After = &event.Cursor{Incarnation: testIncarnation, Seq: 3}
	})).end()
	if diff := cmp.Diff(between(4, 20), seqsOf(t, fs)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// follow waits until the ring has reached seq.
func follow(t testing.TB, h *Hub, seq uint64) {
	t.Helper()
	for {
		changed := h.ring.read(0, nil, nil).changed
		if _, next := h.ring.span(); next > seq {
			return
		}
		select {
		case <-changed:
		case <-time.After(30 * time.Second):
			t.Fatalf("the ring did not reach %d", seq)
		}
	}
}

func tinyRing(o *Options) { o.RingEvents, o.ChunkBytes = 4, 4096 }

func TestFallsBehindAndCatchesUp(t *testing.T) {
	l := newLog()
	h := running(t, newHub(t, l, tinyRing))
	var frames []got
	ctx, cancel := context.WithCancel(t.Context())
	err := h.Stream(ctx, request(t, h), func(f Frame) error {
		frames = append(frames, decodeFrame(t, f))
		switch kinds(frames)[len(frames)-1] {
		case "CaughtUp":
			if len(frames) > 2 {
				cancel()
				return nil
			}
			follow(t, h, put(t, l, sample{}))
		case "batch 1":
			if len(frames) == 3 { // while it is being sent, 50 others come
				follow(t, h, put(t, l, numbered(50)...))
			}
		}
		return nil
	})
	wantErr(t, err, context.Canceled)
	wantKinds(t, frames, "Opened", "CaughtUp", "batch 1", "FellBehind", "batch 50", "CaughtUp")
	if lag := frames[3].message.(*hookstreamv1.FellBehind).LagEvents; lag != 50 {
		t.Errorf("fell behind by %d", lag)
	}
	if diff := cmp.Diff(upTo(51), seqsOf(t, frames)); diff != "" {
		t.Error(diff)
	}
}

// Retention overtakes a reader that is too slow.
func TestOvertakenByRetention(t *testing.T) {
	for _, skip := range []bool{true, false} {
		l := newLog()
		h := running(t, newHub(t, l, tinyRing))
		put(t, l, numbered(600)...)
		follow(t, h, 600)
		var frames []got
		err := h.Stream(t.Context(), request(t, h, earliest, atHead, func(r *Request) { r.SkipExpired = skip }), func(f Frame) error {
			frames = append(frames, decodeFrame(t, f))
			if len(frames) == 2 {
				h.chunks.forget()
				l.Drop(590)
			}
			return nil
		})
		if !skip {
			wantErr(t, err, ErrCursorExpired)
			wantKinds(t, frames, "Opened", "batch 255")
			continue
		}
		wantErr(t, err, nil)
		wantKinds(t, frames, "Opened", "batch 255", "Gap", "batch 10", "CaughtUp")
		if diff := cmp.Diff(append(upTo(255), between(591, 600)...), seqsOf(t, frames)); diff != "" {
			t.Error(diff)
		}
	}
}

// forget empties the chunks: what other streams read helps nobody now.
func (c *chunks) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.order.Len() > 0 {
		c.drop(c.order.Back())
	}
}

// Retention overtakes the tail itself: who is live is told as well.
func TestTailOvertakenByRetention(t *testing.T) {
	l := newLog()
	h := newHub(t, l)
	h.ring.begin(1)
	close(h.ready)
	r := read(t, h, request(t, h, func(r *Request) { r.SkipExpired = true }))
	r.until("live", func(fs []got) bool { return len(fs) == 2 })
	put(t, l, numbered(10)...)
	l.Drop(6)
	wantErr(t, h.receive(t.Context(), records(t, l)), nil)
	fs := r.until("the rest", func(fs []got) bool { return len(seqsOf(t, fs)) == 4 })
	wantKinds(t, fs[:4], "Opened", "CaughtUp", "FellBehind", "Gap")
	if missed := fs[3].message.(*hookstreamv1.Gap).MissedEvents; missed != 6 {
		t.Errorf("%d events are missing, want 6", missed)
	}
	r.cancel()
	_, _ = r.end()
}

// What the log has lost is told where it was, exactly and once, from the log and
// from the ring.
func TestHoleIsAGap(t *testing.T) {
	for _, ring := range []int{4, 100} {
		l := newLog()
		put(t, l, numbered(3)...)
		l.Skip(400)
		put(t, l, numbered(2)...)
		h := running(t, newHub(t, l, func(o *Options) { o.RingEvents = ring }))
		r := read(t, h, request(t, h, earliest))
		r.until("history", func(fs []got) bool { return len(seqsOf(t, fs)) == 5 })
		l.Skip(10)
		put(t, l, numbered(2)...)
		l.Skip(300)
		put(t, l, numbered(8)...)
		fs := r.until("the rest", func(fs []got) bool { return len(seqsOf(t, fs)) == 15 })
		want := append(append(append(upTo(3), 404, 405), 416, 417), between(718, 725)...)
		if diff := cmp.Diff(want, seqsOf(t, fs)); diff != "" {
			t.Errorf("ring of %d:\n%s", ring, diff)
		}
		var gaps []int64
		for _, f := range fs {
			if g, ok := f.message.(*hookstreamv1.Gap); ok {
				gaps = append(gaps, g.MissedEvents)
			}
		}
		if diff := cmp.Diff([]int64{400, 10, 300}, gaps); diff != "" {
			t.Errorf("ring of %d: gaps\n%s", ring, diff)
		}
	}
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		h := running(t, newHub(t, l))
		var readers []*reader
		for range 40 {
			readers = append(readers, read(t, h, request(t, h)))
		}
		synctest.Wait()
		start := time.Now()
		go func() {
			time.Sleep(time.Second)
			put(t, l, sample{}) // it keeps going
		}()
		wantErr(t, h.Drain(t.Context(), 10*time.Second), nil)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		ends := make(map[time.Duration]bool)
		for _, r := range readers {
			fs, err := r.end()
			wantErr(t, err, ErrDraining)
			wantKinds(t, fs, "Opened", "CaughtUp", "Draining", "batch 1")
			grace := fs[2].message.(*hookstreamv1.Draining).GracePeriod.AsDuration()
			if grace < 2*time.Second || grace > 10*time.Second {
				t.Errorf("a stream has %s", grace)
			}
			ends[grace.Truncate(time.Second)] = true
		}
		if len(ends) < 4 {
			t.Errorf("40 streams end at %d different seconds", len(ends))
		}
		wantErr(t, h.Stream(t.Context(), request(t, h), func(Frame) error { return nil }), ErrDraining)
	})
}

func TestDrainWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := running(t, newHub(t, newLog()))
		stuck := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			done <- h.Stream(t.Context(), request(t, h), func(Frame) error { <-stuck; return nil })
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		wantErr(t, h.Drain(ctx, time.Second), context.DeadlineExceeded)
		close(stuck)
		wantErr(t, <-done, ErrDraining)
	})
}

func TestBrokenLogEndsStreams(t *testing.T) {
	l := newLog()
	h := newHub(t, l)
	ended := make(chan error, 1)
	early := read(t, h, request(t, h)) // before Run
	go func() { ended <- h.Run(t.Context()) }()
	live := read(t, h, request(t, h))
	for _, r := range []*reader{early, live} {
		r.until("live", func(fs []got) bool { return len(fs) == 2 })
	}
	l.Break()
	for _, r := range []*reader{early, live, read(t, h, request(t, h))} {
		_, err := r.end()
		wantErr(t, err, eventlog.ErrUnavailable)
	}
	wantErr(t, <-ended, eventlog.ErrUnavailable)
}

func TestEndOfRunEndsStreams(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h := newHub(t, newLog())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	r := read(t, h, request(t, h))
	r.until("live", func(fs []got) bool { return len(fs) == 2 })
	cancel()
	_, err := r.end()
	wantErr(t, err, ErrDraining)
	wantErr(t, <-ended, context.Canceled)
}

func TestTooManyStreams(t *testing.T) {
	h := running(t, newHub(t, newLog(), func(o *Options) { o.MaxStreams = 2 }))
	a, b := read(t, h, request(t, h)), read(t, h, request(t, h))
	for _, r := range []*reader{a, b} {
		r.until("opened", func(fs []got) bool { return len(fs) > 0 })
	}
	wantErr(t, h.Stream(t.Context(), request(t, h), func(Frame) error { return nil }), ErrTooManyStreams)
	a.cancel()
	_, err := a.end()
	wantErr(t, err, context.Canceled)
	read(t, h, request(t, h)).until("opened", func(fs []got) bool { return len(fs) > 0 })
}

// A reader that takes nothing costs the others nothing, and loses nothing.
func TestSlowReaderSlowsNobody(t *testing.T) {
	l := newLog()
	h := running(t, newHub(t, l, tinyRing))
	release := make(chan struct{})
	var slow []got
	var wg sync.WaitGroup
	blocked := make(chan struct{})
	wg.Go(func() {
		err := h.Stream(t.Context(), request(t, h, earliest, func(r *Request) { r.SkipExpired = false }), func(f Frame) error {
			slow = append(slow, decodeFrame(t, f))
			if len(slow) == 1 {
				close(blocked)
				<-release
			}
			if len(seqsOf(t, slow)) == 500 {
				return errors.New("enough")
			}
			return nil
		})
		if err == nil || err.Error() != "enough" {
			t.Error(err)
		}
	})
	<-blocked
	quick := read(t, h, request(t, h, earliest))
	put(t, l, numbered(500)...)
	quick.until("everything", func(fs []got) bool { return len(seqsOf(t, fs)) == 500 })
	close(release)
	wg.Wait()
	if diff := cmp.Diff(upTo(500), seqsOf(t, slow)); diff != "" {
		t.Error(diff)
	}
}

func TestSendErrorEndsTheStream(t *testing.T) {
	h := running(t, newHub(t, newLog()))
	gone := errors.New("gone")
	wantErr(t, h.Stream(t.Context(), request(t, h), func(Frame) error { return gone }), gone)
	if n := h.Stats().Streams; n != 0 {
		t.Errorf("%d streams are open", n)
	}
}

func TestStats(t *testing.T) {
	l := newLog()
	h := running(t, newHub(t, l))
	r := read(t, h, request(t, h))
	r.until("live", func(fs []got) bool { return len(fs) == 2 })
	put(t, l, numbered(3)...)
	r.until("events", func(fs []got) bool { return len(seqsOf(t, fs)) == 3 })
	r.cancel()
	_, _ = r.end()
	s := h.Stats()
	if s.Deliveries != 3 || s.DeliveredBytes == 0 || s.Frames < 3 || s.RingFirst != 1 || s.RingNext != 4 || s.RingBytes == 0 || s.Streams != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	l := newLog()
	const ringBytes, chunkBytes = 64 << 10, 64 << 10
	h := running(t, newHub(t, l, func(o *Options) { o.RingBytes, o.ChunkBytes = ringBytes, chunkBytes }))
	for n := range 15 {
		for range 20 {
			put(t, l, sample{body: fmt.Sprintf(`{"eventId": "%d %s"}`, n, strings.Repeat("x", 500))})
		}
		follow(t, h, uint64(20*(n+1)))
		for _, view := range views {
			fs, err := read(t, h, request(t, h, earliest, atHead, func(r *Request) {
				r.View = view
				r.Selector = selector(t, h, &hookstreamv1.EventSelector{Filter: `event.yousign.event_id != ""`})
			})).end()
			if err != nil || len(seqsOf(t, fs)) != 20*(n+1) {
				t.Fatalf("%d of %d, %v", len(seqsOf(t, fs)), 20*(n+1), err)
			}
		}
		// One event, or one chunk, may stand above the bound: each holds some 2 MB here.
		if s := h.Stats(); s.RingBytes > ringBytes+64<<10 || s.ChunkBytes > chunkBytes+4<<20 {
			t.Fatalf("ring %d bytes, chunks %d", s.RingBytes, s.ChunkBytes)
		}
	}
	h.chunks.forget()
	h.ring.begin(1 << 40)
	if s := h.Stats(); s.RingBytes != 0 || s.ChunkBytes != 0 {
		t.Errorf("emptied, the ring counts %d bytes and the chunks %d", s.RingBytes, s.ChunkBytes)
	}
}
