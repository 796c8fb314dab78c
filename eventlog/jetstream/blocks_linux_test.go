package jetstream_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hookstream/hookstream/event"
	"github.com/hookstream/hookstream/eventlog/jetstream"
	"github.com/hookstream/hookstream/eventlog/logtest"
	"github.com/hookstream/hookstream/internal/heavy"
)

// manyBlocks is a log of several blocks, with records larger than what is read at
// once.
func manyBlocks(t *testing.T) *jetstream.Engine {
	t.Helper()
	o := embedded(t)
	o.Durability = jetstream.DurabilityRelaxed
	e := logtest.Open(t, o)
	mixed(t, e.Events(), 2500)
	if names, _ := filepath.Glob(filepath.Join(jetstream.Blocks(e), "*.blk")); len(names) < 4 {
		t.Fatalf("only %d blocks", len(names))
	}
	return e
}

// A release of the server that writes its files in another way is noticed here:
// everything would still work, but slower.
func TestBlocksServeAll(t *testing.T) {
	heavy.Test(t)
	e := manyBlocks(t)
	want := readAll(t, e.Events(), 1)
	for _, from := range []uint64{1, 2, 512, 513, 701, 702, 1701, 2499, 2500, 2501} {
		var got []event.Record
		next, err := jetstream.ScanBlocks(t.Context(), e, from, func(recs []event.Record) error {
			got = append(got, recs...)
			return nil
		})
		if err != nil || next != 2501 {
			t.Errorf("from %d: ended before %d: %v", from, next, err)
		}
		if err := same(got, want[from-1:]); err != nil {
			t.Errorf("from %d: %v", from, err)
		}
	}
}

func same(got, want []event.Record) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d records, want %d", len(got), len(want))
	}
	for i, r := range got {
		if w := want[i]; r.Seq != w.Seq || !r.Time.Equal(w.Time) || !bytes.Equal(r.Data, w.Data) {
			return fmt.Errorf("record %d at %s differs from record %d at %s", r.Seq, r.Time, w.Seq, w.Time)
		}
	}
	return nil
}

// Whatever lies where the log's files should, a scan answers what the log holds.
func TestBlocksThatAreNotWhatTheySeem(t *testing.T) {
	heavy.Test(t)
	e := manyBlocks(t)
	l := e.Events().(scanner)
	original, want := jetstream.Blocks(e), readAll(t, e.Events(), 1)
	for name, damage := range map[string]func(t *testing.T, dir string){
		"a byte of an event":  change(2, func(b []byte, at int) []byte { b[at+200] ^= 1; return b }),
		"a byte of a subject": change(2, func(b []byte, at int) []byte { b[at+25] ^= 1; return b }),
		"a byte of a time":    change(2, func(b []byte, at int) []byte { b[at+13] ^= 1; return b }),
		"a checksum":          change(2, func(b []byte, at int) []byte { b[at-1] ^= 1; return b }),
		"a sequence":          change(2, func(b []byte, at int) []byte { b[at+4] ^= 1; return b }),
		"a sequence far away": change(2, func(b []byte, at int) []byte { b[at+9] ^= 1; return b }),
		"erased":              change(2, func(b []byte, at int) []byte { b[at+11] |= 0x80; return b }),
		"taken for a removal": change(2, func(b []byte, at int) []byte { b[at+11] |= 0x40; return b }),
		"a header":            change(2, func(b []byte, at int) []byte { b[at+3] |= 0x80; return b }),
		"a longer subject":    change(2, func(b []byte, at int) []byte { b[at+21] = 0xff; return b }),
		"a length of 0":       change(2, func(b []byte, at int) []byte { binary.LittleEndian.PutUint32(b[at:], 0); return b }),
		"a length of 1 GB":    change(2, func(b []byte, at int) []byte { binary.LittleEndian.PutUint32(b[at:], 1<<30); return b }),
		"a length of 1 MB":    change(2, func(b []byte, at int) []byte { binary.LittleEndian.PutUint32(b[at:], 1<<20); return b }),
		"a record left out":   change(2, func(b []byte, at int) []byte { return slices.Delete(b, at, at+length(b[at:])) }),
		"a record twice":      change(2, func(b []byte, at int) []byte { return slices.Insert(b, at, b[at:at+length(b[at:])]...) }),
		"a removal": change(2, func(b []byte, at int) []byte {
			head := make([]byte, 30) // of record 7, before these
			head[0], head[4], head[11] = 30, 7, 0x40
			return slices.Insert(b, at, head...)
		}),
		"ends in a record":        change(2, func(b []byte, at int) []byte { return b[:at+100] }),
		"ends in a head":          change(2, func(b []byte, at int) []byte { return b[:at+10] }),
		"ends behind a record":    change(2, func(b []byte, at int) []byte { return b[:at] }),
		"zeroes to the end":       change(2, func(b []byte, at int) []byte { clear(b[at:]); return b }),
		"empty":                   change(2, func([]byte, int) []byte { return nil }),
		"nothing but zeroes":      change(1, func(b []byte, _ int) []byte { clear(b); return b }),
		"one is gone":             func(t *testing.T, dir string) { remove(t, dir, 2) },
		"the first is gone":       func(t *testing.T, dir string) { remove(t, dir, 1) },
		"two have changed places": swap,
		"none":                    func(t *testing.T, dir string) { _ = os.RemoveAll(dir) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			copyBlocks(t, original, dir)
			damage(t, dir)
			jetstream.SetBlocks(e, dir)
			if err := same(scanAll(t, l, 1), want); err != nil {
				t.Error(err)
			}
			var n uint64
			_, err := jetstream.ScanBlocks(t.Context(), e, 1, func(recs []event.Record) error {
				n += uint64(len(recs))
				return same(recs, want[recs[0].Seq-1:recs[len(recs)-1].Seq])
			})
			harmless := name == "a record twice" || name == "a removal" // which are skipped
			if harmless != (n == 2500) || harmless == errors.Is(err, jetstream.ErrLayout) {
				t.Errorf("%d records of the files, then: %v", n, err)
			}
		})
	}
}

