//go:build unix

package index_test

import (
	"encoding/binary"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/hookstream/hookstream/eventlog/index"
)

// cpu is the processor time of the process so far: what an index does in the
// background no clock shows.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Each key is new, and so is each content; cpu-ns/event counts what goes on in the
// background. -benchtime 50000x makes it three million events.
func BenchmarkApply(b *testing.B) {
	x := filled(b, 1)
	entries := make([]index.Entry, 64)
	b.ReportAllocs()
	start, n := cpu(b), uint64(1)
	for b.Loop() {
		for j := range entries {
			n++
			entries[j] = index.Entry{Seq: n, Time: time.Now(), Key: hash(n), Content: hash(^n)}
		}
		if err := x.Apply(entries, n); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpu(b)-start)/float64(n), "cpu-ns/event")
}

// hash is as good as a real one here, and costs less.
func hash(n uint64) (h index.Hash) {
	r := rand.NewPCG(n, n)
	binary.BigEndian.PutUint64(h[:], r.Uint64())
	binary.BigEndian.PutUint64(h[8:], r.Uint64())
	return h
}
