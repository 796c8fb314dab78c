package history

import (
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hookstream/hookstream/event"
)

// TestManyEvents measures look-ups over as many events as HOOKSTREAM_HISTORY_EVENTS
// says.
func TestManyEvents(t *testing.T) {
	n, err := strconv.ParseUint(os.Getenv("HOOKSTREAM_HISTORY_EVENTS"), 10, 64)
	if err != nil {
		t.Skip("HOOKSTREAM_HISTORY_EVENTS is not set")
	}
	dir := t.TempDir()
	s := open(t, dir, 0)
	s.span = span
	var took time.Duration
	const batch = 1000
	for from := uint64(1); from <= n; from += batch {
		recs := make([]event.Record, 0, batch)
		for seq := from; seq < from+batch; seq++ {
			recs = append(recs, record(t, seq, start.Add(time.Duration(seq)*time.Millisecond), sample(int(seq))))
		}
		began := time.Now()
		if err := s.Apply(from, recs, from+batch-1); err != nil {
			t.Fatal(err)
		}
		took += time.Since(began)
	}
	t.Logf("applied in %s an event", took/time.Duration(n))
	began := time.Now()
	if s, err = Open(dir, inc, n, quiet); err != nil {
		t.Fatal(err)
	}
	t.Logf("opened in %s, %d segments", time.Since(began), len(s.segments))
	var size int64
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		info, _ := f.Info()
		size += info.Size()
	}
	t.Logf("%d bytes an event", size/int64(n))
	for _, line := range []string{
		"", "source:billing", "type:rare.*", "type:nothing", "status:failed", "entity:250", "entity:nothing", "id:id-1000", "id:nothing",
		"after:2026-11-28T09:40 before:2026-11-28T09:41", "topic:rare source:hr status:failed",
	} {
		var all []time.Duration
		found := 0
		for range 20 {
			began, f := time.Now(), filter(t, line)
			found = 0
			for _, err := range s.Candidates(f, 1<<63, false) {
				if err != nil {
					t.Fatal(err)
				}
				if found++; found == 50 {
					break
				}
			}
			all = append(all, time.Since(began))
		}
		slices.Sort(all)
		t.Logf("%-60s %3d found, first %s, median %s, slowest %s", line, found, all[0], all[len(all)/2], all[len(all)-1])
	}
	for _, line := range []string{"", "type:signer.done", "status:failed"} {
		began := time.Now()
		counts, err := s.CountByHour(filter(t, line))
		t.Logf("count %q: %d hours in %s, %v", line, len(counts), time.Since(began), err)
	}
}
