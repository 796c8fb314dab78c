package hub

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A stream sleeps through events that it does not select, however many: far more
// than the ring holds. What it selects it gets, and nothing is read again for it.
func TestSleepsThroughWhatItDoesNotSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog()
		h := running(t, newHub(t, l, func(o *Options) { o.RingEvents = 8 }))
		r := read(t, h, request(t, h, func(r *Request) {
			r.Heartbeat = 10 * time.Second
			r.Selector = selector(t, h, &hookstreamv1.EventSelector{Types: []string{"rare.*"}})
		}))
		synctest.Wait()
		h.ring.mu.RLock()
		waits := h.ring.byKey[r.key(h)].waits
		h.ring.mu.RUnlock()
		put(t, l, numbered(500)...)
		synctest.Wait()
		h.ring.mu.RLock()
		if waits.over {
			t.Error("it was woken by what it does not select")
		}
		h.ring.mu.RUnlock()
		rare := put(t, l, sample{topic: "rare"})
		synctest.Wait() // or the ring moves on before it has looked
		put(t, l, numbered(500)...)
		synctest.Wait()
		if diff := cmp.Diff([]uint64{rare}, seqsOf(t, r.all())); diff != "" {
			t.Errorf("-want +got: %s", diff)
		}
		if s := h.Stats(); s.MaxLag != 0 {
			t.Errorf("a stream that sleeps lags by %d", s.MaxLag)
		}
		time.Sleep(11 * time.Second)
		fs := r.all()
		wantKinds(t, fs, "Opened", "CaughtUp", "batch 1", "Heartbeat")
		if c := fs[3].cursor; c.Seq != 1001 || c.Time.IsZero() {
			t.Errorf("the heartbeat is at %+v, want the last event, 1001", c)
		}
		if s := h.Stats(); s.LogReads != 0 || s.FellBehind != 0 {
			t.Errorf("%d reads of the log, fell behind %d times", s.LogReads, s.FellBehind)
		}
		r.cancel()
		synctest.Wait()
		if len(h.ring.byKey) != 0 {
			t.Errorf("%d interests are left", len(h.ring.byKey))
		}
	})
}

// A hole is everybody's to look at, wherever it lies among what comes and whatever
// they select: nobody who waits is led past it.
func TestNobodyIsLedPastAHole(t *testing.T) {
	h := newHub(t, newLog())
	rare := newRoute(event.Parts{Type: []byte("rare.1")})
	quiet := newRoute(event.Parts{Type: []byte("quiet.1")})
	entries := func(r *route, seqs ...uint64) (es []*entry) {
		for _, seq := range seqs {
			es = append(es, &entry{seq: seq, route: r})
		}
		return es
	}
	for name, c := range map[string]struct {
		es   []*entry
		want uint64
	}{
		"before the first":       {entries(rare, 20), 10},
		"before what is nothing": {entries(quiet, 20), 10},
		"among them":             {append(entries(quiet, 10, 11, 15), entries(rare, 16)...), 12},
		"a lost record":          {append(entries(quiet, 10, 11), entries(nil, 12)...), 12},
		"behind a hole":          {append(entries(quiet, 10), entries(nil, 14)...), 11},
		"none":                   {append(entries(quiet, 10, 11), entries(rare, 12)...), 12},
	} {
		h.ring.begin(10)
		i := h.ring.interest(selector(t, h, &hookstreamv1.EventSelector{Types: []string{"rare.*"}}))
		w := h.ring.read(10, nil, i).watch
		h.ring.add(c.es)
		if pos, _ := h.ring.passed(w); pos != c.want {
			t.Errorf("%s: goes on at %d, want %d", name, pos, c.want)
		}
		h.ring.forget(i)
	}
}

// key of the only stream.
func (r *reader) key(h *Hub) string {
	for key := range h.ring.byKey {
		return key
	}
	r.t.Fatal("there is no interest")
	return ""
}

// Streams that come and go leave nothing behind, though no event comes meanwhile.
func TestInterestsAreForgotten(t *testing.T) {
	h := newHub(t, newLog())
	quiet := &route{source: "sources/open", provider: "yousign", typ: "quiet.1"}
	for n := range 10 * maxLeft {
		i := h.ring.interest(selector(t, h, &hookstreamv1.EventSelector{Types: []string{"quiet.*", fmt.Sprint(n)}}))
		h.ring.interests.of(quiet)
		h.ring.forget(i)
	}
	if n := len(h.ring.interests.of(quiet).interests); n > maxLeft {
		t.Errorf("a route remembers %d interests", n)
	}
}

// Only selectors that miss the same routes share an interest.
func TestRouteKeysTellSelectorsApart(t *testing.T) {
	h := newHub(t, newLog())
	same := [][2]*hookstreamv1.EventSelector{
		{{Types: []string{"a", "b"}}, {Types: []string{"b", "a", "a"}}},
		{{Sources: []string{"open"}}, {Sources: []string{"sources/open"}}},
		{{Environments: []string{"Sandbox"}}, {Environments: []string{"sandbox"}}},
		{{Filter: "true"}, {}},
	}
	for _, s := range same {
		if a, b := selector(t, h, s[0]), selector(t, h, s[1]); a.key != b.key {
			t.Errorf("%v and %v: %q, %q", s[0], s[1], a.key, b.key)
		}
	}
	other := []*hookstreamv1.EventSelector{
		{}, {Types: []string{"a", "b"}}, {Types: []string{"a1:b"}}, {Types: []string{"ab"}}, {Sources: []string{"a"}}, {Environments: []string{"a"}},
	}
	seen := make(map[string]*hookstreamv1.EventSelector)
	for _, s := range other {
		key := selector(t, h, s).key
		if seen[key] != nil {
			t.Errorf("%v and %v have the key %q", s, seen[key], key)
		}
		seen[key] = s
	}
}
