package history

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

const inc = event.Incarnation(7)

var (
	quiet = slog.New(slog.DiscardHandler)
	start = time.Date(2026, 11, 28, 9, 30, 0, 0, time.UTC)
)

// open opens a store of a log that ends at last.
func open(t testing.TB, dir string, last uint64) *Store {
	t.Helper()
	s, err := Open(dir, inc, last, quiet)
	if err != nil {
		t.Fatal(err)
	}
	s.span = few
	return s
}

// few is how many positions a segment of the tests spans.
const few = 4096

// record is an event as a log keeps it.
func record(t testing.TB, seq uint64, at time.Time, e *hookstreamv1.Event) event.Record {
	t.Helper()
	data, err := event.Encode(e, &hookstreamv1.RawRequest{Body: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	return event.Record{Seq: seq, Time: at, Data: data}
}

// sample is the n-th of many events that are alike and of some that are rare.
func sample(n int) *hookstreamv1.Event {
	e := &hookstreamv1.Event{
		Source: "sources/" + []string{"billing", "hr"}[n/7%2], Provider: "yousign", Environment: "sandbox",
		Topic: "signer", Action: []string{"done", "notified", "declined"}[n%3],
		Entity: fmt.Sprintf("signature_requests/%d", n/4), ProviderEventId: fmt.Sprintf("id-%d", n),
		Verification: &hookstreamv1.Verification{State: hookstreamv1.Verification_STATE_VERIFIED},
	}
	if n%1000 == 3 {
		e.Topic, e.Verification.State = "rare", hookstreamv1.Verification_STATE_FAILED
	}
	e.Type = event.JoinType(e.Topic, e.Action)
	return e
}

// fill applies samples so that the last one is at a position.
func fill(t testing.TB, s *Store, to uint64) []Row {
	t.Helper()
	var rows []Row
	for from := s.Applied() + 1; from <= to; {
		var recs []event.Record
		for seq := from; seq <= min(to, from+9999); seq++ {
			rec := record(t, seq, start.Add(time.Duration(seq)*time.Second), sample(int(seq)))
			recs = append(recs, rec)
			row, _ := RowOf(rec)
			rows = append(rows, row)
		}
		through := recs[len(recs)-1].Seq
		if err := s.Apply(from, recs, through); err != nil {
			t.Fatal(err)
		}
		from = through + 1
	}
	return rows
}

func filter(t testing.TB, line string) *Filter {
	t.Helper()
	f, err := ParseFilter(line, start.Add(48*time.Hour), inc)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// candidates are all, newest first.
func candidates(t testing.TB, s *Store, line string) (out []uint64) {
	t.Helper()
	for seq, err := range s.Candidates(filter(t, line), 1<<63, false) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, seq)
	}
	return out
}

// What is asked of several segments, on the disk and in memory, before and after a
// start, is what is there.
func TestCandidates(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	const last = 2*few + 500
	fill(t, s, last)
	check := func(s *Store) {
		t.Helper()
		for line, want := range map[string][]uint64{
			"id:id-4500":                                      {4500},
			"entity:1000":                                     {4003, 4002, 4001, 4000},
			"entity:signature_requests/2048":                  {8195, 8194, 8193, 8192},
			"entity:other/2048":                               {8195, 8194, 8193, 8192}, // the kind is for Match
			"id:" + event.Name(inc, 8600):                     {8600},
			"id:" + event.Name(inc+1, 8600):                   nil,
			"type:nothing":                                    nil,
			"source:hr status:failed -topic:signer after:47h": {8003, 6003, 4003},
			"topic:rare after:2026-11-28T10:00:00Z before:2026-11-28T10:30": {3003, 2003},
		} {
			if got := candidates(t, s, line); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", line, got, want)
			}
		}
		if n := len(candidates(t, s, "")); uint64(n) != s.Applied() {
			t.Errorf("%d of all %d", n, s.Applied())
		}
	}
	check(s)
	s.Close()
	again := open(t, dir, last)
	if again.Applied() != 2*few {
		t.Errorf("after a start %d are known, want the sealed ones", again.Applied())
	}
	fill(t, again, last)
	check(again)
}

