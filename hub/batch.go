package hub

import (
	"sync"
	"time"

	"google.golang.org/grpc/mem"
)

// batch is what a stream sends next. It holds references only.
type batch struct {
	deliveries mem.BufferSlice
	list       *mem.BufferSlice // where deliveries came from
	bytes      int
	since      time.Time // of the first
}

// An idle stream holds no list.
var lists = sync.Pool{New: func() any { l := make(mem.BufferSlice, 0, 256); return &l }}

func (b *batch) empty() bool { return len(b.deliveries) == 0 }

func (b *batch) add(delivery mem.Buffer) {
	if b.empty() {
		b.list = lists.Get().(*mem.BufferSlice)
		b.deliveries, b.since = (*b.list)[:0], time.Now()
	}
	b.deliveries = append(b.deliveries, delivery)
	b.bytes += delivery.Len()
}

// wouldExceed reports whether n more bytes are too many.
func (b *batch) wouldExceed(n, maxBytes int) bool { return !b.empty() && b.bytes+n > maxBytes }

func (b *batch) full(maxEvents, maxBytes int) bool {
	return len(b.deliveries) >= maxEvents || b.bytes >= maxBytes && !b.empty()
}

func (b *batch) reset() {
	clear(b.deliveries)
	*b.list = b.deliveries[:0]
	lists.Put(b.list)
	*b = batch{}
}
