package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog"
)

// scanLog is a log that can be scanned. A scan breaks off after so many records,
// 0: never.
type scanLog struct {
	eventlog.Log

	breakAfter int

	scans, reads, open atomic.Int64
}

var errBroken = errors.New("the scan broke")

func (l *scanLog) Read(ctx context.Context, seq uint64, max, maxBytes int) ([]event.Record, error) {
	l.reads.Add(1)
	return l.Log.Read(ctx, seq, max, maxBytes)
}

func (l *scanLog) Scan(ctx context.Context, seq uint64, fn func([]event.Record) error) error {
	l.scans.Add(1)
	l.open.Add(1)
	defer l.open.Add(-1)
	for passed := 0; l.breakAfter == 0 || passed < l.breakAfter; {
		recs, err := l.Log.Read(ctx, seq, 1+int(seq%97), 1<<20)
		if err != nil || len(recs) == 0 {
			return err
		}
		if err := fn(recs); err != nil {
			return err
		}
		passed, seq = passed+len(recs), recs[len(recs)-1].Seq+1
	}
	return errBroken
}

// readers read everything up to last at the same time, in all views.
func readers(t *testing.T, h *Hub, n int, last uint64) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			r := request(t, h, earliest, func(r *Request) { r.View = views[i%len(views)] })
			if err := crossing(t, h, r, 1, last); err != nil {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// Many streams on one range are served by a scan or two: hardly anything is
// read piece by piece.
func TestScanServesAll(t *testing.T) {
	l := &scanLog{Log: newLog()}
	const events = 5000
	put(t, l, numbered(events)...)
	h := running(t, newHub(t, l, func(o *Options) { o.ChunkBytes = 256 << 20 }))
	readers(t, h, 12, events)
	if scans, reads := l.scans.Load(), l.reads.Load(); scans == 0 || scans > maxScans || reads > events/chunkEvents/2 {
		t.Errorf("%d scans and %d reads of %d chunks", scans, reads, events/chunkEvents)
	}
}

// Who asks for one event after the other is served by a scan, who asks here and
// there is not.
func TestScanServesPositions(t *testing.T) {
	const events = 5000
	for name, c := range map[string]struct {
		step  uint64
		scans int64
	}{"in order": {1, 1}, "here and there": {4 * chunkEvents, 0}} {
		l := &scanLog{Log: newLog()}
		put(t, l, numbered(events)...)
		h := running(t, newHub(t, l))
		for seq := uint64(1); seq <= events; seq += c.step {
			e, err := h.At(t.Context(), seq)
			if err != nil || e.Seq() != seq {
				t.Fatalf("%s: event %d: %v", name, seq, err)
			}
		}
		if scans := l.scans.Load(); scans != c.scans {
			t.Errorf("%s: %d scans, want %d", name, scans, c.scans)
		}
		if reads := l.reads.Load(); c.scans > 0 && reads > events/chunkEvents/2 {
			t.Errorf("%s: %d reads of %d chunks", name, reads, events/chunkEvents)
		}
	}
}

// What follows the first event is read ahead, in the log's first chunk too.
func TestFirstChunkIsFollowedByTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		put(t, l, numbered(5000)...)
		h := running(t, newHub(t, l))
		if _, err := h.At(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !h.chunks.cached(1) {
			t.Error("the second chunk was not read ahead")
		}
	})
}

// Nothing is read ahead of a stream that has ended: when thousands are left at once,
// that is nobody's reading.
func TestNothingIsReadAheadOfAStreamThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		put(t, l, numbered(5000)...)
		h := running(t, newHub(t, l))
		err := h.Stream(t.Context(), request(t, h, earliest), func(f Frame) error {
			if f.Deliveries.Len() > 0 {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := h.chunks.reads.Load(); got != 1 {
			t.Errorf("%d reads for a stream that took none of the first", got)
		}
	})
}

// An event that somebody may keep does not keep those that were read with it.
func TestEventOfTheLogIsApart(t *testing.T) {
	l := newLog()
	put(t, l, numbered(5000)...)
	h := running(t, newHub(t, l))
	got, err := h.At(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.chunks.load(t.Context(), 7)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(p.entries, func(e *entry) bool { return e.seq == 7 })
	if i < 0 || unsafe.SliceData(got.e.meta) == unsafe.SliceData(p.entries[i].meta) {
		t.Error("the event lies in the memory of its chunk")
	}
	if diff := cmp.Diff(h.event(p.entries[i]).Record(), got.Record()); diff != "" {
		t.Error(diff)
	}
}

// What a scan does not bring is read piece by piece, whatever is the matter: it
// breaks off, or what it brought is dropped before it is used.
func TestScanThatBreaks(t *testing.T) {
	for _, breakAfter := range []int{1, 700} {
		for _, chunkBytes := range []int64{1, 64 << 10, 64 << 20} {
			t.Run(fmt.Sprint(breakAfter, " ", chunkBytes), func(t *testing.T) {
				l := &scanLog{Log: newLog(), breakAfter: breakAfter}
				put(t, l, numbered(2500)...)
				h := running(t, newHub(t, l, func(o *Options) { o.ChunkBytes = chunkBytes }))
				readers(t, h, 4, 2500)
				if l.scans.Load() == 0 {
					t.Error("nothing was scanned")
				}
			})
		}
	}
}

// A scan goes only so far ahead of its streams, and ends when none comes for
// more.
func TestScanThatNobodyWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &scanLog{Log: newLog()}
		put(t, l, numbered(20_000)...)
		h := running(t, newHub(t, l))
		r := request(t, h, earliest)
		var n int
		if err := h.Stream(t.Context(), r, func(f Frame) error {
			if n += len(f.Deliveries); n >= 600 {
				return errEnough
			}
			return nil
		}); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		synctest.Wait()
		if l.open.Load() != 1 {
			t.Fatalf("%d scans", l.open.Load())
		}
		kept := 0
		for n := range uint64(20_000 / chunkEvents) {
			if h.chunks.cached(n) {
				kept++
			}
		}
		if kept < 3 || kept > 2+maxScanWindow/chunkEvents {
			t.Errorf("%d chunks were read for a stream that took 600 events", kept)
		}
		time.Sleep(scanIdle)
		synctest.Wait()
		if l.open.Load() != 0 || len(h.chunks.scans.running) != 0 {
			t.Error("the scan goes on")
		}
	})
}

// What will be sent of a part is made ahead of the stream.
func TestPrepare(t *testing.T) {
	l := newLog()
	put(t, l, sample{body: `{"eventId": "1"}`}, sample{action: "activated", body: `{"eventId": "2"}`}, sample{})
	h := newHub(t, l)
	r := request(t, h, func(r *Request) { r.Selector, r.View = selector(t, h, plans[1].in), views[1] })
	recs, err := l.Read(t.Context(), 1, 3, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	recs[2].Data = []byte{0xff} // not an event
	es := make([]*entry, len(recs))
	for i, rec := range recs {
		es[i] = h.newEntry(rec, nil)
	}
	h.prepare(es, &r)
	for i, want := range []bool{true, false, false} {
		made := false
		for f := range es[i].forms {
			made = made || es[i].forms[f].Load() != nil
		}
		if made != want {
			t.Errorf("event %d was prepared: %v, want %v", i+1, made, want)
		}
	}
}