// Whatever the log holds and whatever is asked, candidates that match are what a look
// at every event finds, in either order, from any place on.
func TestSearchIsAScan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		s := open(t, dir, 0)
		var rows []Row
		words := rapid.SampledFrom([]string{"a", "b", "ab", ""})
		n := rapid.IntRange(0, 60).Draw(rt, "events")
		for seq := uint64(1); n > 0; n-- {
			if jump := rapid.SampledFrom([]uint64{0, 0, 0, 0, 1, 5, few, 3 * few}).Draw(rt, "hole"); jump > 0 {
				if err := s.Apply(seq, nil, seq+jump-1); err != nil {
					rt.Fatal(err)
				}
				seq += jump
			}
			e := &hookstreamv1.Event{
				Source: "sources/" + words.Draw(rt, "source"), Environment: words.Draw(rt, "environment"), Topic: words.Draw(rt, "topic"), Action: words.Draw(rt, "action"),
				Entity: rapid.SampledFrom([]string{"", "a/1", "b/1", "a/2", "2"}).Draw(rt, "entity"), ProviderEventId: words.Draw(rt, "id"),
				Verification: &hookstreamv1.Verification{State: hookstreamv1.Verification_State(rapid.Int32Range(0, 4).Draw(rt, "state"))},
			}
			e.Type = event.JoinType(e.Topic, e.Action)
			rec := record(t, seq, start.Add(time.Duration(rapid.IntRange(-7000, 7000).Draw(rt, "time"))*time.Second), e)
			if err := s.Apply(seq, []event.Record{rec}, seq); err != nil {
				rt.Fatal(err)
			}
			row, _ := RowOf(rec)
			rows = append(rows, row)
			seq++
			if rapid.IntRange(0, 20).Draw(rt, "reopen") == 0 {
				last := s.Applied()
				s = open(t, dir, last)
				for _, row := range rows {
					if row.Seq > s.Applied() {
						if err := s.Apply(s.Applied()+1, []event.Record{recordOf(t, row)}, row.Seq); err != nil {
							rt.Fatal(err)
						}
					}
				}
				if err := s.Apply(s.Applied()+1, nil, last); err != nil {
					rt.Fatal(err)
				}
			}
		}
		for range 8 {
			searchIsAScan(rt, t, s, rows)
		}
	})
}

func recordOf(t *testing.T, r Row) event.Record {
	return record(t, r.Seq, r.Time, &hookstreamv1.Event{
		Source: r.Source, Provider: r.Provider, Environment: r.Environment, Topic: r.Topic, Action: r.Action, Type: r.Type,
		Entity: r.Entity, ProviderEventId: r.ID, Verification: &hookstreamv1.Verification{State: r.State},
	})
}

