package event

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	hookstreamv1 "github.com/hookstream/hookstream/gen/hookstream/v1"
)

// A View is an event as it is shown, in pieces that are in wire form. Protobuf
// fields may come in any order and from anywhere, so that the metadata, marshalled
// when the event was kept, are never marshalled again.
type View struct {
	// Name is the resource name; empty when Meta has it.
	Name string
	// Meta, Raw and Proof are those of Parts; Raw and Proof may be left out.
	Meta, Raw, Proof []byte
	// State is of the payload, which overrules that of Meta; 0: none.
	State hookstreamv1.DecodeState
	// Redacted are paths of redacted_fields, Omitted those of omitted_fields, beside
	// those of Meta.
	Redacted, Omitted []string
	// PayloadField is the field of the event that holds Payload; 0: none.
	PayloadField protoreflect.FieldNumber
	Payload      []byte
}

// Size is how many bytes AppendTo appends.
func (v *View) Size() int {
	n := len(v.Meta) + len(v.Raw) + len(v.Proof)
	if v.Name != "" {
		n += sizeBytes(fieldName, len(v.Name))
	}
	if v.State != 0 {
		n += protowire.SizeTag(fieldState) + protowire.SizeVarint(uint64(v.State))
	}
	for _, path := range v.Redacted {
		n += sizeBytes(fieldRedacted, len(path))
	}
	for _, path := range v.Omitted {
		n += sizeBytes(fieldOmitted, len(path))
	}
	if v.PayloadField != 0 {
		n += sizeBytes(v.PayloadField, len(v.Payload))
	}
	return n
}

// AppendTo appends the event.
func (v *View) AppendTo(b []byte) []byte {
	var w wire
	b = w.text(b, fieldName, v.Name)
	b = append(b, v.Meta...)
	b = w.number(b, fieldState, int64(v.State))
	for _, path := range v.Redacted {
		b = w.element(b, fieldRedacted, path)
	}
	for _, path := range v.Omitted {
		b = w.element(b, fieldOmitted, path)
	}
	if v.PayloadField != 0 {
		b = w.bytes(b, v.PayloadField, v.Payload)
	}
	b = append(b, v.Raw...)
	return append(b, v.Proof...)
}

// Delivery answers one element of DeliveryBatch.deliveries, tag and length
// included, that has the event and its cursor.
func (v *View) Delivery(c Cursor) []byte {
	size := v.Size()
	content := sizeBytes(fieldDeliveryCursor, EncodedCursorLen) + sizeBytes(fieldDeliveryEvent, size)
	b := make([]byte, 0, DeliverySize(content))
	b = AppendDeliveryHead(b, content)
	b = c.AppendTo(appendHead(b, fieldDeliveryCursor, EncodedCursorLen))
	return v.AppendTo(appendHead(b, fieldDeliveryEvent, size))
}

// EntityOf answers the entity in the metadata of an event, Parts.Meta; empty for
// none.
func EntityOf(meta []byte) string { return string(find(meta, fieldEntity)) }

// find answers the first value of a field of bytes, nil when there is none.
func find(message []byte, field protowire.Number) []byte {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil
		}
		if num == field && typ == protowire.BytesType {
			v, _ := protowire.ConsumeBytes(message[n:])
			return v
		}
		m := protowire.ConsumeFieldValue(num, typ, message[n:])
		if m < 0 {
			return nil
		}
		message = message[n+m:]
	}
	return nil
}
