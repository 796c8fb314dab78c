package jetstream

import (
	"fmt"
	"slices"
	"testing"
)

// block is a block of a few records, and where each begins.
func block(t testing.TB, stream string, n int) (data []byte, begins []int) {
	t.Helper()
	hash, err := blockHash(stream, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		begins = append(begins, len(data))
		data = appendRecord(data, hash, uint64(i+1), int64(1000+i), "hookstream.events.a.b.c", fmt.Appendf(nil, "%0*d", 1+i*7%40, i))
	}
	return data, begins
}

// Whatever one byte becomes, it costs the record it lies in at most, and what can
// be read is what was written.
func TestOneByteCostsOneRecord(t *testing.T) {
	data, begins := block(t, "S", 12)
	hash, _ := blockHash("S", 1)
	for at := range data {
		hit, found := slices.BinarySearch(begins, at)
		if !found {
			hit--
		}
		for bit := range 8 {
			damaged := slices.Clone(data)
			damaged[at] ^= 1 << bit
			c := checkBlock(damaged, hash)
			var seqs []int
			for _, r := range c.good {
				seqs = append(seqs, int(r.seq))
			}
			whole := len(c.good) == len(begins)
			for i := range begins {
				if ok := slices.Contains(seqs, i+1); !ok && i != hit {
					t.Fatalf("byte %d, bit %d of record %d: record %d is not read: %v", at, bit, hit+1, i+1, seqs)
				}
			}
			// Where the subject ends is the one thing that no checksum covers.
			inSubjectLength := at-begins[hit] == 20 || at-begins[hit] == 21
			switch {
			case whole && inSubjectLength:
			case whole && !slices.ContainsFunc(c.good, func(r checkedRecord) bool { return r.mended }):
				t.Fatalf("byte %d, bit %d of record %d: nothing is noticed", at, bit, hit+1)
			case !whole && (len(c.bad) != 1 || c.bad[0] != (span{begins[hit], c.bad[0].to})):
				t.Fatalf("byte %d, bit %d of record %d: bad is %v", at, bit, hit+1, c.bad)
			case c.torn && at >= begins[len(begins)-1]+4:
				t.Fatalf("byte %d, bit %d: a damaged record at the end passes for a torn one", at, bit)
			}
		}
	}
}

// A block that is cut anywhere ends with a torn record, and not with damage.
func TestCutBlockIsTorn(t *testing.T) {
	data, begins := block(t, "S", 4)
	hash, _ := blockHash("S", 1)
	for n := range data {
		c := checkBlock(data[:n], hash)
		_, whole := slices.BinarySearch(begins, n)
		if whole != (len(c.bad) == 0) || !whole && !c.torn {
			t.Fatalf("cut at %d: bad %v, torn %v", n, c.bad, c.torn)
		}
	}
}
