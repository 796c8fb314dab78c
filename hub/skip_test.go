package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
	"github.com/hookstream/hookstream/eventlog/memlog"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/history"
)

// indexOf knows the log up to a position.
func indexOf(t testing.TB, l *memlog.Log, upTo uint64) *history.Store {
	t.Helper()
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := history.Open(t.TempDir(), testIncarnation, b.Last, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(b.First); err != nil {
		t.Fatal(err)
	}
	for from := b.First; from <= upTo; {
		recs, err := l.Read(t.Context(), from, 500, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		for len(recs) > 0 && recs[len(recs)-1].Seq > upTo {
			recs = recs[:len(recs)-1]
		}
		through := upTo
		if len(recs) == 500 {
			through = recs[499].Seq
		}
		if err := s.Apply(from, recs, through); err != nil {
			t.Fatal(err)
		}
		from = through + 1
	}
	return s
}

func withIndex(l *memlog.Log, s *history.Store) func(*Options) {
	return func(o *Options) {
		o.Index = s.Finder
		o.Holes = func(context.Context) ([]eventlog.Missing, error) { return l.Holes(), nil }
	}
}

// told is what a caller can tell of a stream: what its frames say, but for how events
// are batched, and the clock.
func told(t *testing.T, h *Hub, req Request) (out []any) {
	t.Helper()
	err := h.Stream(t.Context(), req, func(f Frame) error {
		g := decodeFrame(t, f)
		switch m := g.message.(type) {
		case nil:
			for _, d := range g.deliveries {
				out = append(out, d)
			}
		case *hookstreamv1.CaughtUp, *hookstreamv1.Heartbeat:
			out = append(out, fmt.Sprintf("%T", m), g.cursor)
		default:
			out = append(out, g.message, g.cursor)
		}
		return nil
	})
	if errors.Is(err, ErrCursorExpired) {
		return append(out, "expired")
	}
	if err != nil {
		t.Error(err)
	}
	return out
}

// With an index and without it a stream says the same, whatever is missing in the log,
// now or when it was indexed, however much of it is indexed, and wherever it begins and
// ends.
func TestStreamsSayTheSameWithAnIndex(t *testing.T) {
	skipped := 0
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) { skipped += sayTheSame(t, seed) })
	}
	if skipped < 30 {
		t.Errorf("streams passed over something %d times: too little to say anything", skipped)
	}
}

func sayTheSame(t *testing.T, seed uint64) (skipped int) {
	rnd := rand.New(rand.NewPCG(seed, 15))
	l := newLog()
	grow := func(n int) {
		for range n {
			switch rnd.IntN(500) {
			case 0:
				l.Skip(1 + rnd.Uint64N(300))
			case 1:
				if _, err := l.Append(t.Context(), eventlog.Entry{Source: "s", DedupKey: fmt.Sprint(keys.Add(1)), Data: []byte("no event")}); err != nil {
					t.Fatal(err)
				}
			}
			s := sample{source: "common", action: "done", body: `{}`}
			if rnd.IntN(300) == 0 {
				s = sample{source: "rare", action: "activated", body: `{"eventId":"7"}`}
			}
			put(t, l, s)
		}
	}
	grow(1 + rnd.IntN(3000))
	last := bounds(t, l).Last
	l.Drop(rnd.Uint64N(last + 1))
	index := indexOf(t, l, last-rnd.Uint64N(last)/2)
	for range rnd.IntN(4) { // what the index knows and the log has no more
		from := 1 + rnd.Uint64N(last)
		l.Lose(from, min(from+rnd.Uint64N(200), last+1))
	}
	l.Drop(rnd.Uint64N(last/2 + 1))
	grow(rnd.IntN(200))
	time.Sleep(2 * settle)
	grow(rnd.IntN(100)) // a time to stop at may not be over
	b := bounds(t, l)
	plain := running(t, newHub(t, l))
	indexed := running(t, newHub(t, l, withIndex(l, index)))
	for n := range 8 {
		in := []*hookstreamv1.EventSelector{
			{Sources: []string{"rare"}},
			{Types: []string{"*.activated"}},
			{Types: []string{"nothing"}},
			{Environments: []string{"nowhere"}},
			{Sources: []string{"rare", "common"}, Filter: `event.yousign.event_id == "7"`},
			nil,
		}[rnd.IntN(6)]
		req := request(t, plain, earliest, func(r *Request) {
			r.Stop, r.Heartbeat, r.SkipExpired = Stop{AtHead: true}, time.Hour, rnd.IntN(4) > 0
			if rnd.IntN(3) > 0 {
				after := event.Cursor{Incarnation: testIncarnation, Seq: rnd.Uint64N(b.Last + 1)}
				r.Start = Start{After: &after}
			}
			if rnd.IntN(4) == 0 {
				recs, err := l.Read(t.Context(), rnd.Uint64N(b.Last)+1, 1, 1)
				if err == nil && len(recs) > 0 {
					r.Stop = Stop{Until: &recs[0].Time}
				}
			}
		})
		var want, got []any
		var both sync.WaitGroup // at one time: a time to stop at may pass
		for h, out := range map[*Hub]*[]any{plain: &want, indexed: &got} {
			r := req
			r.Selector = selector(t, h, in)
			both.Go(func() { *out = told(t, h, r) })
		}
		both.Wait()
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Fatalf("seed %d, stream %d of %v from %+v to %+v, log %+v:\n%.3000s", seed, n, in, req.Start, req.Stop, b, diff)
		}
	}
	return int(indexed.chunks.skips.Load())
}

