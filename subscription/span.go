package subscription

import (
	"cmp"
	"slices"
)

// span is a run of sequences: from the first up to before the second.
type span [2]uint64

func (s span) empty() bool { return s[0] >= s[1] }

// spans are in order and apart from each other.
type spans []span

// without answers the parts of a span that are in none.
func (all spans) without(s span) (parts []span) {
	for _, other := range all {
		if other[1] <= s[0] || other[0] >= s[1] {
			continue
		}
		if before := (span{s[0], other[0]}); !before.empty() {
			parts = append(parts, before)
		}
		s[0] = min(other[1], s[1])
	}
	if !s.empty() {
		parts = append(parts, s)
	}
	return parts
}

// with answers them and another one. The receiver stays as it is.
func (all spans) with(s span) (out spans) {
	if s.empty() {
		return all
	}
	for _, other := range all {
		if other[1] < s[0] || other[0] > s[1] {
			out = append(out, other)
			continue
		}
		s = span{min(s[0], other[0]), max(s[1], other[1])}
	}
	i, _ := slices.BinarySearchFunc(out, s, func(a, b span) int { return cmp.Compare(a[0], b[0]) })
	return slices.Insert(out, i, s)
}

// What is kept of spans that were counted.
const (
	// manySpans is from how many on those are forgotten that nobody comes upon
	// again.
	manySpans = 128
	// maxSpans is how many there may be. Beyond, the lowest become one: what the
	// log loses between them later is not counted.
	maxSpans = 4096
)

// bound forgets spans up to last, if they are many: the queue has passed them.
func (all spans) bound(last uint64) spans {
	for len(all) > manySpans && all[0][1] <= last+1 {
		all = all[1:]
	}
	for len(all) > maxSpans {
		joined := span{all[0][0], all[1][1]}
		all = append(spans{joined}, all[2:]...)
	}
	return all
}
