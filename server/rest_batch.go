package server

import (
	"bytes"
	"errors"
	"iter"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/hookstream/hookstream/event"
	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// errFrame says that a frame is none that this server makes.
var errFrame = errors.New("server: a frame that is no batch")

// A batchReader reads a batch of deliveries out of the pieces that it is sent in,
// without putting them together: most of a piece is shared by all streams.
type batchReader struct {
	piece  []byte // what of it was not read
	pieces mem.BufferSlice
}

// readBatch answers the cursor of a frame, and where its deliveries begin.
func readBatch(f *wireFrame) (cursor string, r *batchReader, err error) {
	r = &batchReader{f.head, f.pieces}
	for {
		field, size, ok := r.head()
		switch {
		case !ok:
			return "", nil, errFrame
		case field == event.FieldResponseBatch:
			return cursor, r, nil
		case field != event.FieldResponseCursor || size > event.EncodedCursorLen:
			return "", nil, errFrame
		}
		cursor = string(bytes.Join(r.next(size), nil))
	}
}

// deliveries are those that follow, each in the pieces that it lies in.
func (r *batchReader) deliveries() iter.Seq2[[][]byte, error] {
	return func(yield func([][]byte, error) bool) {
		for len(r.rest()) > 0 {
			field, size, ok := r.head()
			if !ok || field != event.FieldBatchDeliveries {
				yield(nil, errFrame)
				return
			}
			if !yield(r.next(size), nil) {
				return
			}
		}
	}
}

// rest answers what of a piece was not read, none at the end.
func (r *batchReader) rest() []byte {
	for len(r.piece) == 0 && len(r.pieces) > 0 {
		r.piece, r.pieces = r.pieces[0].ReadOnlyData(), r.pieces[1:]
	}
	return r.piece
}

// head reads where a field begins, which never lies in two pieces.
func (r *batchReader) head() (field protoreflect.FieldNumber, size int, ok bool) {
	field, size, n := event.ReadHead(r.rest())
	r.piece = r.piece[n:]
	return field, size, n > 0
}

// next answers the next bytes, in the pieces they lie in.
func (r *batchReader) next(n int) (spans [][]byte) {
	for n > 0 {
		b := r.rest()
		if len(b) == 0 {
			return spans
		}
		b = b[:min(n, len(b))]
		spans, r.piece, n = append(spans, b), r.piece[len(b):], n-len(b)
	}
	return spans
}

// appendDeliveryJSON appends the JSON of one delivery, which lies in spans of whole
// fields. The first is cursor and event, which other streams send as well.
func (c *jsonCache) appendDelivery(buf *gathered, spans [][]byte) error {
	buf.WriteByte('{')
	for i, span := range spans {
		if i == 0 {
			fields, err := c.fields(span)
			if err != nil {
				return err
			}
			buf.share(fields)
			continue
		}
		fields, err := fieldsJSON(span)
		if err != nil {
			return err
		}
		if len(fields) > 0 {
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
	b, err := restJSON.Marshal(&d)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b[1 : len(b)-1]), nil
}