// What is rare is found without reading what is not.
func TestWhatIsRareIsFoundWithoutReading(t *testing.T) {
	l := newLog()
	for n := range 20_000 {
		s := sample{source: "common"}
		if n%1000 == 500 {
			s.source = "rare"
		}
		put(t, l, s)
	}
	h := running(t, newHub(t, l, withIndex(l, indexOf(t, l, 20_000))))
	before := l.Reads()
	out := told(t, h, request(t, h, earliest, func(r *Request) {
		r.Stop, r.Selector = Stop{AtHead: true}, selector(t, h, &hookstreamv1.EventSelector{Sources: []string{"rare"}})
	}))
	if events := len(out) - 4; events != 20 { // opened and caught up, each with its cursor
		t.Errorf("%d events", events)
	}
	if n := l.Reads() - before; n > 60 {
		t.Errorf("the log was read %d times for 20 events", n)
	}
}

// A log that does not say what is missing is read.
func TestNothingIsPassedOverUnasked(t *testing.T) {
	l := newLog()
	for n := range 2000 {
		put(t, l, sample{source: []string{"common", "rare"}[n/1999]})
	}
	h := running(t, newHub(t, l, withIndex(l, indexOf(t, l, 2000)), func(o *Options) {
		o.Holes = func(context.Context) ([]eventlog.Missing, error) { return nil, eventlog.ErrUnavailable }
	}))
	out := told(t, h, request(t, h, earliest, func(r *Request) {
		r.Stop, r.Selector = Stop{AtHead: true}, selector(t, h, &hookstreamv1.EventSelector{Sources: []string{"rare"}})
	}))
	if events := len(out) - 4; events != 1 || h.chunks.skips.Load() != 0 {
		t.Errorf("%d events, passed over something %d times", events, h.chunks.skips.Load())
	}
}

func bounds(t *testing.T, l *memlog.Log) eventlog.Bounds {
	t.Helper()
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// secondLog takes a second to read.
type secondLog struct{ *memlog.Log }

func (l secondLog) Read(ctx context.Context, seq uint64, n, maxBytes int) ([]event.Record, error) {
	time.Sleep(time.Second)
	return l.Log.Read(ctx, seq, n, maxBytes)
}

// Who goes backwards through the log hardly waits for it.
func TestWhatLiesBeforeIsReadAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		const n = 40 * chunkEvents
		for range n {
			put(t, l, sample{})
		}
		h := running(t, newHub(t, secondLog{l}))
		began := time.Now()
		for seq := uint64(n); seq > 0; seq-- {
			if e, err := h.At(t.Context(), seq); err != nil || e.Seq() != seq {
				t.Fatalf("%d: %v, %v", seq, e, err)
			}
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("40 chunks took %s, at a second each", took)
		}
		time.Sleep(2 * time.Second) // what is being read ahead comes to its end
	})
}