func searchIsAScan(rt *rapid.T, t *testing.T, s *Store, rows []Row) {
	var line string
	for range rapid.IntRange(0, 3).Draw(rt, "words") {
		line += rapid.SampledFrom([]string{" ", " -"}).Draw(rt, "not") + rapid.SampledFrom([]string{
			"source:a", "source:sources/ab", "type:a.b,b", "type:a*", "topic:a", "action:b*", "environment:AB", "entity:1", "entity:a/1,b/1", "entity:a/*", "entity:2",
			"id:a", "id:a*,b", "id:" + event.Name(inc, 3), "verification:verified", "status:failed,verified", "provider:x",
		}).Draw(rt, "word")
	}
	line += rapid.SampledFrom([]string{"", " after:2026-11-28T09:00", " before:2026-11-28T10:00", " after:2026-11-28T09:00 before:2026-11-28T09:45"}).Draw(rt, "time")
	f := filter(t, line)
	oldest := rapid.Bool().Draw(rt, "oldest first")
	from := rapid.Uint64Range(0, s.Applied()+2).Draw(rt, "from")
	at := make(map[uint64]Row)
	var want, got []uint64
	for _, r := range rows {
		at[r.Seq] = r
		if f.Match(r) && (oldest && r.Seq >= from || !oldest && r.Seq <= from) {
			want = append(want, r.Seq)
		}
	}
	if !oldest {
		slices.Reverse(want)
	}
	seen := 0
	for seq, err := range s.Candidates(f, from, oldest) {
		if err != nil {
			rt.Fatal(err)
		}
		r, ok := at[seq]
		if !ok {
			rt.Fatalf("%s: nothing is at %d", line, seq)
		}
		seen++
		if f.Match(r) {
			got = append(got, seq)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		rt.Fatalf("%s from %d, oldest first %v: %s", line, from, oldest, diff)
	}
	if f.Exact() && seen != len(got) {
		rt.Fatalf("%s is said to be exact, and %d of %d candidates match", line, len(got), seen)
	}
	counted := int64(0)
	counts, err := s.CountByHour(f)
	if err != nil {
		rt.Fatal(err)
	}
	for _, c := range counts {
		for _, n := range c.States {
			counted += n
		}
	}
	all := int64(0)
	for _, r := range rows {
		if f.Match(r) {
			all++
		}
	}
	if f.Exact() && counted != all {
		rt.Fatalf("%s: counted %d of %d", line, counted, all)
	}
}

func TestCountByHour(t *testing.T) {
	s := open(t, t.TempDir(), 0)
	rows := fill(t, s, 2*few)
	want := make(map[time.Time]int64)
	for _, r := range rows {
		if r.Topic == "rare" {
			want[r.Time.Truncate(time.Hour)]++
		}
	}
	counts, err := s.CountByHour(filter(t, "topic:rare"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[time.Time]int64)
	for _, c := range counts {
		got[c.Start] = c.States[hookstreamv1.Verification_STATE_FAILED]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A file that is damaged anywhere is noticed, at the start or when it is read, and
// made anew with what follows it; nothing of it is ever answered.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	whole := open(t, dir, 0)
	const last = 2*few + 10
	fill(t, whole, last)
	files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if len(files) != 2 {
		t.Fatalf("%d files", len(files))
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"", "id:id-5", "entity:3", "topic:rare", "status:failed", "after:2026-11-28T09:50"}
	want := make(map[string][]uint64)
	for _, line := range lines {
		want[line] = candidates(t, whole, line)
	}
	row := bytes.Index(content, binary.LittleEndian.AppendUint64(nil, whole.hash("id-5")))
	places := []int{row + 7, row + 8} // of a hash that is looked for, and of its offset
	for at := 0; at < len(content)+6997; at += 6997 {
		places = append(places, at)
	}
	for _, at := range places {
		bad := slices.Clone(content[:min(at, len(content))])
		if at < len(content) {
			bad = slices.Clone(content)
			bad[at] ^= 1
		} else {
			bad = bad[:len(bad)-1] // cut off
		}
		if err := os.WriteFile(files[0], bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, last)
		for _, line := range lines {
			for _, err := range s.Candidates(filter(t, line), 1<<63, false) {
				if err != nil && !errors.Is(err, errDamaged) {
					t.Fatalf("byte %d, %q: %v", at, line, err)
				}
			}
		}
		if s.Applied() < 2*few && s.Applied() != 0 {
			t.Fatalf("byte %d: %d are known behind what is damaged", at, s.Applied())
		}
		if err := s.Apply(last+1, nil, last+1); s.Applied() < last && !errors.Is(err, ErrElsewhere) {
			t.Fatalf("byte %d: went on behind what is not known: %v", at, err)
		}
		fill(t, s, last)
		for _, line := range lines {
			if got := candidates(t, s, line); !slices.Equal(got, want[line]) {
				t.Fatalf("byte %d, %q: %d, want %d", at, line, len(got), len(want[line]))
			}
		}
	}
}

// What is of another log, or knows more than the log holds, is made anew.
func TestOfAnotherLog(t *testing.T) {
	dir := t.TempDir()
	fill(t, open(t, dir, 0), 2*few+1)
	if s := open(t, dir, 2*few-1); s.Applied() != few {
		t.Errorf("of a log that ends at %d, %d are known", 2*few-1, s.Applied())
	}
	s, err := Open(dir, inc+1, 1<<40, quiet)
	if err != nil || s.Applied() != 0 || len(s.segments) != 0 {
		t.Errorf("%d of another log are known, %v", s.Applied(), err)
	}
}

// What retention has passed leaves no file behind, and is not asked for again.
func TestDrop(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	fill(t, s, 3*few)
	if err := s.Drop(2*few + 1); err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); len(files) != 0 {
		t.Errorf("%d files are left; the third is in memory", len(files))
	}
	if got := candidates(t, s, ""); len(got) != few || got[len(got)-1] != 2*few+1 {
		t.Errorf("%d are left", len(got))
	}
	if err := s.Drop(2*few + 101); err != nil {
		t.Fatal(err)
	}
	counts, err := s.CountByHour(filter(t, ""))
	counted := int64(0)
	for _, c := range counts {
		counted += c.States[hookstreamv1.Verification_STATE_VERIFIED] + c.States[hookstreamv1.Verification_STATE_FAILED]
	}
	if got := candidates(t, s, ""); len(got) != few-100 || counted != few-100 || err != nil {
		t.Errorf("%d are left, %d are counted, %v", len(got), counted, err)
	}
	if err := s.Drop(5 * few); err != nil || s.Applied() != 5*few-1 {
		t.Errorf("%d, %v", s.Applied(), err)
	}
	if got := candidates(t, s, ""); len(got) != 0 {
		t.Errorf("%d are left of nothing", len(got))
	}
	if err := s.Apply(5*few, []event.Record{record(t, 5*few, start, sample(1))}, 5*few); err != nil {
		t.Fatal(err)
	}
	if got := candidates(t, s, ""); !slices.Equal(got, []uint64{5 * few}) {
		t.Errorf("goes on with %v", got)
	}
}

// A disk that refuses loses nothing that is known.
func TestDiskRefuses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	var recs []event.Record
	for seq := uint64(1); seq <= few+1; seq++ {
		recs = append(recs, record(t, seq, start, sample(int(seq))))
	}
	if err := s.Apply(1, recs, few+1); err == nil {
		t.Error("nothing was said")
	}
	if s.Applied() != few+1 || len(candidates(t, s, "")) != few+1 {
		t.Errorf("%d are known", s.Applied())
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(few+2, nil, few+2); err != nil {
		t.Error(err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); len(files) != 1 {
		t.Errorf("%d files", len(files))
	}
}

// A disk that is full for long costs a bounded amount of memory: what is beyond is not
// taken, and is when there is room again.
func TestDiskIsFullForLong(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 0)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	refused := false
	for to := uint64(few / 4); to < 20*few && !refused; to += few / 4 {
		var recs []event.Record
		before := s.Applied()
		for seq := before + 1; seq <= to; seq++ {
			recs = append(recs, record(t, seq, start, sample(int(seq))))
		}
		refused = s.Apply(before+1, recs, to) != nil && s.Applied() == before
	}
	if n := len(s.unwritten()); !refused || n != maxUnwritten {
		t.Errorf("%d segments are in memory, refused: %v", n, refused)
	}
	if known := s.Applied(); len(candidates(t, s, "")) != int(known) {
		t.Error("what is in memory is not answered")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 7*few)
	if files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); len(files) != 6 || len(candidates(t, s, "")) != 7*few {
		t.Errorf("%d files, %d known", len(files), len(candidates(t, s, "")))
	}
}

// A finder answers what a scan of the rows would, and stops at everything that is no
// event, be it on the disk or in memory.
func TestFinder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t, t.TempDir(), 0)
		s.span = 64
		last := rapid.Uint64Range(1, 150).Draw(rt, "last")
		rare := make(map[uint64]bool)
		there := make(map[uint64]bool)
		var recs []event.Record
		for seq := uint64(1); seq <= last; seq++ {
			e := sample(1)
			switch rapid.IntRange(0, 30).Draw(rt, "kind") {
			case 0:
				continue // nothing
			case 1:
				recs = append(recs, event.Record{Seq: seq, Time: start, Lost: true})
				continue
			case 2:
				e.Source, rare[seq] = "sources/rare", true
			}
			there[seq] = true
			recs = append(recs, record(t, seq, start, e))
		}
		if err := s.Apply(1, recs, last); err != nil {
			rt.Fatal(err)
		}
		first := rapid.Uint64Range(1, last).Draw(rt, "first")
		if err := s.Drop(first); err != nil {
			rt.Fatal(err)
		}
		next := s.Finder(func(p event.Parts) bool { return string(p.Source) == "sources/rare" })
		for from := rapid.Uint64Range(0, last).Draw(rt, "from"); from <= last; from += rapid.Uint64Range(1, 50).Draw(rt, "step") {
			want := from
			for want >= first && there[want] && !rare[want] {
				want++
			}
			if got := next(from); got != want {
				rt.Fatalf("from %d of %d to %d: %d, want %d", from, first, last, got, want)
			}
		}
	})
}
