package load

import (
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets whose width is at most a 64th of what
// they hold: percentiles are exact to 1.6 %. The zero value is empty and ready;
// it is of one goroutine at a time.
type Histogram struct {
	buckets [bucketCount]uint32
	count   int64
	max     time.Duration
}

const (
	subBits     = 6 // 64 buckets between powers of two
	bucketCount = (64 - subBits) << subBits
)

// Record counts d. One below zero counts as zero.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// bucketOf is the identity below 128: there the buckets are a nanosecond wide.
func bucketOf(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// highest is the largest duration of a bucket.
func highest(bucket int) time.Duration {
	shift := max(bucket>>subBits-1, 0)
	return time.Duration((uint64(bucket-shift<<subBits)+1)<<shift - 1)
}

// Add counts what another has counted.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// Count answers how many durations were recorded.
func (h *Histogram) Count() int64 { return h.count }

// Max answers the longest.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile answers the duration that a share of q of all, from 0 to 1, does not
// exceed; 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(int64(q*float64(h.count)+0.5), 1)
	var seen int64
	for i, n := range h.buckets {
		if seen += int64(n); seen >= rank {
			return min(highest(i), h.max)
		}
	}
	return 0
}
