package event

import (
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fields of a frame on the way to its deliveries: of SubscribeResponse, and of
// DeliveryBatch and PullResponse alike.
const (
	FieldResponseCursor  protoreflect.FieldNumber = 1
	FieldResponseBatch   protoreflect.FieldNumber = 3
	FieldBatchDeliveries protoreflect.FieldNumber = 1
)

// Field numbers of hookstream.v1.Delivery.
const (
	fieldDeliveryCursor   = 1
	fieldDeliveryEvent    = 2
	fieldDeliveryAckToken = 3
	fieldDeliveryAttempt  = 4
	fieldDeliveryDeadline = 5
	fieldDeliveryReplayed = 6
	fieldDeliveryHandOut  = 7
	fieldDeliveryReplay   = 8
)

// AppendResponseCursor appends the cursor of a SubscribeResponse.
func AppendResponseCursor(b []byte, c Cursor) []byte {
	return c.AppendTo(appendHead(b, FieldResponseCursor, EncodedCursorLen))
}

// ResponseHeadSize is how many bytes are enough for the cursor of a
// SubscribeResponse and the head of its batch.
const ResponseHeadSize = 2 + EncodedCursorLen + 1 + 10

// AppendBatchHead appends what stands in a SubscribeResponse before the elements of
// its batch, which have size bytes in all.
func AppendBatchHead(b []byte, size int) []byte { return appendHead(b, FieldResponseBatch, size) }

// AppendDeliveryHead appends what stands before the content of an element of
// DeliveryBatch.deliveries, which has size bytes.
func AppendDeliveryHead(b []byte, size int) []byte { return appendHead(b, FieldBatchDeliveries, size) }

// AppendCloudEventHead appends what stands before an event of an
// io.cloudevents.v1.CloudEventBatch, which has size bytes.
func AppendCloudEventHead(b []byte, size int) []byte { return appendHead(b, 1, size) }

// DeliverySize is how many bytes an element has whose content has size.
func DeliverySize(size int) int { return sizeBytes(FieldBatchDeliveries, size) }

// DeliveryContent answers the content of an element that View.Delivery made. Further
// fields may follow it.
func DeliveryContent(element []byte) []byte {
	_, _, n := ReadHead(element)
	return element[n:]
}

// Handed is what a delivery of a subscription says beside cursor and event.
type Handed struct {
	AckToken string
	Attempt  int
	HandOut  int64
	Deadline time.Time
	Replayed bool
	Replay   string
}

// AppendTo appends the fields of hookstream.v1.Delivery.
func (h Handed) AppendTo(b []byte) []byte {
	var w wire
	b = w.text(b, fieldDeliveryAckToken, h.AckToken)
	b = w.number(b, fieldDeliveryAttempt, int64(h.Attempt))
	b = w.timestamp(b, fieldDeliveryDeadline, h.Deadline.Unix(), h.Deadline.Nanosecond())
	b = w.truth(b, fieldDeliveryReplayed, h.Replayed)
	b = w.number(b, fieldDeliveryHandOut, h.HandOut)
	return w.text(b, fieldDeliveryReplay, h.Replay)
}

// ReadHead answers the field that b begins with, the size of its content, and how
// many bytes say so: 0 when b does not begin with a field that has a length.
func ReadHead(b []byte) (field protoreflect.FieldNumber, size, n int) {
	field, typ, tag := protowire.ConsumeTag(b)
	if tag < 0 || typ != protowire.BytesType {
		return 0, 0, 0
	}
	length, m := protowire.ConsumeVarint(b[tag:])
	if m < 0 {
		return 0, 0, 0
	}
	return field, int(length), tag + m
}

func appendHead(b []byte, field protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(size))
}

func sizeBytes(field protowire.Number, size int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(size)
}
