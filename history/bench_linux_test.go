package history

import (
	"os"
	"slices"
	"strconv"
	"syscall"
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
	var took, used time.Duration
	const batch = 1000
	for from := uint64(1); from <= n; from += batch {
		recs := make([]event.Record, 0, batch)
		for seq := from; seq < from+batch; seq++ {
			recs = append(recs, record(t, seq, start.Add(time.Duration(seq)*time.Millisecond), sample(int(seq))))
		}
		began, cpu := time.Now(), cpuTime()
		if err := s.Apply(from, recs, from+batch-1); err != nil {
			t.Fatal(err)
		}
		took, used = took+time.Since(began), used+cpuTime()-cpu
	}
	t.Logf("applied in %s an event, %s of processor time; all in %s and %s", took/time.Duration(n), used/time.Duration(n), took, used)
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
		"entity:250,251,252", "after:2026-11-28T09:40 before:2026-11-28T09:41", "topic:rare source:hr status:failed",
	} {
		var all []time.Duration
		found := 0
		for range 200 {
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
		first := all[0]
		slices.Sort(all)
		t.Logf("%-60s %3d found, first %s, median %s, 99th percentile %s", line, found, first, all[len(all)/2], all[len(all)*99/100])
	}
	for range 3 {
		began, cpu, found := time.Now(), cpuTime(), 0
		next := s.Finder(func(p event.Parts) bool { return string(p.Topic) == "rare" })
		for seq := next(1); seq <= n; seq = next(seq + 1) {
			found++
		}
		t.Logf("all %d of a topic, by a finder: %s, %s of processor time", found, time.Since(began), cpuTime()-cpu)
	}
	for _, line := range []string{"", "type:signer.done", "status:failed"} {
		began := time.Now()
		counts, err := s.CountByHour(filter(t, line))
		t.Logf("count %q: %d hours in %s, %v", line, len(counts), time.Since(began), err)
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
