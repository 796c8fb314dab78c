package load

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Fields on the way from a frame to its events' ids at the sender. A test holds
// them against the schema.
const (
	fieldResponseBatch   = 3
	fieldBatchDelivery   = 1
	fieldDeliveryEvent   = 2
	fieldProviderEventID = 9
)

// eachEventID calls f with the id at the sender of every event in a frame.
func eachEventID(data mem.BufferSlice, f func([]byte)) error {
	return eachEncoded(data, func(delivery []byte) error {
		return eachBytes(delivery, fieldDeliveryEvent, func(event []byte) error {
			return eachBytes(event, fieldProviderEventID, func(id []byte) error {
				f(id)
				return nil
			})
		})
	})
}

// eachEncoded calls f with every delivery in a frame, which is f's until it
// returns.
func eachEncoded(data mem.BufferSlice, f func(delivery []byte) error) error {
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	return eachBytes(buf.ReadOnlyData(), fieldResponseBatch, func(batch []byte) error {
		return eachBytes(batch, fieldBatchDelivery, f)
	})
}

// eachBytes calls f with every value of a field of bytes.
func eachBytes(message []byte, field protowire.Number, f func([]byte) error) error {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errWire
		}
		m := protowire.ConsumeFieldValue(num, typ, message[n:])
		if m < 0 {
			return errWire
		}
		if num == field && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message[n:])
			if err := f(value); err != nil {
				return err
			}
		}
		message = message[n+m:]
	}
	return nil
}
