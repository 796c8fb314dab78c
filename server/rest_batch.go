package server

import (
	"bytes"
	"errors"
	"iter"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// errFrame says that a frame is none that this server makes.
var errFrame = errors.New("server: a frame that is no batch")

// A batchReader reads a batch of deliveries out of the pieces that it is sent in,
// without putting them together: most of a piece is shared by all streams.
type batchReader struct {
	pieces mem.BufferSlice
	at     int // in the first
}

// readBatch answers the cursor of a frame, and where its deliveries begin.
func readBatch(f *wireFrame) (cursor string, r *batchReader, err error) {
	r = &batchReader{pieces: f.pieces}
	for {
		tag, ok := r.varint()
		size, okSize := r.varint()
		number, kind := protowire.DecodeTag(tag)
		switch {
		case !ok || !okSize || kind != protowire.BytesType:
			return "", nil, errFrame
		case number == fieldResponseBatch:
			return cursor, r, nil
		case number != fieldResponseCursor || size > event.EncodedCursorLen:
			return "", nil, errFrame
		}
		cursor = string(bytes.Join(r.take(int(size)), nil))
	}
}

// deliveries are those that follow, each in the pieces that it lies in.
func (r *batchReader) deliveries() iter.Seq2[[][]byte, error] {
	return func(yield func([][]byte, error) bool) {
		for {
			tag, ok := r.varint()
			if !ok {
				return
			}
			size, ok := r.varint()
			if number, _ := protowire.DecodeTag(tag); !ok || number != fieldBatchDeliveries {
				yield(nil, errFrame)
				return
			}
			if !yield(r.take(int(size)), nil) {
				return
			}
		}
	}
}

// rest answers what of the first piece was not read, none at the end.
func (r *batchReader) rest() []byte {
	for len(r.pieces) > 0 {
		if b := r.pieces[0].ReadOnlyData(); r.at < len(b) {
			return b[r.at:]
		}
		r.pieces, r.at = r.pieces[1:], 0
	}
	return nil
}

// varint reads a number, which never lies in two pieces.
func (r *batchReader) varint() (uint64, bool) {
	v, n := protowire.ConsumeVarint(r.rest())
	if n < 0 {
		return 0, false
	}
	r.at += n
	return v, true
}

// take answers the next bytes, in the pieces they lie in.
func (r *batchReader) take(n int) (spans [][]byte) {
	for n > 0 {
		b := r.rest()
		if len(b) == 0 {
			return spans
		}
		b = b[:min(n, len(b))]
		spans, r.at, n = append(spans, b), r.at+len(b), n-len(b)
	}
	return spans
}

// appendDeliveryJSON appends the JSON of one delivery, which lies in spans of whole
// fields. The first is cursor and event, which other streams send as well.
func (c *jsonCache) appendDelivery(buf *bytes.Buffer, spans [][]byte) error {
	buf.WriteByte('{')
	for i, span := range spans {
		var fields []byte
		var err error
		if i == 0 {
			fields, err = c.fields(span)
		} else {
			fields, err = fieldsJSON(span)
		}
		if err != nil {
			return err
		}
		if i > 0 && len(fields) > 0 {
			buf.WriteByte(',')
		}
		buf.Write(fields)
	}
	buf.WriteByte('}')
	return nil
}

// fieldsJSON answers fields of a Delivery as JSON, without the braces.
func fieldsJSON(wire []byte) ([]byte, error) {
	var d hookstreamv1.Delivery
	if err := proto.Unmarshal(wire, &d); err != nil {
		return nil, err
	}
	b, err := protojson.Marshal(&d)
	if err != nil {
		return nil, err
	}
	return oneLine(bytes.TrimSpace(b[1 : len(b)-1])), nil
}
