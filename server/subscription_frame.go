package server

import (
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
	"github.com/hookstream/hookstream/subscription"
)

// Field numbers of what is joined here. A test holds the bytes against what the
// generated code makes of the same message.
const (
	fieldBatchDeliveries  = 1
	fieldDeliveryAckToken = 3
	fieldDeliveryAttempt  = 4
	fieldDeliveryDeadline = 5
	fieldDeliveryReplayed = 6
	fieldDeliveryHandOut  = 7
	fieldTimestampSeconds = 1
	fieldTimestampNanos   = 2
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
		fields = appendDelivery(fields[:0], d)
		size := protowire.SizeTag(fieldBatchDeliveries) + protowire.SizeBytes(len(shared)+len(fields))
		if i > 0 && b.size+size > maxBytes {
			break
		}
		b.add(shared, fields)
		b.size += size
	}
	return b
}

func (b *deliveryBatch) add(shared, fields []byte) {
	b.own = protowire.AppendTag(b.own, fieldBatchDeliveries, protowire.BytesType)
	b.own = protowire.AppendVarint(b.own, uint64(len(shared)+len(fields)))
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
	head := protowire.AppendTag(nil, fieldResponseBatch, protowire.BytesType)
	return newWireFrame(protowire.AppendVarint(head, uint64(b.size)), b.pieces())
}

// pull answers the PullResponse of the batch, which has its deliveries where
// DeliveryBatch has them.
func (b *deliveryBatch) pull() (*hookstreamv1.PullResponse, error) {
	out := new(hookstreamv1.PullResponse)
	return out, proto.Unmarshal(b.pieces().Materialize(), out)
}

// appendDelivery appends the fields of a Delivery that no other stream shares.
func appendDelivery(b []byte, d subscription.Delivery) []byte {
	b = protowire.AppendTag(b, fieldDeliveryAckToken, protowire.BytesType)
	b = protowire.AppendString(b, d.Token)
	b = protowire.AppendTag(b, fieldDeliveryAttempt, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(d.Attempt))
	b = appendDeadline(b, d.Deadline)
	if d.Replayed {
		b = protowire.AppendTag(b, fieldDeliveryReplayed, protowire.VarintType)
		b = protowire.AppendVarint(b, 1)
	}
	b = protowire.AppendTag(b, fieldDeliveryHandOut, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(d.HandOut))
	return b
}

// appendDeadline appends a google.protobuf.Timestamp; as there, what is zero is
// left out.
func appendDeadline(b []byte, t time.Time) []byte {
	seconds, nanos := uint64(t.Unix()), uint64(t.Nanosecond())
	size := protowire.SizeTag(fieldTimestampSeconds) + protowire.SizeVarint(seconds)
	if nanos > 0 {
		size += protowire.SizeTag(fieldTimestampNanos) + protowire.SizeVarint(nanos)
	}
	b = protowire.AppendTag(b, fieldDeliveryDeadline, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = protowire.AppendTag(b, fieldTimestampSeconds, protowire.VarintType)
	b = protowire.AppendVarint(b, seconds)
	if nanos > 0 {
		b = protowire.AppendTag(b, fieldTimestampNanos, protowire.VarintType)
		b = protowire.AppendVarint(b, nanos)
	}
	return b
}
