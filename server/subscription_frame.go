package server

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// deliveryOwnBytes is about what one delivery adds to its event: heads, a token
// and small fields.
const deliveryOwnBytes = 300

// A deliveryBatch is a list of deliveries as it is sent. The events are those
// bytes that all streams share; what is one delivery's own stands between them.
type deliveryBatch struct {
	// shared is, of each delivery, its cursor and event.
	shared [][]byte
	// own is the head of the first delivery, then of each delivery what follows
	// its event together with the head of the next. cuts is where each event
	// belongs.
	own  []byte
	cuts []int
	size int
}

// newDeliveryBatch takes the first of all, and as many more as fit maxBytes.
func newDeliveryBatch(all []subscription.Delivery, view hookstreamv1.EventView, maxBytes int) *deliveryBatch {
	b := &deliveryBatch{
		shared: make([][]byte, 0, len(all)), cuts: make([]int, 0, len(all)),
		own: make([]byte, 0, len(all)*deliveryOwnBytes),
	}
	var fields []byte
	for i, d := range all {
		shared := d.Event.Inner(view)
		fields = handed(d).AppendTo(fields[:0])
		size := event.DeliverySize(len(shared) + len(fields))
		if i > 0 && b.size+size > maxBytes {
			break
		}
		b.add(shared, fields)
		b.size += size
	}
	return b
}

func (b *deliveryBatch) add(shared, fields []byte) {
	b.own = event.AppendDeliveryHead(b.own, len(shared)+len(fields))
	b.cuts = append(b.cuts, len(b.own))
	b.shared = append(b.shared, shared)
	b.own = append(b.own, fields...)
}

// len is how many deliveries it took.
func (b *deliveryBatch) len() int { return len(b.shared) }

// pieces are the content of DeliveryBatch.
func (b *deliveryBatch) pieces() mem.BufferSlice {
	out := make(mem.BufferSlice, 0, 2*len(b.shared)+1)
	from := 0
	for i, shared := range b.shared {
		out = append(out, mem.SliceBuffer(b.own[from:b.cuts[i]]), mem.SliceBuffer(shared))
		from = b.cuts[i]
	}
	return append(out, mem.SliceBuffer(b.own[from:]))
}

// response answers the SubscribeResponse of the batch.
func (b *deliveryBatch) response() *wireFrame {
	return &wireFrame{event.AppendBatchHead(nil, b.size), b.pieces()}
}

// pull answers the PullResponse of the batch, which has its deliveries where
// DeliveryBatch has them.
func (b *deliveryBatch) pull() (*hookstreamv1.PullResponse, error) {
	out := new(hookstreamv1.PullResponse)
	return out, proto.Unmarshal(b.pieces().Materialize(), out)
}

// handed is what of a delivery no other stream shares.
func handed(d subscription.Delivery) event.Handed {
	return event.Handed{AckToken: d.Token, Attempt: d.Attempt, HandOut: d.HandOut, Deadline: d.Deadline, Replayed: d.Replayed, Replay: d.Replay}
}