func length(b []byte) int { return int(binary.LittleEndian.Uint32(b)) }

// change does something to a block, at a record in its middle.
func change(block int, do func(b []byte, at int) []byte) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, fmt.Sprintf("%d.blk", block))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for at < len(b)/2 {
			at += length(b[at:])
		}
		if err := os.WriteFile(path, do(b, at), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, dir string, block int) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, fmt.Sprintf("%d.blk", block))); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, dir string) {
	t.Helper()
	two, three, other := filepath.Join(dir, "2.blk"), filepath.Join(dir, "3.blk"), filepath.Join(dir, "other")
	if err := errors.Join(os.Rename(two, other), os.Rename(three, two), os.Rename(other, three)); err != nil {
		t.Fatal(err)
	}
}

func copyBlocks(t *testing.T, from, to string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(from, "*.blk"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d blocks: %v", len(names), err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(to, filepath.Base(name)), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What is appended meanwhile is read as well, without a gap, and nothing that is
// not durable.
func TestBlocksWhileTheyAreWritten(t *testing.T) {
	e := logtest.Open(t, embedded(t))
	events := heavy.Count(3000, 600)
	size := (18 << 20) / events // three blocks and more, of however many
	done := make(chan error, 1)
	go func() {
		for i := range events {
			entry := logtest.Entry("a", i)
			entry.Data = []byte(strings.Repeat("z", size))
			if _, err := e.Events().Append(context.WithoutCancel(t.Context()), entry); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	next, ended := uint64(1), false
	for next <= uint64(events) && !ended {
		select {
		case err := <-done:
			if ended = true; err != nil {
				t.Fatal(err)
			}
		default:
		}
		b, err := e.Events().Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if next > b.Last {
			continue
		}
		want := next
		next, err = jetstream.ScanBlocks(t.Context(), e, next, func(recs []event.Record) error {
			for _, r := range recs {
				if r.Seq != want || len(r.Data) != size {
					return fmt.Errorf("%d bytes at %d, want %d at %d", len(r.Data), r.Seq, size, want)
				}
				want++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if next != uint64(events)+1 {
		t.Errorf("ended before %d", next)
	}
}

// Files that retention takes away under a scan cost it what was in them, which is
// seen, and no more.
func TestBlocksThatRetentionTakes(t *testing.T) {
	o := embedded(t)
	o.Durability, o.MaxEvents = jetstream.DurabilityRelaxed, 200
	e := logtest.Open(t, o)
	l := e.Events().(scanner)
	large := func(from, to int) {
		for i := from; i < to; i++ {
			entry := logtest.Entry("a", i)
			entry.Data = []byte(strings.Repeat("x", 150<<10))
			if _, err := l.Append(t.Context(), entry); err != nil {
				t.Fatal(err)
			}
		}
	}
	large(0, 200)
	var seqs []uint64
	err := l.Scan(t.Context(), 1, func(recs []event.Record) error {
		if len(seqs) == 0 {
			large(200, 500)
		}
		for _, r := range recs {
			seqs = append(seqs, r.Seq)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(seqs) || len(slices.Compact(slices.Clone(seqs))) != len(seqs) {
		t.Errorf("not in order: %v", seqs)
	}
	kept := slices.Index(seqs, 301)
	if seqs[0] != 1 || kept < 0 || kept > 100 || len(seqs) != kept+200 {
		t.Errorf("%d records from %d to %d, those that are left from the %dth on", len(seqs), seqs[0], seqs[len(seqs)-1], kept)
	}
}

// The embedded engine's blocks lie where the barrier expects them: if an
// upgrade of the server moved them, everything would still be safe, and slow.
func TestBarrierIsNotSurprised(t *testing.T) {
	o := embedded(t)
	e := logtest.Open(t, o)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := range 200 {
				if _, err := e.Events().Append(t.Context(), logtest.Entry(fmt.Sprint(w), n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := jetstream.BarrierMissed(e); n != 0 {
		t.Errorf("the barrier was surprised %d times", n)
	}
}
